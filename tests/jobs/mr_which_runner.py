"""Passes its --runner through to its tasks, as mrjob's documentation shows."""

from mrjob.job import MRJob


class MRWhichRunner(MRJob):
    def configure_args(self):
        super().configure_args()
        self.pass_arg_through("--runner")

    def mapper(self, _, line):
        yield self.options.runner, None


if __name__ == "__main__":
    MRWhichRunner.run()
