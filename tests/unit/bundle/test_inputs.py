"""What a bundle is made of, as it was when it was read; and what changes after that."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mrjob_pybundle.bundle.files import InputFile
from mrjob_pybundle.bundle.inputs import Inputs, find_build_files, read_inputs
from mrjob_pybundle.bundle.sources import Source
from mrjob_pybundle.errors import BuildError, OptionError
from tests.unit.bundle.test_spec import PYTHON

SOURCE = Source("3.13.5", "s3://bucket/Python-3.13.5.tgz", "ab" * 32)


def inputs_of(venv_build: Path | None, *build_files: Path) -> Inputs:
    return read_inputs(SOURCE, venv_build, build_files)


def test_golden_digest_of_the_mrjob_that_goes_inside() -> None:
    mrjob = inputs_of(None).mrjob
    assert mrjob.version == "0.7.4"
    assert mrjob.sha256 == "9c7ee2f906e239c866aff115649402eb849cdbb7ffd436262758d9fee9861c32"


def test_the_hook_is_found_without_importing_it() -> None:
    names = ("hook.py", "hook.pth", "imports.py", "tasks.py")
    assert list(inputs_of(None).hook.files) == [f"mrjob_pybundle_{name}" for name in names]


def test_build_files(tmp_path: Path) -> None:
    library = tmp_path / "library"
    for name in ("a.py", "sub/b.txt", "sub/__pycache__/b.cpython-313.pyc", ".git/HEAD", "old.pyc", "a.py~"):
        path = library / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    tool = tmp_path / "tool.sh"
    tool.write_text("echo hello")
    tool.chmod(0o755)
    (library / "link.py").symlink_to("a.py")

    files = find_build_files((library, tool)).files

    assert list(files) == ["library/a.py", "library/link.py", "library/sub/b.txt", "tool.sh"]
    described = {file.name: file for file in inputs_of(None, library, tool).spec(PYTHON).build_files}
    assert list(described) == list(files)
    assert described["tool.sh"].executable
    assert not described["library/a.py"].executable
    assert described["library/link.py"].sha256 == described["library/a.py"].sha256


def test_build_files_have_the_same_key_wherever_they_lie(tmp_path: Path) -> None:
    def key(place: Path, umask: int) -> str:
        (place / "lib").mkdir(parents=True)
        old = os.umask(umask)
        try:
            (place / "lib" / "z.py").write_text("z = 1\n")
            (place / "lib" / "a.py").write_text("a = 1\n")
        finally:
            os.umask(old)
        return inputs_of(None, place / "lib").spec(PYTHON).key

    assert key(tmp_path / "here", 0o022) == key(tmp_path / "over there", 0o077)


def test_build_files_that_cannot_be_taken(tmp_path: Path) -> None:
    (tmp_path / "venv-build.sh").touch()
    with pytest.raises(OptionError, match=r"would take the place of venv-build\.sh"):
        find_build_files((tmp_path / "venv-build.sh",))
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "same.py").touch()
    with pytest.raises(OptionError, match=r"both .*one/same\.py and .*two/same\.py would be same\.py"):
        find_build_files((tmp_path / "one" / "same.py", tmp_path / "two" / "same.py"))
    (tmp_path / "one" / "dangling").symlink_to("nowhere")
    with pytest.raises(OptionError, match="points nowhere"):
        find_build_files((tmp_path / "one",))
    (tmp_path / "two" / "again").symlink_to(".")
    with pytest.raises(OptionError, match="contains itself"):
        find_build_files((tmp_path / "two",))


def test_what_builds_and_tools_leave_behind_is_in_no_key(tmp_path: Path) -> None:
    """Of two authors of a project, one has installed and tested it."""
    project = tmp_path / "project"
    for name in ("pyproject.toml", "src/pkg/a.py", "src/pkg/build/data.txt", "dist/pkg-1.0-py3-none-any.whl"):
        _write(project / name)
    fresh = inputs_of(None, project)
    left_behind = [
        *(
            "build/lib/pkg/deleted.py",
            "pkg.egg-info/SOURCES.txt",
            ".eggs/x.egg",
            "src/pkg/__pycache__/a.cpython-313.pyc",
        ),
        *(".venv/pyvenv.cfg", "env-3.13/pyvenv.cfg", "env-3.13/bin/tool", ".tox/py313/log", ".nox/x", ".hypothesis/x"),
        *(
            ".idea/workspace.xml",
            ".vscode/settings.json",
            "src/.ipynb_checkpoints/a.ipynb",
            ".pytest_cache/v",
            ".git/HEAD",
        ),
    ]
    for name in left_behind:
        _write(project / name)
    (project / ".gitignore").write_text("*.py\n")

    used = inputs_of(None, project)
    assert set(used.build_files) - set(fresh.build_files) == {"project/.gitignore"}
    assert fresh.left_out == ()
    assert used.left_out == (
        *(f"project/{name}/" for name in (".eggs", ".git", ".hypothesis", ".idea", ".nox", ".pytest_cache", ".tox")),
        *(f"project/{name}/" for name in (".venv", ".vscode", "build", "env-3.13", "pkg.egg-info")),
        *(f"project/src/{name}/" for name in (".ipynb_checkpoints", "pkg/__pycache__")),
    )


def test_what_the_conf_names_is_never_left_out(tmp_path: Path) -> None:
    for name in ("setup.py", "build/made.txt", "build/.venv/pyvenv.cfg", "build/.venv/x"):
        _write(tmp_path / "project" / name)
    project, build = tmp_path / "project", tmp_path / "project" / "build"
    assert list(find_build_files((build,)).files) == ["build/made.txt"]
    assert list(find_build_files((build / ".venv",)).files) == [".venv/pyvenv.cfg", ".venv/x"]
    both = find_build_files((project, build))
    assert list(both.files) == ["build/made.txt", "project/build/made.txt", "project/setup.py"]
    (project / "setup.py").unlink()
    assert list(find_build_files((project,)).files) == ["project/build/made.txt"]


def test_two_links_to_one_directory_are_no_loop(tmp_path: Path) -> None:
    _write(tmp_path / "shared" / "x.py")
    (tmp_path / "tree").mkdir()
    for name in ("one", "two"):
        (tmp_path / "tree" / name).symlink_to(tmp_path / "shared")
    assert list(find_build_files((tmp_path / "tree",)).files) == ["tree/one/x.py", "tree/two/x.py"]


def test_directories_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "project" / "below" / "x.py")
    monkeypatch.chdir(tmp_path / "project" / "below")
    assert list(find_build_files((Path("..").absolute(),)).files) == ["project/below/x.py"]
    assert list(find_build_files((Path().absolute(),)).files) == ["below/x.py"]
    with pytest.raises(OptionError, match=r"no name that venv-build\.sh could find it by"):
        find_build_files((Path("/"),))


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.name)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as refused:
        InputFile.look_at(tmp_path / "gone.sh")
    assert str(refused.value) == (
        f"Cannot read {tmp_path}/gone.sh, which goes into the bundle: No such file or directory."
    )


def _edit(path: Path) -> None:
    path.write_text("another")


def _edit_in_place_to_the_same_size(path: Path) -> None:
    """What neither a size nor a time tells."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (_edit, "has changed"),
        (_edit_in_place_to_the_same_size, "has changed"),
        (lambda path: path.chmod(0o755), "was made executable"),
        (lambda path: path.unlink(), "cannot be read any more (No such file or directory)"),
    ],
    ids=["edited", "edited in place", "mode", "gone"],
)
def test_a_file_that_is_another_one_by_now(change: Callable[[Path], None], how: str, tmp_path: Path) -> None:
    path = tmp_path / "venv-build.sh"
    path.write_text("one")
    file = InputFile.look_at(path)
    assert file.read() == b"one"
    change(path)
    with pytest.raises(BuildError) as refused:
        file.read()
    assert str(refused.value) == (
        f"{path} {how} since the bundle's key was made from it. Nothing was launched. Run the job again."
    )
