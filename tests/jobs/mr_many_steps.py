"""A job of as many steps as it is told: each passes its input on."""

from mrjob.job import MRJob
from mrjob.step import MRStep


class MRManySteps(MRJob):
    def configure_args(self):
        super().configure_args()
        self.add_passthru_arg("--steps", type=int, default=2)

    def steps(self):
        return [MRStep(mapper=self.pass_on) for _ in range(self.options.steps)]

    def pass_on(self, key, value):
        yield key, value


if __name__ == "__main__":
    MRManySteps.run()
