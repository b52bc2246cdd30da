"""Every first attempt at a map task ends its container. Says which attempt worked."""

import os
import signal

from mrjob.compat import jobconf_from_env
from mrjob.job import MRJob


class MRFirstAttemptsDie(MRJob):
    def mapper(self, _, line):
        attempt = int(jobconf_from_env("mapreduce.task.attempt.id").rsplit("_", 1)[1])
        if attempt == 0:
            os.kill(os.getppid(), signal.SIGKILL)
        yield line, attempt

    def reducer(self, line, attempts):
        yield line, max(attempts)


if __name__ == "__main__":
    MRFirstAttemptsDie.run()
