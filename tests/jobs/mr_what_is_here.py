"""Reads what mrjob's options are to have put onto the nodes and into a task's directory."""

from pathlib import Path

from mrjob.job import MRJob

FILES = ("renamed.txt", "tree/leaf.txt", "/tmp/by/command", "/tmp/by/action")


class MRWhatIsHere(MRJob):
    def mapper(self, _, line):
        from helper_module import VALUE

        yield VALUE, None
        for path in FILES:
            yield Path(path).read_text().strip(), None

    def reducer(self, content, _):
        yield content, None


if __name__ == "__main__":
    MRWhatIsHere.run()
