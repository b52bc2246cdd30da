"""Gets whole files, by an input manifest: how many bytes each has."""

from mrjob.job import MRJob


class MRRaw(MRJob):
    def mapper_raw(self, path, uri):
        with open(path, "rb") as file:
            yield uri.rpartition("/")[2], len(file.read())

    def reducer(self, name, sizes):
        yield name, sum(sizes)


if __name__ == "__main__":
    MRRaw.run()
