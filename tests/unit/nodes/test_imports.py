"""What mrjob imports in a bundle, and when. Each test asks a Python of its own, with our files as a bundle has them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.bundle.inputs import read_inputs
from mrjob_pybundle.bundle.sources import Source

#: What tasks have no use for, and runners have.
NOT_AT_ONCE = [
    *("bz2", "email", "getpass", "glob", "http.client", "importlib.util", "inspect", "pickle", "pprint", "random"),
    *("shutil", "socket", "ssl", "tarfile", "tempfile", "urllib.request", "yaml", "zipfile"),
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the hook's files."""
    directory = tmp_path_factory.mktemp("bundle")
    source = Source("3.13.5", "https://example.com/Python-3.13.5.tgz", "ab" * 32)
    for name, file in read_inputs(source, None, ()).hook.files.items():
        (directory / name).write_bytes(file.read())
    return directory


def answer(bundle: Path, question: str, *, fast: bool = True) -> Any:
    """What a Python prints that has run *question*, from JSON."""
    environment = {**os.environ, "PYTHONPATH": str(bundle), "MRJOB_PYBUNDLE_FAST_TASKS": "on" if fast else "off"}
    without_us = "sys.modules['mrjob_pybundle'] = None"
    program = f"import json, sys\n{without_us}\nimport mrjob_pybundle_hook\n{question}"
    asked = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout)


LOADED = "import mrjob.job\nprint(json.dumps(list(sys.modules)))"


def test_what_tasks_seldom_need_is_not_loaded(bundle: Path) -> None:
    before = set(answer(bundle, "print(json.dumps(list(sys.modules)))"))
    loaded = set(answer(bundle, LOADED))
    assert loaded & set(NOT_AT_ONCE) <= before
    assert set(NOT_AT_ONCE) <= set(answer(bundle, LOADED, fast=False))


def test_stand_ins_become_what_they_stand_for(bundle: Path) -> None:
    question = """
import mrjob.job, types
found = []
for name, module in list(sys.modules.items()):
    if name.startswith("mrjob."):
        for key, value in list(vars(module).items()):
            if type(value).__name__ == "_Later":
                dir(value)
                found.append((name, key, vars(module)[key] is sys.modules[key]))
print(json.dumps(found))
"""
    found = answer(bundle, question)
    assert {key for _, key, _ in found} >= {"inspect", "shutil", "tempfile", "yaml"}
    assert all(is_it for *_, is_it in found)


def test_stand_ins_are_open_to_changes(bundle: Path) -> None:
    question = """
import mrjob.job, mrjob.util, mrjob.runner, mrjob.py2, mrjob.fs.local
name = repr(mrjob.util.shutil)
mrjob.fs.local.shutil.copyfile = len
mrjob.util.random.nonsense = 1
del mrjob.util.random.nonsense
import shutil, random
print(json.dumps([name, shutil.copyfile is len, hasattr(random, "nonsense")]))
"""
    name, is_changed, is_there = answer(bundle, question)
    assert (name, is_changed, is_there) == (repr(shutil), True, False)


def test_functions_that_come_later(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "file").write_text("content")
    shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path / "a b")
    question = f"""
import mrjob.job
from datetime import timedelta
from mrjob import py2, runner, util
path = {str(tmp_path)!r}
util.unarchive(path + "/archive.zip", path + "/unpacked")
runner.rmtree(path + "/a b")
with py2.urlopen("file:" + py2.pathname2url(path + "/unpacked/file")) as file:
    content = file.read().decode()
util.zip_dir(path + "/unpacked", path + "/again.zip")
print(json.dumps([content, py2.pathname2url("/a b"), str(util.strip_microseconds(timedelta(0, 1, 5)))]))
"""
    assert answer(bundle, question) == ["content", "/a%20b", "0:00:01"]
    assert not (tmp_path / "a b").exists()
    assert (tmp_path / "again.zip").exists()


def test_submodules_are_there_as_they_would_be(bundle: Path) -> None:
    everything = "import mrjob.job\nprint(json.dumps(sorted(name for name in sys.modules if '.' in name)))"
    dotted = [name for name in answer(bundle, everything, fast=False) if "._" not in name]
    ours = [name for name in dotted if not name.startswith(("mrjob", "yaml"))]
    assert {"urllib.request", "http.client", "email.utils", "importlib.util"} <= set(ours)
    question = f"""
import mrjob.job
missing = []
for name in {ours!r}:
    thing = __import__(name.partition(".")[0])
    for part in name.split(".")[1:]:
        thing = getattr(thing, part)
    if thing is not sys.modules[name]:
        missing.append(name)
import http
from http import client
print(json.dumps([missing, client is sys.modules["http.client"], hasattr(http, "nothing")]))
"""
    assert answer(bundle, question) == [[], True, False]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python 3.12 and newer have no distutils")
def test_distutils_has_what_mrjob_loads(bundle: Path) -> None:
    question = """
import mrjob.job
import distutils
print(json.dumps([str(distutils.version.LooseVersion("1.2")), callable(distutils.spawn.find_executable)]))
"""
    assert answer(bundle, question) == ["1.2", True]


def test_stand_ins_that_a_job_has_got_hold_of(bundle: Path) -> None:
    """Spark sends what a job's functions use: a module, by its name."""
    question = """
from mrjob.job import *
import copy, pickle
found = inspect
print(json.dumps([copy.copy(found).__name__, pickle.loads(pickle.dumps(found)) is sys.modules["inspect"]]))
"""
    assert answer(bundle, question) == ["inspect", True]


def test_others_import_what_they_import(bundle: Path) -> None:
    question = """
import mrjob.job
import builtins, inspect, types
from shutil import rmtree
print(json.dumps([type(inspect) is types.ModuleType, rmtree.__code__.co_filename == sys.modules["shutil"].__file__,
    type(builtins.__import__).__name__]))
"""
    assert answer(bundle, question) == [True, True, "builtin_function_or_method"]


def test_without_yaml_mrjob_does_without(bundle: Path) -> None:
    question = """
class WithoutYaml:
    def __init__(self, finder):
        self._finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name == "yaml" else self._finder.find_spec(name, path, target)

sys.meta_path[1:] = map(WithoutYaml, sys.meta_path[1:])  # the first is the hook's
import mrjob.conf
print(json.dumps(mrjob.conf.yaml))
"""
    assert answer(bundle, question) is None
