"""Tries to write into the cache, which no job node may; yields what the AWS CLI says to that."""

import subprocess

from mrjob.job import MRJob


class MRWrites(MRJob):
    def configure_args(self):
        super().configure_args()
        self.add_passthru_arg("--forbidden", help="S3 URI of the object")

    def mapper(self, _, line):
        pass

    def mapper_final(self):
        command = ["aws", "s3", "cp", "-", self.options.forbidden]
        said = subprocess.run(command, input=b"", stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
        yield "said", said.decode("utf-8", "replace")


if __name__ == "__main__":
    MRWrites.run()
