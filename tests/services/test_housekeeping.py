"""Housekeeping through the command, against S3 and EMR over HTTP: what it shows, and what it never takes away."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.cache.claims import Claim
from tests.team import Team

BUILD = "20261120-101112-0a1b2c3d"
OTHER_BUILD = "20261121-101112-0a1b2c3d"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "venv-build.sh"
    path.write_text("#!/bin/bash\nset -eu\npip install regex==2024.11.6\n")
    return path


def launch(team: Team, *args: str, name: str = "a job", steps: list[list[str]] | None = None) -> str:
    """A cluster whose bootstrap action has *args*, and that lives."""
    actions = [{"Name": "bundle", "ScriptBootstrapAction": {"Path": "s3://tmp/bootstrap.sh", "Args": list(args)}}]
    cluster = team.emr.run_job_flow(
        Name=name,
        Instances={"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True},
        BootstrapActions=actions if args else [],
        Steps=[{"Name": "s", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": step}} for step in steps or ()],
        JobFlowRole="x",
        ServiceRole="x",
    )
    return str(cluster["JobFlowId"])


# looking


def test_key_says_what_went_in_and_what_did_not(team: Team, tmp_path: Path) -> None:
    for name in ("setup.py", "pkg/a.py", "build/lib/pkg/deleted.py", ".git/HEAD"):
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    venv = json.loads(team.run("key", "--pybundle-build-file", str(tmp_path / "project")).out)["venv"]
    assert [file["name"] for file in venv["inputs"]["build_files"]] == ["project/pkg/a.py", "project/setup.py"]
    assert venv["left_out"] == ["project/.git/", "project/build/"]


def test_an_empty_cache(team: Team) -> None:
    listed = team.run("ls")
    assert (listed.status, listed.out) == (0, f"s3://{team.bucket}/the cache: 0 bundles on 0 Pythons, 0.0 kB in all\n")


def test_ls(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    team.cache.claims.stake("ab" * 32, Claim(OTHER_BUILD, "grace", 0.0))
    lines = team.run("ls").out.splitlines()
    assert lines[0].endswith(": 1 bundle on 1 Python, " + lines[0].rpartition(", ")[2])
    bundle, python, building = (lines[number].split() for number in (3, 6, 9))
    openssl = ssl.OPENSSL_VERSION.split()[1]
    assert bundle[:5] == [spec.key[:12], "3.13.5", "amzn2023", "x86_64", openssl]
    assert bundle[-4:] == ["ada", "2:12", "not", "noted"]
    assert python[:5] == [spec.python.key[:12], "3.13.5", "amzn2023", "x86_64", openssl]
    assert python[-3:] == ["ada", "2:12", "1"]
    assert building == [OTHER_BUILD, "grace", "none", "yet", "ab" * 6]
    team.cache.bundles.note_use(spec.key, "ada", None)
    assert "not noted" not in team.run("ls").out


def test_ls_for_scripts(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    listed = json.loads(team.run("ls", "--json").out)
    assert listed["cache"] == str(team.cache.root)
    assert [bundle["key"] for bundle in listed["bundles"]] == [spec.key]
    assert [python["bundles"] for python in listed["pythons"]] == [[spec.key]]
    assert listed["bundles"][0]["manifest"]["build"]["owner"] == "ada"


def test_who_reads_may_stop_reading(team: Team) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "mrjob_pybundle", "ls", "--json", *team.switches]
    listed = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (listed.returncode, listed.stderr) == (1, "")


def test_show_takes_the_beginning_of_a_key(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    shown = team.run("show", spec.key[:8]).out
    for expected in (
        spec.key,
        spec.python.key,
        "regex==2024.11.6",
        BUILD,
        "compile 2:05, venv 0:07",
        "Amazon Linux 2023",
    ):
        assert expected in shown
    openssl, day = ssl.OPENSSL_VERSION.split()[1], " ".join(ssl.OPENSSL_VERSION.split()[2:5])
    assert f"OpenSSL   {openssl}, of {day}\nneeds     glibc 2.34 or newer\n" in shown
    python = team.run("show", spec.python.key[:8]).out
    assert f"OpenSSL   {openssl}, of {day}\nneeds     glibc 2.9 or newer\n" in python
    assert f"bundles   {spec.key[:12]}" in python
    assert json.loads(team.run("show", "--json", spec.key).out)["manifest"]["key"] == spec.key
    _, *pins = team.run("show", "--constraints", spec.key).out.splitlines()
    assert pins == ["mrjob==0.7.4", "regex==2024.11.6"]
    refused = team.run("show", "--constraints", spec.python.key)
    assert (refused.status, "is a Python: constraints are of bundles" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("0000", "no key in s3://.* begins with 0000. See mrjob-pybundle ls."),
        ("xyz", "'xyz' is no key: 4 to 64 hexadecimal digits"),
    ],
)
def test_a_key_that_is_none(team: Team, key: str, message: str) -> None:
    shown = team.run("show", key)
    assert (shown.status, shown.out) == (2, "")
    assert shown.err.startswith("mrjob-pybundle: ")
    assert re.search(message, shown.err)


def test_an_ambiguous_key(team: Team) -> None:
    for number in range(2):
        team.cache.store.write(f"venv/abcd{number}{'0' * 59}/manifest.json", b"{}")
    assert "abcd is the beginning of several keys: abcd0" in team.run("rm", "abcd").err


def test_what_others_have_written_does_not_steer_the_terminal(team: Team) -> None:
    team.publish(team.spec(), BUILD, owner="\x1b]0;pwned\x07ada")
    listed = team.run("ls").out
    assert "\x1b" not in listed
    assert "pwned" in listed


def test_a_damaged_manifest_is_listed_and_can_be_removed(team: Team) -> None:
    key = "ab" * 32
    team.cache.store.write(f"venv/{key}/manifest.json", b"{")
    assert f"venv/{key}/manifest.json is damaged" in team.run("ls").out
    assert team.run("rm", key).status == 0
    assert "damaged" not in team.run("ls").out


# why


def test_why_shows_the_line_that_changed(team: Team, script: Path) -> None:
    team.publish(team.spec("--pybundle-venv-build", str(script)), BUILD, script)
    cached = team.run("why", "--pybundle-venv-build", str(script))
    assert cached.out.startswith("The bundle is cached")
    script.write_text(script.read_text().replace("2024.11.6", "2025.7.34"))
    said = team.run("why", "--pybundle-venv-build", str(script)).out.splitlines()
    assert said[0].startswith("The bundle is not cached")
    assert said[1].startswith("Its Python is")
    assert "    -pip install regex==2024.11.6" in said
    assert "    +pip install regex==2025.7.34" in said
    assert sum(line.startswith("  ") and not line.startswith("    ") for line in said) == 1, "nothing else differs"


def test_why_takes_the_most_like(team: Team, script: Path) -> None:
    for number, arguments in enumerate((["--pybundle-python-version", "3.12.10"], ["--no-pybundle-optimize"])):
        team.publish(team.spec(*arguments), f"2026112{number}-101112-0a1b2c3d")
    said = team.run("why", "--pybundle-python-version", "3.12.11").out
    assert "  Python: 3.12.10 → 3.12.11\n" in said
    assert "optimized" not in said


def test_why_when_the_old_inputs_are_gone(team: Team, script: Path) -> None:
    team.publish(team.spec("--pybundle-venv-build", str(script)), BUILD, script)
    team.cache.store.delete(f"builds/{BUILD}/inputs.tar.gz")
    script.write_text("true\n")
    said = team.run("why", "--pybundle-venv-build", str(script)).out
    assert "  venv-build.sh: sha256 " in said
    assert "The old texts are gone with that build's inputs: only their digests are known." in said


def test_why_with_an_empty_cache(team: Team) -> None:
    assert "No other bundle is in s3://" in team.run("why").out


# rm and gc


def test_rm_takes_the_manifest_and_leaves_the_archive(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    before = team.objects()
    assert team.run("rm", spec.key[:12]).status == 0
    venv = f"venv/{spec.key}"
    assert team.objects() == before - {f"{venv}/manifest.json"} | {f"{venv}/retired"}
    assert team.cache.bundles.find(spec) is None
    assert json.loads(team.cache.store.read(f"{venv}/retired") or b"")["by"] == "ada"
    assert "removed   by ada at " in team.run("show", spec.key).out
    again = team.run("rm", spec.key)
    assert (again.status, "was removed already" in again.err) == (2, True)


def test_a_python_with_bundles_on_it_is_not_removed(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    refused = team.run("rm", spec.python.key)
    assert refused.status == 2
    assert f"mrjob-pybundle rm {spec.key[:12]}" in refused.err
    assert team.run("rm", spec.key, spec.python.key).status == 0


def _change(team: Team, name: str, **sections: Any) -> None:
    manifest = json.loads(team.cache.store.read(name) or b"")
    team.cache.store.write(name, json.dumps({**manifest, **sections}).encode())


def test_rm_of_all_that_has_an_older_openssl(team: Team, script: Path) -> None:
    """And of Pythons on which nothing is left. What is built then, is compiled."""
    old, kept = team.spec(), team.spec("--pybundle-venv-build", str(script))
    other = team.spec("--pybundle-python-version", "3.12.1")
    team.publish(old, BUILD)
    team.publish(kept, OTHER_BUILD, script)
    team.publish(other, BUILD)
    for spec in (old, other):
        _change(team, f"python/{spec.python.key}/manifest.json", contents={"openssl": "OpenSSL 3.0.8 7 Feb 2023"})
        # Older manifests of bundles don't say: it is their Python's.
        _change(team, f"venv/{spec.key}/manifest.json", contents={"freeze": []})
    _change(team, f"venv/{kept.key}/manifest.json", contents={"openssl": "OpenSSL 3.5.5 27 Jan 2026"})
    removed = team.run("rm", "--older-openssl", "3.2.2")
    assert removed.status == 0
    gone = [line.split(":")[0] for line in removed.out.splitlines()]
    assert sorted(gone[:2]) == sorted(f"removed bundle {spec.key[:12]}" for spec in (old, other))
    assert gone[2:] == [f"removed Python {other.python.key[:12]}"]
    assert team.run("rm", "--older-openssl", "3.2.2").out == ""


def test_which_openssl_a_bundle_has_is_not_known(team: Team) -> None:
    """Its manifest is an older one, and its Python's place is another's by now."""
    spec = team.spec()
    team.publish(spec, BUILD)
    manifest = json.loads(team.cache.store.read(f"venv/{spec.key}/manifest.json") or b"")
    python = {**manifest["python"], "sha256": "11" * 32}
    _change(team, f"venv/{spec.key}/manifest.json", contents={"freeze": []}, python=python)
    assert team.run("ls").out.splitlines()[3].split()[4] == "?"
    removed = team.run("rm", "--older-openssl", "9.0.0").out
    assert removed == f"kept venv {spec.key[:12]}: which OpenSSL it has is not known\n"


@pytest.mark.parametrize("arguments", [[], ["abcd", "--older-openssl", "3.2.2"]])
def test_rm_of_keys_or_of_what_is_old(team: Team, arguments: list[str]) -> None:
    removed = team.run("rm", *arguments)
    assert (removed.status, removed.err) == (2, "mrjob-pybundle: rm takes keys, or --older-openssl and no keys.\n")


def test_what_was_removed_is_deleted_a_day_later(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    team.run("rm", spec.key, spec.python.key)
    assert team.run("gc").out == "Nothing to delete.\n"
    team.let_pass(days=1.1)
    planned = team.run("gc", "--dry-run").out
    assert f"would delete venv archive of {spec.key[:12]}" in planned
    before = team.objects()
    assert team.run("gc").out == planned.replace("would delete", "deleted").replace("Would delete", "Deleted")
    assert {name.split("/")[0] for name in team.objects()} == {"builds"}
    assert before != team.objects()
    team.let_pass(days=7)
    assert f"deleted build {BUILD} " in team.run("gc").out
    assert team.objects() == set()


def test_what_was_published_again_stays(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    team.run("rm", spec.key)
    team.let_pass(days=2)
    team.publish(spec, BUILD)
    assert team.run("gc").out == "Nothing to delete.\n"
    assert team.cache.bundles.find(spec) is not None


@pytest.mark.parametrize("where", ["bootstrap action", "step"])
def test_what_a_living_cluster_names_stays(team: Team, where: str) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    bundle = team.cache.bundles.find(spec)
    assert bundle is not None
    uri = str(team.cache.bundles.archive_uri("venv", bundle.venv))
    named = launch(team, uri) if where == "bootstrap action" else launch(team, steps=[["-files", f"{uri}#venv"]])
    team.run("rm", spec.key)
    team.let_pass(days=30)
    assert "archive" not in team.run("gc").out
    assert f"venv/{spec.key}/{bundle.venv.name}" in team.objects()
    team.emr.terminate_job_flows(JobFlowIds=[named])
    assert f"deleted venv archive of {spec.key[:12]}" in team.run("gc").out


def test_while_somebody_builds(team: Team) -> None:
    """A build may want the Python, and may be about to publish this very bundle."""
    spec = team.spec()
    team.publish(spec, BUILD)
    team.run("rm", spec.key, spec.python.key)
    team.let_pass(days=30)
    cluster_id = launch(team, name=f"mrjob-pybundle build {OTHER_BUILD}")
    team.cache.claims.stake(spec.key, Claim(OTHER_BUILD, "grace", 0.0, cluster_id))
    team.let_pass(days=2)
    assert "archive" not in team.run("gc").out
    team.emr.terminate_job_flows(JobFlowIds=[cluster_id])
    collected = team.run("gc").out
    assert f"deleted the claim of build {OTHER_BUILD}, which has ended" in collected
    assert collected.count(" archive of ") == 2
    assert team.cache.claims.read(spec.key) is None


def test_while_somebody_may_build_elsewhere(team: Team) -> None:
    """A cluster that EMR does not know may be another region's; after two months it has ended, wherever it was."""
    spec = team.spec()
    team.publish(spec, BUILD)
    team.run("rm", spec.key, spec.python.key)
    team.cache.claims.stake(spec.key, Claim(OTHER_BUILD, "grace", 0.0, "j-UNKNOWN"))
    team.let_pass(days=59)
    kept = team.run("gc").out
    assert "archive" not in kept
    assert OTHER_BUILD not in kept
    team.let_pass(days=2)
    collected = team.run("gc").out
    assert f"deleted the claim of build {OTHER_BUILD}, which has ended" in collected
    assert collected.count(" archive of ") == 2


def test_gc_by_age_and_use(team: Team) -> None:
    old, used = team.spec(), team.spec("--no-pybundle-optimize")
    team.publish(old, BUILD)
    team.publish(used, OTHER_BUILD)
    team.let_pass(days=40)
    team.cache.bundles.note_use(used.key, "grace", None)
    for arguments, expected in (
        (["--older-than", "50"], set()),
        (["--unused-for", "30"], {old.key}),
        (["--older-than", "30"], {old.key, used.key}),
        (["--older-than", "30", "--unused-for", "30"], {old.key}),
    ):
        planned = team.run("gc", "--dry-run", *arguments).out
        assert {key for key in (old.key, used.key) if f"would remove bundle {key[:12]} of ada" in planned} == expected
    team.run("gc", "--unused-for", "30")
    assert team.cache.bundles.find(old) is None
    assert team.cache.bundles.find(used) is not None
    # its Python is no bundle's any more, and not before
    assert f"would remove Python {old.python.key[:12]}" in team.run("gc", "--dry-run", "--unused-for", "30").out


@pytest.mark.parametrize("days", ["nan", "-1", "inf", "soon"])
def test_days_that_are_none(team: Team, days: str) -> None:
    with pytest.raises(SystemExit) as ended:
        team.run("gc", f"--unused-for={days}")
    assert ended.value.code == 2
    assert f"not a number of days: {days}" in team.capsys.readouterr().err


def test_a_damaged_manifest_might_name_anything(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    team.run("rm", spec.key, spec.python.key)
    team.cache.store.write(f"venv/{'ab' * 32}/manifest.json", b"{")
    team.let_pass(days=30)
    collected = team.run("gc").out
    assert f"deleted venv archive of {spec.key[:12]}" in collected
    assert "python" not in collected
    assert "build" not in collected


def test_if_emr_cannot_be_asked_nothing_is_deleted(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    team.run("rm", spec.key)
    team.let_pass(days=30)
    before = team.objects()
    refused = team.run("gc", "--emr-endpoint", "http://127.0.0.1:1")
    assert refused.status == 3
    assert refused.err.rstrip().endswith("Nothing was deleted.")
    assert len(refused.err.strip().splitlines()) == 1
    assert team.objects() == before


def test_a_source_that_no_python_was_built_from(team: Team) -> None:
    for sha256 in ("aa" * 32, "bb" * 32):
        team.cache.store.write(f"sources/{sha256}/Python-3.13.5.tar.xz", b"source")
    team.publish(team.spec(), BUILD)
    team.let_pass(days=8)
    assert "deleted source Python-3.13.5.tar.xz" in team.run("gc").out
    assert {name for name in team.objects() if name.startswith("sources/")} == {
        f"sources/{'aa' * 32}/Python-3.13.5.tar.xz"
    }


# a team's jobs and builds


def test_what_builds_have_tried_to_write_goes_a_day_later(team: Team) -> None:
    """A build that failed has left nothing else under its keys."""
    spec = team.spec()
    team.publish(spec, BUILD)
    before = team.objects()
    probes = {f"venv/{spec.key}/probe", f"venv/{'ab' * 32}/probe", f"python/{'cd' * 32}/probe"}
    for name in probes:
        team.cache.store.write(name, BUILD.encode())
    assert team.run("ls").out.count(spec.key[:12]) == 1
    assert "ab" * 6 not in team.run("ls").out
    team.run("gc")
    assert team.objects() == before | probes
    team.let_pass(days=1.1)
    assert f"deleted probe of a build of venv key {'ab' * 6}" in team.run("gc").out
    assert team.objects() == before


def test_a_jobs_cluster_names_what_it_needs(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    cluster_id = team.runner().make_persistent_cluster()
    (action,) = team.emr.list_bootstrap_actions(ClusterId=cluster_id)["BootstrapActions"][:1]
    bundle = team.cache.bundles.find(spec)
    assert bundle is not None
    kinds = (("python", bundle.python), ("venv", bundle.venv))
    assert action["Args"][:2] == [str(team.cache.bundles.archive_uri(kind, archive)) for kind, archive in kinds]
    team.run("rm", spec.key, spec.python.key)
    team.let_pass(days=30)
    assert " archive of " not in team.run("gc").out
    team.emr.terminate_job_flows(JobFlowIds=[cluster_id])
    assert team.run("gc").out.count(" archive of ") == 2


def test_a_job_notes_its_use_once_a_day(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    users = []
    for owner, days in (("ada", 0), ("grace", 0.9), ("barbara", 0.2)):
        team.let_pass(days)
        team.runner("--owner", owner).make_persistent_cluster()
        users.append(team.cache.store.read(f"venv/{spec.key}/123456789012/us-east-1/used"))
    assert users == [b"ada\n", b"ada\n", b"barbara\n"]


def test_build_says_what_is_cached(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, BUILD)
    built = team.run("build")
    assert built.status == 0
    assert built.out.startswith(
        f"bundle {spec.key}\npython {spec.python.key}\ncached already: nothing was built, s3://"
    )
    assert team.emr.list_clusters()["Clusters"] == []


def _status(team: Team, build_id: str, state: str, **more: Any) -> None:
    log = b"==> venv-build\nboom\n"
    status = {"state": state, "stage": "venv-build", "started": 0, "stage_started": 0, "log_size": len(log)}
    team.cache.builds.put(build_id, "log.txt", log)
    body = json.dumps({**status, "stages": {"prepare": 60}, "exit_status": None, "message": None, **more})
    team.cache.builds.put(build_id, "status.json", body.encode())


def test_watch_a_build_that_has_ended(team: Team) -> None:
    _status(team, BUILD, "FAILED", message="venv-build.sh ended with exit status 3", exit_status=3)
    watched = team.run("watch", BUILD)
    assert (watched.status, watched.out) == (4, "==> venv-build\nboom\n")
    failed = "it failed in stage venv-build: venv-build.sh ended with exit status 3"
    assert f"Build {BUILD}: {failed}\n" in watched.err
    _status(team, BUILD, "SUCCEEDED")
    watched = team.run("watch", BUILD)
    assert watched.status == 0
    assert f"Build {BUILD}: it succeeded, after 1:00.\n" in watched.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["watch"], "no build is running for s3://"),
        (["watch", BUILD], f"knows of no build {BUILD}."),
        (["stop", BUILD], f"knows of no build {BUILD}."),
        (["stop", "x"], "'x' is no build id."),
    ],
)
def test_builds_that_are_none(team: Team, args: list[str], message: str) -> None:
    refused = team.run(*args)
    assert refused.status == 2
    assert message in refused.err


def test_watch_of_several_asks_which(team: Team) -> None:
    team.cache.claims.stake("ab" * 32, Claim(BUILD, "ada", 1.0))
    team.cache.claims.stake("cd" * 32, Claim(OTHER_BUILD, "grace", 2.0))
    assert f"several builds are running: {BUILD} of ada, {OTHER_BUILD} of grace. Say which." in team.run("watch").err


@pytest.mark.parametrize("found_by", ["claim", "name", "name for a claim"])
def test_stop(team: Team, found_by: str) -> None:
    _status(team, BUILD, "RUNNING")
    cluster_id = launch(team, name=f"mrjob-pybundle build {BUILD}")
    if found_by != "name":
        team.cache.claims.stake("ab" * 32, Claim(BUILD, "ada", 1.0, cluster_id if found_by == "claim" else None))
    stopped = team.run("stop", BUILD)
    assert stopped.status == 0, stopped.err
    claim = team.cache.claims.read("ab" * 32)
    assert (claim.cluster_id if claim else None) == (None if found_by == "name" else cluster_id)
    assert stopped.out.startswith(f"ending cluster {cluster_id} of build {BUILD}")
    again = team.run("stop", BUILD)
    assert again.status == 4
    # as moto has it, or a sandbox of other tests in this process
    assert re.search(rf"Build {BUILD} has ended already: its cluster {cluster_id} is TERMINAT(ED|ING)\.", again.err)
    _status(team, BUILD, "SUCCEEDED")
    assert "has ended already: it succeeded" in team.run("stop", BUILD).err


def test_stop_ends_no_other_cluster(team: Team) -> None:
    """Claims are written by many: a claim that names somebody's job does not end it."""
    _status(team, BUILD, "RUNNING")
    cluster_id = launch(team, name="somebody's job")
    team.cache.claims.stake("ab" * 32, Claim(BUILD, "mallory", 1.0, cluster_id))
    refused = team.run("stop", BUILD)
    assert refused.status == 4
    assert f"names cluster {cluster_id}, which is not a build's" in refused.err
    state = team.emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"]
    assert not state.startswith("TERMINAT")


def test_stop_of_a_cluster_that_emr_does_not_know(team: Team) -> None:
    _status(team, BUILD, "RUNNING")
    team.cache.claims.stake("ab" * 32, Claim(BUILD, "ada", 1.0, "j-UNKNOWN"))
    refused = team.run("stop", BUILD)
    assert refused.status == 4
    assert (
        f"EMR in us-east-1 does not know cluster j-UNKNOWN of build {BUILD}: wrong region or account, or it ended more"
        " than two months ago."
    ) in refused.err


def test_stop_without_a_cluster(team: Team) -> None:
    team.cache.claims.stake("ab" * 32, Claim(BUILD, "ada", 1.0))
    assert f"Build {BUILD} has no cluster, or not yet" in team.run("stop", BUILD).err
