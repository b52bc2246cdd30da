"""What the sandbox needs of a machine, and what a person reads where it isn't there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mrjob_pybundle.sandbox.machines import needs


def test_programs_are_found_where_no_path_of_a_person_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert needs.missing_programs() == ""
    assert Path(needs.program("pivot_root")).is_absolute()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(needs, "PATH", str(tmp_path))
    for name in ("bash", "env", "grep", "mount", "nsenter", "tar", "umount", "unshare"):
        (tmp_path / name).touch(mode=0o755)
    assert needs.missing_programs() == "pivot_root is missing: install util-linux"
    (tmp_path / "umount").unlink()
    assert needs.missing_programs() == "pivot_root, umount are missing: install mount and util-linux"


@pytest.mark.skipif(os.geteuid() == 0, reason="root is not refused by these settings")
@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"user/max_user_namespaces": "0"}, "sudo sysctl -w user.max_user_namespaces=15000, or be root"),
        (
            {"user/max_user_namespaces": "9999", "kernel/unprivileged_userns_clone": "0"},
            "sudo sysctl -w kernel.unprivileged_userns_clone=1, or be root",
        ),
        (
            {"kernel/apparmor_restrict_unprivileged_userns": "1", "kernel/unprivileged_userns_clone": "1"},
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or be root",
        ),
    ],
    ids=["any Linux", "Debian", "Ubuntu"],
)
def test_only_what_is_to_blame_is_named(tmp_path: Path, settings: dict[str, str], advice: str) -> None:
    for name, value in settings.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    assert needs.how_to_allow_namespaces(tmp_path) == advice


def test_where_nothing_tells_it_may_be_a_container(tmp_path: Path) -> None:
    assert "--privileged" in needs.how_to_allow_namespaces(tmp_path)
