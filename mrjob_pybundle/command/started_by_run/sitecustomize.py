"""Below ``mrjob-pybundle run``, Python imports this when it starts: it brings in the hook, as the ``.pth`` elsewhere.

A job may start other Pythons, too, so this runs on 2.7 and newer, and does nothing on those that we don't support.
"""

import os
import sys

if sys.version_info >= (3, 10):
    try:
        import mrjob_pybundle_hook
    except ImportError:
        # the command was found where a script's Python doesn't look: in the working directory
        sys.path.append(os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "..")))
        import mrjob_pybundle_hook  # noqa: F401

# Python imports only the first sitecustomize that it finds, and there may be one that we hide: of Debian, or of a team.
sys.path.remove(os.path.dirname(__file__))
_ours = sys.modules.pop("sitecustomize")
try:
    import sitecustomize  # noqa: F401
except ImportError as error:
    if getattr(error, "name", "sitecustomize") != "sitecustomize":
        raise
    sys.modules["sitecustomize"] = _ours
