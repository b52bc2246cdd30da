"""What is inside of bundles in a cache, through the command: ``show``, ``show --sbom``, and ``why KEY KEY``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.inside import CONTENTS, VENV, distribution
from tests.team import Team

BUILD = "20261120-101112-0a1b2c3d"
OTHER_BUILD = "20261121-101112-0a1b2c3d"


def _what_is_wrong_with(sbom: str) -> object:
    # Seconds, in each process that collects tests.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom)


def test_show_says_where_it_came_from(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD, contents=CONTENTS)
    lines = team.run("show", spec.key).out.splitlines()
    first = lines.index("inside    CPython 3.13.5 (Python-3.13.5.tar.xz, sha256 aaaaaaaaaaaa)")
    assert [line.strip() for line in lines[first + 1 : first + 10]] == [
        "mrjob==0.7.4 (the submitter's, sha256 d1d1d1d1d1d1)",
        "Numpy_Like==2.2.6 (index, odd d2d2d2d2d2d2, sha256 d2d2d2d2d2d2)",
        "ours==1.0 (directory ours)",
        "patched==1.0 (git https://example.com/p.git at c0ffeec0ffee)",
        "fetched==3 (https://example.com/f.whl, sha512 d3d3d3d3d3d3)",
        "copied==4 (no installer has noted where it is from)",
        "libcrypto.so.3 (of openssl-libs 3.2.2-1.amzn2023.0.1)",
        "libown.so.1 (of no package)",
        "libssl.so.3 (of openssl-libs 3.2.2-1.amzn2023.0.1)",
    ]
    python = team.run("show", spec.python.key).out
    assert "libssl.so.3 (of openssl-libs 3.2.2-1.amzn2023.0.1)\n" in python
    assert "Not recorded" not in python


def test_a_bill_of_materials(team: Team) -> None:
    """The same each time; of the bundle all that is inside, CPython's libraries among it, which was cached before."""
    spec = team.spec()
    team.publish(spec, BUILD, contents=CONTENTS)
    shown, again, python = (team.run("show", "--sbom", key) for key in (spec.key, spec.key[:8], spec.python.key))
    assert (shown.status, shown.err, again.out) == (0, "", shown.out)
    for text in (shown.out, python.out):
        assert _what_is_wrong_with(text) is None
    names = {component["name"] for component in json.loads(shown.out)["components"]}
    assert {"cpython", "mrjob", "Numpy_Like", "openssl-libs", "libown.so.1"} <= names
    names = {component["name"] for component in json.loads(python.out)["components"]}
    assert names == {"cpython", "openssl-libs"}


def test_of_a_build_of_old_it_has_what_is_known_and_says_so_in_one_line(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    remark = "Not recorded when it was built, as builds do today: where distributions came from, libraries that were"
    shown = team.run("show", spec.key)
    # In processes of their own, as one's log goes nowhere else.
    command = [sys.executable, "-m", "mrjob_pybundle", "show", *team.switches, "--sbom", spec.key]
    bill, quiet = (subprocess.run([*command, *more], capture_output=True, text=True) for more in ([], ["-q"]))
    assert f"          regex==2024.11.6\n          {remark}" in shown.out
    assert (bill.returncode, bill.stderr.startswith(remark), bill.stderr.count("\n")) == (0, True, 1)
    assert (quiet.returncode, quiet.stderr, quiet.stdout) == (0, "", bill.stdout)
    assert _what_is_wrong_with(bill.stdout) is None
    versions = {component["name"]: component["version"] for component in json.loads(bill.stdout)["components"]}
    assert versions == {"cpython": "3.13.5", "mrjob": "0.7.4", "regex": "2024.11.6"}


def test_without_the_extra_one_line_says_what_to_install(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    monkeypatch.setitem(sys.modules, "cyclonedx.model", None)
    monkeypatch.delitem(sys.modules, "mrjob_pybundle.command.sbom", raising=False)
    refused = team.run("show", "--sbom", spec.key)
    assert (refused.status, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert refused.err.endswith("pip install 'mrjob-pybundle[sbom]'\n")


def test_a_removed_bundle_has_none(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    team.run("rm", spec.key)
    refused = team.run("show", "--sbom", spec.key)
    assert (refused.status, "what was inside is not known" in refused.err) == (2, True)


# why


def _script(team: Team, version: str) -> Path:
    path = team.directory / f"venv-build-{version}.sh"
    path.write_text(f"#!/bin/bash\nset -eu\npip install regex=={version}\n")
    return path


def test_why_compares_two_bundles(team: Team) -> None:
    old, new = (_script(team, version) for version in ("2024.11.6", "2025.7.34"))
    specs = [team.spec("--pybundle-venv-build", str(script)) for script in (old, new)]
    inside = [
        {**CONTENTS, "venv": {**VENV, "distributions": [*VENV["distributions"][1:], *others]}}
        for others in (
            [distribution("regex", "2024.11.6", kind="index"), distribution("mrjob", "0.7.4", kind="submitter")],
            [distribution("regex", "2025.7.34", kind="index")],
        )
    ]
    team.publish(specs[0], BUILD, old, contents=inside[0])
    team.publish(specs[1], OTHER_BUILD, new, owner="grace", contents=inside[1])
    said = team.run("why", specs[0].key[:10], specs[1].key[:10])
    first, *lines = said.out.splitlines()
    assert first.startswith(f"From bundle {specs[0].key[:12]} (built ")
    assert first.endswith(" by grace).")
    assert lines[0] == "What went in:"
    assert "    -pip install regex==2024.11.6" in lines
    assert f"    +++ venv-build.sh of {specs[1].key[:12]}" in lines
    assert lines[lines.index("What is inside:") :] == [
        "What is inside:",
        "  regex: 2024.11.6 (index) → 2025.7.34 (index)",
        "  mrjob: 0.7.4 (the submitter's) → none",
    ]
    itself = team.run("why", specs[0].key, specs[0].key).out.splitlines()
    assert itself[1:] == ["What went in does not differ.", "What is inside does not differ."]


def test_why_compares_with_a_bundle_of_old_what_is_known_of_it(team: Team) -> None:
    spec, other = team.spec(), team.spec("--pybundle-venv-build", str(_script(team, "1")))
    team.publish(spec, BUILD)
    team.publish(other, OTHER_BUILD, contents={"venv": VENV})
    lines = team.run("why", spec.key, other.key).out.splitlines()
    assert "  regex: 2024.11.6 → none" in lines
    assert not any(line.startswith("  mrjob: ") for line in lines if "sha256" not in line)
    assert [line.split(":")[0] for line in lines if "Not recorded" in line] == [spec.key[:12], other.key[:12]]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["venv"], "why compares two bundles: give two keys, or none to ask why a job's bundle is not cached."),
        (["venv", "python"], "is a Python: why compares bundles in the cache."),
        (["venv", "removed"], "is removed, or its manifest is damaged: why compares bundles in the cache."),
    ],
)
def test_why_refuses_what_is_no_two_bundles(team: Team, keys: list[str], message: str) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    team.cache.store.write(f"venv/{'ab' * 32}/retired", b"{}")
    of = {"venv": spec.key, "python": spec.python.key, "removed": "ab" * 32}
    refused = team.run("why", *(of[key] for key in keys))
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.endswith(f"{message}\n")


def test_why_compares_keys_of_pythons_if_one_is_gone(team: Team) -> None:
    """As of a bundle whose Python's manifest somebody has deleted; both know the versions all the same."""
    old, new = (team.spec("--pybundle-python-version", version) for version in ("3.12.10", "3.13.5"))
    for number, spec in enumerate((old, new)):
        team.publish(spec, f"2026112{number}-101112-0a1b2c3d", contents=CONTENTS)
    both = team.run("why", old.key, new.key).out
    assert "  Python: 3.12.10 → 3.13.5\n" in both
    team.cache.store.delete(f"python/{old.python.key}/manifest.json")
    one = team.run("why", old.key, new.key).out.splitlines()
    assert one[1:4] == [
        "What went in:",
        f"  Python: key {old.python.key[:12]} → key {new.python.key[:12]}",
        "What is inside does not differ.",
    ]
