"""``python -m mrjob_pybundle`` is the ``mrjob-pybundle`` command."""

import sys

from mrjob_pybundle.command.main import main

sys.exit(main())
