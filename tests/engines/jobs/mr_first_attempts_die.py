"""Every first attempt at a map task ends its container; the second one works."""

import os
import signal

from mrjob.compat import jobconf_from_env
from mrjob.job import MRJob


class MRFirstAttemptsDie(MRJob):
    def mapper(self, _, line):
        if jobconf_from_env("mapreduce.task.attempt.id").endswith("_0"):
            os.kill(os.getppid(), signal.SIGKILL)
        yield line, 1

    def reducer(self, line, ones):
        yield line, sum(ones)


if __name__ == "__main__":
    MRFirstAttemptsDie.run()
