"""Prints, as a key and a value of mrjob's, on which Python it runs. Its argument: which part of a job it is."""

import json
import os
import platform
import sys


def here(part):
    return [part, platform.python_version(), sys.prefix, os.environ.get("SETUP_PYTHON"), os.environ["SOME_VARIABLE"]]


if __name__ == "__main__":
    print(json.dumps(here(sys.argv[1])) + "\tnull")
