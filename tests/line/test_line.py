"""The whole line, as the people of a team live it: bundles, clusters, nodes, counted words.

Tests run in this order; the first builds the bundle that some of the others use. The team's cache has a Python by then:
``test_compile.py`` has none.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import subprocess
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.compiled import VENV_BUILD, WORDCOUNT
from tests.line.conftest import ROOT, Line

JOBS = ROOT / "tests" / "jobs"
#: For a cluster of one node, where one is enough.
ALONE = ("--num-core-instances", "0")


def _succeeded(run: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert run.returncode == 0, run.stderr[-6000:]
    return run


def _sorted_lines(run: subprocess.CompletedProcess[str]) -> list[str]:
    return sorted(_succeeded(run).stdout.splitlines())


def _builds(line: Line) -> dict[str, set[str]]:
    """Build id → the names of the stages that it went through."""
    found: dict[str, set[str]] = {}
    for key in line.objects():
        match = re.search(r"/v1/builds/([^/]+)/status\.json$", key)
        if match:
            body = line.client("s3").get_object(Bucket="the-team", Key=key)["Body"].read()
            found[match[1]] = set(json.loads(body)["stages"])
    return found


def _where_the_time_went(said: str) -> list[list[str]]:
    """The rows of the table at a run's end, without the times."""
    table = re.search(
        r"^build's cluster j-\w+ +from +took +job's cluster j-\w+ +from +took\n((?:.+\n)+?)\d.* in all\.", said, re.M
    )
    assert table is not None, said
    return [re.split(r" +-?[\d:]+ +[\d:]+ *", row)[:-1] for row in table[1].splitlines()]


def counted(texts: list[Path]) -> Counter[str]:
    """The words in *texts*, counted without any of us."""
    return Counter(re.findall(r"[^\W\d_]+", "".join(path.read_text("utf-8").lower() for path in texts)))


def counts(output: str) -> dict[str, int]:
    """What a job has counted."""
    pairs = [text.split("\t") for text in output.splitlines()]
    return {json.loads(word): json.loads(count) for word, count in pairs}


def test_the_first_author_builds_and_counts(line: Line, texts: list[Path]) -> None:
    run = line.job(WORDCOUNT, "--pybundle-venv-build", VENV_BUILD, *texts)
    assert counts(_succeeded(run).stdout) == counted(texts)

    clusters = line.new_clusters()
    assert len(clusters) == 2
    assert sum(cluster["Name"].startswith("mrjob-pybundle build") for cluster in clusters) == 1
    for cluster in clusters:
        line.client("emr").get_waiter("cluster_terminated").wait(
            ClusterId=cluster["Id"], WaiterConfig={"Delay": 1, "MaxAttempts": 300}
        )
    (stages,) = _builds(line).values()
    assert {"fetch-python", "venv-build", "publish"} <= stages
    assert re.search(r"^  \[\d+:\d\d\] venv-build \(venv took \d+:\d\d\)$", run.stderr, flags=re.MULTILINE)
    assert _where_the_time_went(run.stderr) == [
        ["waiting for the cluster", "waiting for machines"],
        ["packages", "bootstrapping: bundle, Hadoop"],
        ["cached Python", "steps"],
        ["environment"],
        ["publishing"],
    ]
    # nothing is left of the job but what nodes that join later need
    kinds = Counter(re.sub(r"[0-9a-f]{64}", "<hex>", key.split("/v1/")[1]) for key in line.objects())
    assert kinds["python/<hex>/manifest.json"] == kinds["python/<hex>/<hex>.tar.gz"] == 1
    assert kinds["venv/<hex>/manifest.json"] == kinds["venv/<hex>/<hex>.tar.gz"] == 1
    assert not any(kind.startswith("claims/") for kind in kinds)


def test_the_manifest_says_what_is_inside(line: Line) -> None:
    manifests = {}
    for key in line.objects():
        if key.endswith("manifest.json"):
            manifest = json.loads(line.client("s3").get_object(Bucket="the-team", Key=key)["Body"].read())
            manifests[manifest["kind"]] = manifest
    freeze = manifests["venv"]["contents"]["freeze"]
    assert "regex==2024.11.6" in freeze
    assert "mrjob==0.7.4" in freeze
    assert not any(requirement.startswith("ujson") for requirement in freeze), "mrjob would take it for JSON"
    assert manifests["venv"]["python"]["sha256"] == manifests["python"]["archive"]["sha256"]
    assert manifests["python"]["inputs"]["version"] == "3.13.5"
    assert manifests["python"]["build"]["cluster_id"].startswith("j-")


def test_the_next_run_builds_nothing(line: Line, texts: list[Path]) -> None:
    line.new_clusters()
    run = _succeeded(line.job(WORDCOUNT, "--pybundle-venv-build", VENV_BUILD, *ALONE, *texts))
    (cluster,) = line.new_clusters()
    assert not cluster["Name"].startswith("mrjob-pybundle build")
    assert "Using bundle" in run.stderr
    assert " in all. " not in run.stderr
    assert len(_builds(line)) == 1
    (action,) = line.client("emr").list_bootstrap_actions(ClusterId=cluster["Id"])["BootstrapActions"]
    *uris, region = action["Args"]
    assert region == "us-east-1"
    assert {uri.removeprefix("s3://the-team/") for uri in uris} == {
        key for key in line.objects() if key.endswith(".tar.gz") and "/builds/" not in key
    }
    assert sum(key.endswith("/used") for key in line.objects()) == 1


def test_editing_venv_build_does_not_compile(line: Line, texts: list[Path], tmp_path: Path) -> None:
    """Nor does it matter that the runner was made before the edit."""
    edited = tmp_path / "venv build.sh"
    edited.write_text(VENV_BUILD.read_text())
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from wordcount import MRWordCount
job = MRWordCount(sys.argv[3:])
job.set_up_logging()
with job.make_runner() as runner:
    with open(sys.argv[2], "a") as file:
        file.write("python -c 'import regex; print(regex.__version__)'\\n")
    runner.run()
"""
    switches = ["-r", "pybundle-emr", "--pybundle-venv-build", edited, *ALONE, texts[0]]
    before = _builds(line)
    run = _succeeded(line.run("-c", program, WORDCOUNT.parent, edited, *switches))
    ((build_id, stages),) = ((build, stages) for build, stages in _builds(line).items() if build not in before)
    assert "fetch-python" in stages
    assert not {"configure", "compile"} & stages
    assert "2024.11.6" in run.stderr
    # The first author's build was like it.
    assert re.search(
        r"^  \[\d+:\d\d\] venv-build \(venv took \d+:\d\d\), about \d+:\d\d left$", run.stderr, re.MULTILINE
    )
    manifests = [json.loads(line.read(key)) for key in line.objects() if key.endswith("manifest.json")]
    (inputs,) = (manifest["inputs"] for manifest in manifests if manifest["build"]["id"] == build_id)
    assert inputs["venv_build_sha256"] == hashlib.sha256(edited.read_bytes()).hexdigest()


@pytest.mark.whole
@pytest.mark.parametrize(
    ("module", "args", "runner"),
    [
        ("mr_word_freq_count", (), "inline"),
        ("mr_most_used_word", (), "inline"),
        ("mr_next_word_stats", (), "inline"),
        ("mr_count_lines_by_file", (), "inline"),
        ("mr_grep", ("-e", "the"), "local"),
    ],
)
def test_mrjobs_own_examples(line: Line, texts: list[Path], module: str, args: tuple[str, ...], runner: str) -> None:
    """Unmodified, on a bundle of Python and mrjob alone; the output is that of mrjob's own runner."""
    script = Path(importlib.import_module(f"mrjob.examples.{module}").__file__ or "")
    ours = _sorted_lines(line.job(script, *args, *texts))
    theirs = _sorted_lines(line.run(script, "-r", runner, *args, *texts))
    # Hadoop Streaming ends a line that has no TAB with one.
    ours = [text.removesuffix("\t") for text in ours]
    if module == "mr_count_lines_by_file":  # it prints where its input lies
        ours, theirs = ([re.sub(r'"[^"]*/', '"', text) for text in lines] for lines in (ours, theirs))
    assert ours
    assert sorted(ours) == sorted(theirs)


@pytest.mark.whole
def test_tasks_run_on_the_bundle(line: Line, tmp_path: Path) -> None:
    """Mapper, combiner and reducer, a mapper and a filter that are commands, and setup commands."""
    (tmp_path / "in.txt").write_text("one\ntwo\n")
    run = line.job(
        JOBS / "mr_where_am_i.py",
        "--setup",
        "export SETUP_PYTHON=$(python -c 'import sys; print(sys.prefix)')",
        "--cmdenv",
        "SOME_VARIABLE=it's$(here)é",  # Hadoop Streaming ends a value at its first blank
        tmp_path / "in.txt",
    )
    found = {tuple(json.loads(text.split("\t")[0])) for text in _sorted_lines(run)}
    by_phase = {phase: (version, prefix, setup, variable) for phase, version, prefix, setup, variable in found}
    assert set(by_phase) == {"mapper", "combiner", "reducer", "filter", "command"}
    venv = line.on_node(r"/opt/pybundle/[0-9a-f]{20}/venv")
    for phase, (version, prefix, setup, variable) in by_phase.items():
        assert version == "3.13.5", phase
        assert re.fullmatch(venv, prefix), phase
        assert variable == "it's$(here)é", phase
        if phase in ("mapper", "combiner", "reducer"):
            assert setup == prefix, phase


@pytest.mark.whole
def test_jobrunner_is_python_to_whoever_calls_it(line: Line) -> None:
    """On a node: modules, scripts, commands, stdin, exit status, signals."""
    emr, s3 = line.client("emr"), line.client("s3")
    bootstrap = _bootstrap_action(line, "mr_where_am_i")
    script = (Path(__file__).parent / "jobrunner_on_node.sh").read_bytes()
    s3.put_object(Bucket="the-team", Key="jobrunner.sh", Body=script)
    command = (
        "set -e; aws s3 cp --quiet s3://the-team/jobrunner.sh jobrunner.sh;"
        " bash jobrunner.sh /opt/pybundle/* > out; aws s3 cp --quiet out s3://the-team/jobrunner.out"
    )
    cluster_id = emr.run_job_flow(
        Name="jobrunner",
        ReleaseLabel="emr-7.14.0",
        LogUri="s3://the-team/logs/",
        BootstrapActions=[{"Name": "bundle", "ScriptBootstrapAction": bootstrap}],
        Instances={"InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}]},
        Steps=[
            {
                "Name": "jobrunner",
                "ActionOnFailure": "TERMINATE_CLUSTER",
                "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["bash", "-c", command]},
            }
        ],
    )["JobFlowId"]
    emr.get_waiter("cluster_terminated").wait(ClusterId=cluster_id, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    out = s3.get_object(Bucket="the-team", Key="jobrunner.out")["Body"].read().decode()
    said = dict(text.split("\t", 1) for text in out.splitlines())
    assert re.fullmatch(line.on_node(r"/opt/pybundle/[0-9a-f]{20}/venv"), said.pop("venv-exec"))
    environment = said.pop("environment").split("\t")
    assert environment[0] == "True 0", "only jobrunner puts the bundle's python onto PATH"
    for case, ours_and_pythons in said.items():
        ours, pythons = ours_and_pythons.split("\t")
        assert ours == pythons, case
    said.pop("interrupted")  # its exit status depends on who started the node's processes
    statuses = {case: ours.split("\t")[0].split(" ")[-1] for case, ours in said.items()}
    assert statuses == {
        "module": "0", "script": "7", "command": "0", "stdin": "1", "failure": "1", "signal": "143",
        "options": "0",
    }  # fmt: skip
    assert "line 1 line 2" in said["module"]


def _bootstrap_action(line: Line, job: str) -> dict[str, Any]:
    """The bootstrap action of the newest cluster of a job, as RunJobFlow takes it."""
    emr = line.client("emr")
    pages = emr.get_paginator("list_clusters").paginate()
    clusters = [cluster for page in pages for cluster in page["Clusters"] if job in cluster["Name"]]
    newest = max(clusters, key=lambda cluster: cluster["Status"]["Timeline"]["CreationDateTime"])
    (action,) = emr.list_bootstrap_actions(ClusterId=newest["Id"])["BootstrapActions"]
    return {"Path": action["ScriptPath"], "Args": action["Args"]}


@pytest.mark.whole
def test_a_job_that_passes_its_runner_through(line: Line, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("one\n")
    run = line.job(JOBS / "mr_which_runner.py", tmp_path / "in.txt")
    assert _sorted_lines(run) == ['"emr"\tnull']


@pytest.mark.whole
@pytest.mark.parametrize(
    ("switches", "whose"),
    [([], "mrjob_pybundle_tasks"), (["--no-pybundle-fast-tasks"], "mrjob.job")],
    ids=["on", "off"],
)
def test_whose_functions_tasks_write_with(line: Line, tmp_path: Path, switches: list[str], whose: str) -> None:
    (tmp_path / "in.txt").write_text("one line\n")
    run = _succeeded(line.job(JOBS / "mr_whose_writing.py", tmp_path / "in.txt", "--cmdenv", "MINE=here", *switches))
    assert run.stdout == f'["{whose}", "{whose}"]\t["here"]\n'


@pytest.mark.whole
def test_mrjobs_options_still_work(line: Line, tmp_path: Path) -> None:
    """Files, archives, directories, Python files, jobconf, tags, bootstrap commands and actions, output dir."""
    (tmp_path / "in.txt").write_text("one\n")
    (tmp_path / "data.txt").write_text("uploaded")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "leaf.txt").write_text("in a directory")
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as code:
        code.writestr("helper_module.py", "VALUE = 'a Python file'\n")
    (tmp_path / "action.sh").write_text('#!/bin/sh\nmkdir -p /tmp/by && echo "$1" > /tmp/by/action\n')
    run = line.job(
        JOBS / "mr_what_is_here.py",
        "--files", f"{tmp_path}/data.txt#renamed.txt",
        "--dirs", f"{tmp_path}/tree#tree",
        "--py-files", tmp_path / "code.zip",
        "--bootstrap", "mkdir -p /tmp/by && echo bootstrap > /tmp/by/command",
        "--bootstrap-action", f"{tmp_path}/action.sh 'an argument'",
        "-D", "mapreduce.job.reduces=3",
        "--tag", "team=data science",
        "--emr-configuration", '{"Classification": "mapred-site", "Properties": {"a.b": "c"}}',
        "--output-dir", "s3://the-team/output",
        "--cat-output",
        tmp_path / "in.txt",
    )  # fmt: skip
    contents = {json.loads(text.split("\t")[0]) for text in _sorted_lines(run)}
    assert contents == {"an argument", "bootstrap", "a Python file", "in a directory", "uploaded"}
    (cluster,) = [c for c in line.new_clusters() if "mr_what_is_here" in c["Name"]]
    described = line.client("emr").describe_cluster(ClusterId=cluster["Id"])["Cluster"]
    assert {"Key": "team", "Value": "data science"} in described["Tags"]
    assert sum(key.startswith("output/part-") for key in line.objects()) == 3


@pytest.mark.whole
def test_a_build_runs_bootstrap_actions_of_its_own(line: Line, tmp_path: Path) -> None:
    """Before venv-build.sh. The job's cluster does not run them."""
    action, said = tmp_path / "action.sh", "/tmp/of-the-build"
    action.write_text(f'#!/bin/sh\necho "$1" >> {said}\n')
    script = tmp_path / "venv-build.sh"
    script.write_text(f"set -eu\ngrep -x 'an argument' {said}\n")
    switches = ("--pybundle-venv-build", script, "--pybundle-build-bootstrap-action", f"{action} 'an argument'")
    line.new_clusters()
    run = line.job(JOBS / "mr_line_lengths.py", *switches, stdin="abc\n")
    assert (run.returncode, run.stdout) == (0, "3\t1\n"), run.stderr[-3000:]
    emr = line.client("emr")
    arguments: dict[str, list[list[str]]] = {}
    for cluster in line.new_clusters():
        actions = emr.list_bootstrap_actions(ClusterId=cluster["Id"])["BootstrapActions"]
        arguments[re.split(r"[. ]", cluster["Name"])[0]] = [action["Args"] for action in actions]
    assert arguments["mrjob-pybundle"] == [["an argument"]]
    assert len(arguments["mr_line_lengths"]) == 1, "the bundle's"
    assert ["an argument"] not in arguments["mr_line_lengths"]


# what goes wrong, and what a person then reads


@pytest.mark.whole
def test_a_bootstrap_action_of_a_build_that_fails(line: Line, tmp_path: Path) -> None:
    (tmp_path / "action.sh").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "venv-build.sh").write_text("echo this is never run\n")
    switches = ("--pybundle-venv-build", tmp_path / "venv-build.sh")
    action = ("--pybundle-build-bootstrap-action", tmp_path / "action.sh")
    run = line.job(JOBS / "mr_line_lengths.py", *switches, *action, stdin="x\n")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert re.search(r"failed in stage start of the cluster: its cluster j-\w+ ended: .*bootstrap action 1", run.stderr)
    assert line.claims() == []


@pytest.mark.whole
def test_a_mapper_that_raises(line: Line, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("one\n")
    run = line.job(JOBS / "mr_boom.py", "-D", "mapreduce.map.maxattempts=1", tmp_path / "in.txt")
    assert run.returncode == 1
    assert "Probable cause of failure" in run.stderr
    assert "ValueError: no good: one" in run.stderr
    assert "mr_boom.py" in run.stderr


def test_a_venv_build_that_fails(line: Line, tmp_path: Path) -> None:
    script = tmp_path / "venv-build.sh"
    script.write_text("echo 'this is the last word'\nexit 3\n")
    before = line.objects()
    line.new_clusters()
    run = line.job(JOBS / "mr_line_lengths.py", "--pybundle-venv-build", script, stdin="x\n")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "failed in stage venv-build: venv-build.sh ended with exit status 3" in run.stderr
    assert run.stderr.count("this is the last word") == 2, "once as it came, once at the end"
    assert len(line.new_clusters()) == 1, "the job's own cluster was not launched"
    new = {key.split("/v1/")[-1] for key in line.objects().keys() - before.keys()}
    left = {key.split("/")[0] for key in new if not key.endswith("/probe")}
    assert left == {"builds"}, "nothing was published, and no claim is left"


def test_a_missing_bucket(line: Line) -> None:
    run = line.job(JOBS / "mr_line_lengths.py", "--pybundle-cache-uri", "s3://no-such-team/x", stdin="x\n")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "There is no such bucket" in run.stderr
    assert "s3://no-such-team/x" in run.stderr
    assert line.new_clusters() == []


@pytest.mark.whole
def test_a_bucket_from_before_2018(line: Line) -> None:
    """Built, published and used there: its name is none of a host, and mrjob takes it."""
    bucket = "The_Team.of.2017"
    line.client("s3").create_bucket(Bucket=bucket)
    for key in line.objects():
        _, found, name = key.partition("/v1/python/")
        if found:
            line.client("s3").put_object(Bucket=bucket, Key=f"a//b/v1/python/{name}", Body=line.read(key))
    places = ["--cloud-tmp-dir", f"s3://{bucket}/tmp/", "--pybundle-cache-uri", f"s3://{bucket}/a//b"]
    assert _sorted_lines(line.job(JOBS / "mr_line_lengths.py", *places, stdin="ab\n")) == ["2\t1"]
    assert sum(key.endswith("/manifest.json") for key in line.objects(bucket)) == 2


def test_a_python_that_cannot_be_had(line: Line) -> None:
    """Wherever this runs, python.org has no such version, or cannot be reached."""
    line.new_clusters()
    run = line.run(
        JOBS / "mr_line_lengths.py", "-r", "pybundle-emr", "--no-conf", "--cloud-tmp-dir", "s3://the-team/tmp/",
        "--pybundle-python-version", "3.13.99", stdin="x\n",
    )  # fmt: skip
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "CPython 3.13.99" in run.stderr
    assert line.new_clusters() == []


@pytest.mark.whole
def test_pooled_clusters_match_between_two_runs(line: Line) -> None:
    line.new_clusters()
    switches = ["--pool-clusters", "--max-mins-idle", "10"]
    assert _sorted_lines(line.job(JOBS / "mr_line_lengths.py", *switches, stdin="ab\n")) == ["2\t1"]
    (cluster,) = line.new_clusters()
    try:
        # of another author, who has a directory of her own
        hers = ["--cloud-tmp-dir", "s3://sandbox/grace/"]
        second = line.job(JOBS / "mr_line_lengths.py", *switches, *hers, stdin="abc\n")
        assert _sorted_lines(second) == ["3\t1"]
        assert f"Adding our job to existing cluster {cluster['Id']}" in second.stderr
        assert line.new_clusters() == []
        # by its id, as well
        third = line.job(JOBS / "mr_line_lengths.py", "--cluster-id", cluster["Id"], stdin="abcd\n")
        assert _sorted_lines(third) == ["4\t1"]
        # whose failure must not cancel what others have waiting there
        steps = line.client("emr").list_steps(ClusterId=cluster["Id"])["Steps"]
        assert {step["ActionOnFailure"] for step in steps} == {"CONTINUE"}
    finally:
        line.client("emr").terminate_job_flows(JobFlowIds=[cluster["Id"]])


def test_python_too_new_for_spark(line: Line) -> None:
    line.new_clusters()
    run = line.job(JOBS / "mr_spark.py", stdin="x\n")
    assert run.returncode == 1
    assert "the Spark of emr-7.14.0 runs at most Python 3.11, not 3.13.5" in run.stderr.splitlines()[-1]
    assert line.new_clusters() == []
