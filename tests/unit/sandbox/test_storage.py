"""Input paths as Hadoop understands them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.sandbox.machines.storage import FileSystems, HdfsStorage, StorageError, Uri, glob_regex


@pytest.fixture
def storage(tmp_path: Path) -> FileSystems:
    no_s3: Any = None
    hdfs = HdfsStorage(tmp_path / "hdfs")
    content = tmp_path / "content"
    content.write_bytes(b"0123456789")
    for path in ("in/a.txt", "in/b.txt", "in/_SUCCESS", "in/.hidden", "deep/x/c.txt", "in2/d e#%.txt"):
        hdfs.put(Uri("hdfs", "", path), content)
    return FileSystems(no_s3, hdfs)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("hdfs:///in", ["a.txt", "b.txt"]),
        ("/in/", ["a.txt", "b.txt"]),
        ("/in/b.txt", ["b.txt"]),
        ("/in/*.txt", ["a.txt", "b.txt"]),
        ("/in/[b-c].txt", ["b.txt"]),
        ("/in/[^b].txt", ["a.txt"]),
        ("/in/{a,x}.txt", ["a.txt"]),
        ("/in?", ["d e#%.txt"]),
        ("/deep/*", ["c.txt"]),
    ],
)
def test_inputs(storage: FileSystems, text: str, names: list[str]) -> None:
    assert [file.uri.name for file in storage.inputs(text, recursive=False)] == names


def test_directories_below_an_input_are_only_for_recursive_jobs(storage: FileSystems) -> None:
    with pytest.raises(StorageError, match="Not a file: hdfs:///deep/x"):
        storage.inputs("/deep", recursive=False)
    assert [file.uri.name for file in storage.inputs("/deep", recursive=True)] == ["c.txt"]


@pytest.mark.parametrize("text", ["/nothing", "/nothing/*", "file:///etc/passwd"])
def test_missing_inputs_are_errors(storage: FileSystems, text: str) -> None:
    with pytest.raises(StorageError):
        storage.inputs(text, recursive=False)


def test_part_of_a_file(storage: FileSystems) -> None:
    (file,) = storage.inputs("/in/a.txt", recursive=False)
    with storage.of(file.uri).open(file.uri, 2, 5) as stream:
        assert stream.read() == b"234"


def test_patterns_do_not_match_across_slashes() -> None:
    assert not glob_regex("a*c").match("a/c")
    assert glob_regex("a*").match("ab/c")
