"""What a build master does in the end: its files, and itself if its build is still there long after its time."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from mrjob_pybundle.templates import read_template, render

from .conftest import Machine

#: Shuts nothing down before it is called for the fourth time.
SHUTDOWN = """\
#!/bin/bash
echo "$*" >>/mnt/calls
(($(wc -l </mnt/calls) < 4)) || kill -KILL "$PPID"
"""


#: An S3 that keeps what is sent there, beside the directory of programs, by its last name. It has nothing else.
AWS = """\
#!/bin/bash
set -- "${@: -2}"
[[ $2 != s3://* ]] || exec cp "$1" "${0%/*}/../${2##*/}"
exit 1
"""


def _run_on_master(
    machine: Machine,
    vendor: str,
    commands: str,
    limit: str = "-10",
    others: dict[str, str] | None = None,
    instead: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run *commands* where the build script's functions are, on a machine of that vendor's."""
    template = "master/build-binaries.sh.tmpl"
    names = set(re.findall(r"@([A-Z][A-Z0-9_]*)@", read_template(template)))
    # As long before its start as it is patient after the end of its time.
    places = {"BUILD_ID": "b-1", "BUILD_URI": "s3://bucket/builds/b-1", "CLAIM_URI": "s3://bucket/claims/k.json"}
    script = render(template, {**dict.fromkeys(names, ""), **places, "TIMEOUT_MINUTES": limit})
    for text, other in (instead or {}).items():
        assert text in script
        script = script.replace(text, other)
    functions = script[: script.rindex("\nif [[ -n $WORK ]]; then\n")]
    programs = machine.directory / "programs"
    programs.mkdir()
    for name, text in (others or {"shutdown": SHUTDOWN, "sleep": "#!/bin/sh\n"}).items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (machine.directory / "master.sh").write_text(
        f"""
        mount -t tmpfs dmi /sys/devices/virtual
        mkdir -p /sys/devices/virtual/dmi/id
        echo {vendor} >/sys/devices/virtual/dmi/id/sys_vendor
        {functions}
        {commands}
        """
    )
    command = ["unshare", "--pid", "--fork", "--mount-proc", "bash", str(machine.directory / "master.sh")]
    return machine.run(command, {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})


@pytest.mark.parametrize(("vendor", "calls"), [("Amazon EC2", 4), ("QEMU", 0)])
def test_a_machine_is_shut_down_until_it_is_gone(machine: Machine, vendor: str, calls: int) -> None:
    """People have met some on which the first call did nothing for hours. Only on an instance of EC2 is it tried."""
    _run_on_master(machine, vendor, "exec 8</dev/null; shut_down_if_stuck & wait")
    said = machine.mnt / "calls"
    assert (said.read_text().splitlines() if said.exists() else []) == ["-h now"] * calls


@pytest.mark.parametrize(("vendor", "are_left"), [("Amazon EC2", True), ("QEMU", False)])
def test_a_machine_that_goes_need_not_be_tidy(machine: Machine, vendor: str, are_left: bool) -> None:
    _run_on_master(machine, vendor, "WORK=/mnt/work; mkdir $WORK; touch /mnt/ran $WORK/file; clean_up")
    assert (machine.mnt / "ran").exists()
    assert (machine.mnt / "work" / "file").exists() == are_left


@pytest.mark.parametrize("stderr", ["/mnt/var/log/stderr", "/dev/null"])
def test_a_build_that_fills_its_disk_says_so(machine: Machine, stderr: str) -> None:
    """Also where the step's own log lies on that disk, as on EMR."""
    commands = f"""
        if [[ -n $WORK ]]; then
            work() {{
                run_stages venv-build
            }}
            stage_venv_build() {{
                echo fills it
                head -c 100M /dev/zero >"$WORK/big"
            }}
            name_places
            worker_main
        else
            mount -t tmpfs -o size=4m small /mnt
            mkdir -p /mnt/var/log
            supervisor_main 2>{stderr}
        fi
        """
    for_test = {"readonly NEEDED_SPACE=$((6 << 30))": "readonly NEEDED_SPACE=0"}
    done = _run_on_master(machine, "QEMU", commands, "10", {"aws": AWS}, for_test)
    assert done.returncode == 1
    status = json.loads((machine.directory / "status.json").read_text())
    assert (status["state"], status["stage"]) == ("FAILED", "venv-build")
    assert re.fullmatch(r"the disk of the build cluster is full \(\S+\)", status["message"])
    log = (machine.directory / "log.txt").read_text()
    assert log.endswith(f"mrjob-pybundle: {status['message']}\n"), log
