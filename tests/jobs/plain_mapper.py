"""A mapper of a step that knows nothing of mrjob: says with each line on which Python it runs."""

import platform
import sys

for line in sys.stdin:
    print(line.rstrip("\n"), platform.python_version(), sys.executable, sep="\t")
