"""What a task finds in its environment and around it, without what differs from run to run."""

import os
import re
import sys

from mrjob.job import MRJob

NAMES = (
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TMPDIR",
    "PWD",
    "LANG",
    "CONTAINER_ID",
    "AWS_ENDPOINT_URL",
    "OURS",
)
JOBCONF = re.compile(r"(mapred|mapreduce|stream|user|fs|io|dfs|yarn|hadoop)_")


class MRWhatTasksSee(MRJob):
    def mapper_init(self):
        for name in NAMES:
            yield "mapper " + name, os.environ.get(name)
        for name in sorted(os.environ):
            yield "names " + name, None
        yield "mapper cwd is PWD", os.path.realpath(os.getcwd()) == os.path.realpath(os.environ["PWD"])
        yield "mapper files", sorted(os.listdir("."))
        yield "mapper umask", oct(os.umask(0o22))
        yield "mapper tmp is writable", os.access(os.environ.get("TMPDIR", "/tmp"), os.W_OK)
        yield "mapper python", sys.prefix
        yield "mapper version", sys.version.split()[0]
        yield "mapper isatty", [os.isatty(0), os.isatty(1)]

    def reducer(self, key, values):
        yield key, next(values)


if __name__ == "__main__":
    MRWhatTasksSee.run()
