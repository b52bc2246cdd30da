#!/bin/sh
# The AWS CLI of a node that has another operating system than the machine: the machine's own, with its own program
# loader, libraries and Python. Nothing else on the node knows where these are.
unset LD_LIBRARY_PATH LD_PRELOAD
PYTHONHOME=/run/sandbox/python PYTHONPATH=/run/sandbox/site exec /run/sandbox/lib/ld.so --inhibit-cache \
    --library-path /run/sandbox/lib /run/sandbox/lib/python -S -m awscli "$@"
