"""Conf files from before: their ``bootstrap`` installs Python packages, minutes on each node for nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from tests.team import Team

#: In the forms that mrjob's conf files have them: a list, with blocks and with what is uploaded.
CONF = """\
runners:
  emr:
    bootstrap:
    - sudo yum install -y python3 python3-devel gcc-c++
    - |
      sudo yum install -y libxml2
      sudo -H pip3 install --index-url https://me:secret@packages.example.com/simple warcio
    - sudo pip3 install {package}#
"""
SAID = "bootstrap installs Python packages on each node, where no task sees them"


@pytest.fixture
def team(bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Team:
    return Team(bucket.bucket, tmp_path, capsys)


def _create_cluster(team: Team, conf: str) -> list[str]:
    """What is said when a cluster is created with *conf*."""
    path = team.directory / "mrjob.conf"
    path.write_text(conf)
    team.publish(team.spec(), "build-1")
    switches = [switch for switch in team.switches if switch != "--no-conf"]
    command = [sys.executable, "-m", "mrjob_pybundle", "create-cluster", *switches, "--conf-path", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()


def test_each_line_is_told_once(team: Team, tmp_path: Path) -> None:
    (tmp_path / "package.tar.gz").touch()
    said = _create_cluster(team, CONF.format(package=tmp_path / "package.tar.gz"))
    told = said.index(next(line for line in said if SAID in line))
    assert "venv-build.sh (docs/moving.md says how)" in said[told]
    assert said[told + 1 : told + 4] == [
        "    sudo yum install -y python3 python3-devel gcc-c++",
        "    sudo -H pip3 install --index-url https://…@packages.example.com/simple warcio",
        f"    sudo pip3 install {tmp_path}/package.tar.gz#",
    ]
    assert sum(SAID in line for line in said) == 1
    assert not any("libxml2" in line for line in said)


def test_a_bootstrap_that_is_a_string(team: Team) -> None:
    said = _create_cluster(team, "runners: {emr: {bootstrap: sudo easy_install simplejson}}")
    assert said[said.index(next(line for line in said if SAID in line)) + 1] == "    sudo easy_install simplejson"


@pytest.mark.parametrize(
    "conf",
    [
        "runners: {emr: {bootstrap: [sudo yum install -y gcc-c++, pip freeze]}}",
        "runners: {pybundle-emr: {bootstrap: [sudo pip3 install x], python_bin: python3}}",
        "runners: {}",
    ],
    ids=["no Python packages", "steps run on the nodes' Python", "no bootstrap"],
)
def test_nothing_to_tell(team: Team, conf: str) -> None:
    assert not any(SAID in line for line in _create_cluster(team, conf))
