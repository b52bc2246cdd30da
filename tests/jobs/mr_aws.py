"""Does with AWS what each line of its input says, with whatever the nodes may; the output says how that went."""

import shlex
import subprocess

from mrjob.job import MRJob


class MRAws(MRJob):
    def mapper(self, _, line):
        done = subprocess.run(["aws", "s3", *shlex.split(line)], capture_output=True, text=True)
        yield line, [done.returncode, done.stderr.strip()]


if __name__ == "__main__":
    MRAws.run()
