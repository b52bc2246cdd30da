"""A job of one jar step, with an argument of its own."""

from mrjob.job import MRJob
from mrjob.step import JarStep


class MROneJar(MRJob):
    def configure_args(self):
        super().configure_args()
        self.add_passthru_arg("--jar-arg", default="x")

    def steps(self):
        return [JarStep(jar="file:///home/hadoop/some.jar", args=[self.options.jar_arg])]


if __name__ == "__main__":
    MROneJar.run()
