"""What a build master does in the end: its files, and itself if its build is still there long after its time."""

from __future__ import annotations

import os
import re

import pytest

from mrjob_pybundle.templates import read_template, render

from .conftest import Machine

#: Shuts nothing down before it is called for the fourth time.
SHUTDOWN = """\
#!/bin/bash
echo "$*" >>/mnt/calls
(($(wc -l </mnt/calls) < 4)) || kill -KILL "$PPID"
"""


def _run_on_master(machine: Machine, vendor: str, commands: str) -> None:
    """Run *commands* where the build script's functions are, on a machine of that vendor's."""
    template = "master/build-binaries.sh.tmpl"
    names = set(re.findall(r"@([A-Z][A-Z0-9_]*)@", read_template(template)))
    # As long before its start as it is patient after the end of its time.
    script = render(template, {**dict.fromkeys(names, ""), "TIMEOUT_MINUTES": "-10"})
    functions = script[: script.rindex("\nif [[ -n $WORK ]]; then\n")]
    programs = machine.directory / "programs"
    programs.mkdir()
    for name, text in {"shutdown": SHUTDOWN, "sleep": "#!/bin/sh\n"}.items():
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
    machine.run(command, {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})


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
