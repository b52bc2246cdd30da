"""What a task sees of its node: yields lines of probe.sh, as it runs here and as it ran in the bootstrap action."""

import os
import subprocess
import sys

from mrjob.job import MRJob


class MRNodes(MRJob):
    FILES = ["probe.sh"]

    def configure_args(self):
        super().configure_args()
        self.add_passthru_arg("--bootstrap-facts", help="where the bootstrap action has left its lines")

    def mapper(self, _, line):
        pass

    def mapper_final(self):
        seen = subprocess.run(["sh", "probe.sh"], stdout=subprocess.PIPE, check=True).stdout
        yield "container", [*seen.decode("utf-8", "replace").splitlines(), f"probe:python={sys.version.split()[0]}"]
        if os.path.exists(self.options.bootstrap_facts):
            with open(self.options.bootstrap_facts, encoding="utf-8", errors="replace") as facts:
                yield "bootstrap", facts.read().splitlines()


if __name__ == "__main__":
    MRNodes.run()
