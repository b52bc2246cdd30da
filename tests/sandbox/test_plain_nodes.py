"""Nodes where the machine allows no namespaces: every machine can have these."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrjob_pybundle.sandbox.machines.nodes import PlainNode, install_tools
from mrjob_pybundle.sandbox.machines.own_paths import OwnPaths

PATHS = OwnPaths("/mnt/me/box/own", ("/mnt/me/box", "/mnt/me/venv"))


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("/mnt", "{}/mnt"),
        ("BUNDLES=/mnt/pybundle   # on", "BUNDLES={}/mnt/pybundle   # on"),
        ("for place in /mnt /var/tmp; do", "for place in {}/mnt /var/tmp; do"),
        ("LINK=/opt/pybundle/$ID; cd '/home/hadoop'", "LINK={}/opt/pybundle/$ID; cd '{}/home/hadoop'"),
        ("/usr/bin:/mnt/bin:/opt/pybundle", "/usr/bin:{}/mnt/bin:{}/opt/pybundle"),
        ("#!/mnt/venv/bin/python", "#!{}/mnt/venv/bin/python"),
    ],
)
def test_names_of_a_nodes_directories_are_replaced(text: str, renamed: str) -> None:
    assert PATHS.rename(text) == renamed.format(*[PATHS.own] * 2)


@pytest.mark.parametrize(
    "text",
    [
        *("s3://bucket/mnt/x", "s3://bucket/a (1)/mnt", "$ROOT/mnt", "${ROOT}/opt/pybundle", "/usr/mnt"),
        *("/mnt2", "/opt/pybundle-2", "/opt/java", "/home/hadoops"),
        *("/mnt/me/venv/bin/python", "/mnt/me/box/own/mnt/x"),
    ],
)
def test_other_paths_stay(text: str) -> None:
    assert PATHS.rename(text) == text


@given(
    st.lists(st.sampled_from(["/mnt", "/opt/pybundle", "/home/hadoop", PATHS.own, "/mnt/me", " ", ":", '"', "x", "/"]))
)
def test_what_is_renamed_stays_so(words: list[str]) -> None:
    once = PATHS.rename("".join(words))
    assert PATHS.rename(once) == once


@pytest.fixture
def node(tmp_path: Path) -> Iterator[PlainNode]:
    install_tools(tmp_path / "tools")
    node = PlainNode(tmp_path / "node", tmp_path / "tools", {})
    node.start()
    yield node
    node.stop()


def _run(node: PlainNode, *command: str, **environment: str) -> str:
    process = node.popen(command, environment=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.communicate()[0].decode()
    assert process.returncode == 0, output
    return str(output)


def test_commands_write_to_the_nodes_own_directories(node: PlainNode) -> None:
    said = _run(node, "bash", "-c", 'mkdir -p /mnt/pybundle/x /opt/pybundle; pwd; echo "$WHERE"', WHERE="/mnt/pybundle")
    assert said.splitlines() == [str(node.host_path("/home/hadoop")), str(node.host_path("/mnt/pybundle"))]
    assert node.host_path("/mnt/pybundle/x").is_dir()
    assert node.host_path("/opt/pybundle").is_dir()


def test_scripts_do_too(node: PlainNode) -> None:
    """Also one that another has fetched, and that runs itself again, as a build does."""
    script = node.host_path("/home/hadoop") / "build.sh"
    script.write_text(
        'echo "/mnt/é" "${0%.sh*}" "$@"\nif [[ $1 != again ]]; then bash "$0" again; fi\nmkdir -p /mnt/pybundle-build\n'
    )
    said = _run(node, "bash", "-c", f"exec bash {script} a 'b c'")
    stem = script.with_suffix("")
    own = node.host_path("/mnt")
    assert said.splitlines() == [f"{own}/é {stem} a b c", f"{own}/é {stem} again"]
    assert node.host_path("/mnt/pybundle-build").is_dir()


def test_what_a_job_brings_along_is_fitted_if_it_is_a_script(node: PlainNode, tmp_path: Path) -> None:
    for name, text in (("run", "#!/bin/sh\ncat /mnt/x\n"), ("setup.sh", ". /mnt/x\n"), ("data", "/mnt/x\n")):
        (tmp_path / name).write_text(text)
        node.fit(tmp_path / name)
    assert (tmp_path / "run").read_text() == f"#!/bin/sh\ncat {node.host_path('/mnt/x')}\n"
    assert (tmp_path / "setup.sh").read_text() == f". {node.host_path('/mnt/x')}\n"
    assert (tmp_path / "data").read_text() == "/mnt/x\n"
