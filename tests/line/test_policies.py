"""The policies in docs/security.md: jobs and builds run under exactly these, and have a use for all that is in them.

Tests run in this order; the last ones judge what the others have done.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.iam.access_control import PermissionResult

from mrjob_pybundle.sandbox.api.access import Call, Policy
from mrjob_pybundle.sandbox.api.faults import ACCESS_DENIED_BY_EMR, Rule
from tests.line.conftest import CPYTHON, ROOT, Line
from tests.tarballs import source_tarball

pytestmark = pytest.mark.whole

JOB = ROOT / "tests" / "jobs" / "mr_line_lengths.py"
AWS_JOB = ROOT / "tests" / "jobs" / "mr_aws.py"

PLACEHOLDERS = {
    "REGION": "us-east-1",
    "ACCOUNT": "123456789012",
    "CACHE-BUCKET": "bundles",
    "TMP-BUCKET": "scratch",
    "DATA-BUCKET": "facts",
    "EMR-SERVICE-ROLE": "EmrService",
    "JOB-NODE-ROLE": "JobNode",
    "BUILD-MASTER-ROLE": "BundleBuilder",
}

KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"

CONF = """\
include: {sandbox_conf}
runners:
  pybundle-emr:
    pybundle_python_version: {version}
    pybundle_python_source: {tarball}
    pybundle_optimize: false
    pybundle_cache_uri: s3://bundles/pybundle/
    pybundle_bucket_owner: "123456789012"
    pybundle_build_iam_instance_profile: BundleBuilder
    iam_instance_profile: JobNode
    iam_service_role: EmrService
    cloud_tmp_dir: s3://scratch/tmp/
    num_core_instances: 1
"""


def documents() -> dict[str, str]:
    """Heading → policy, of docs/security.md."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^### ([^\n]+)\n(?:(?!^#).)*?^```json\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


def filled_in(text: str) -> str:
    for placeholder, value in PLACEHOLDERS.items():
        text = text.replace(placeholder, value)
    return text


USE, BUILD, PIN = "Submitter who may only use the cache", "Submitter who may build", "Who pins bundles"
MASTER, NODE, CLEAN = "Build master", "Job node", "Who cleans up"

#: principal → the policies that it has
GRANTED = {
    "may-use": (USE,),
    "may-build": (USE, BUILD),
    "may-pin": (USE, PIN),
    "role-BundleBuilder": (MASTER,),
    "role-JobNode": (NODE,),
    "cleaner": (CLEAN,),
}


class Team:
    """People and nodes that may do what the policies say, and nothing else."""

    def __init__(self, line: Line, conf: Path, directory: Path) -> None:
        self.line = line
        self.conf = conf
        self.venv_build = directory / "venv-build.sh"
        self.venv_build.write_text("echo under policies\n")

    def run(self, who: str, *args: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``python ARGS`` as *who*."""
        environment = {"MRJOB_CONF": str(self.conf), "AWS_ACCESS_KEY_ID": who}
        return self.line.run(*args, stdin=stdin, **environment)

    def job(self, who: str, script: Path, *args: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        switches = ("-r", "pybundle-emr", "--pybundle-venv-build", self.venv_build)
        return self.run(who, script, *switches, *args, stdin=stdin)

    def command(self, who: str, *args: str) -> subprocess.CompletedProcess[str]:
        """Run ``mrjob-pybundle ARGS`` as *who*."""
        return self.run(who, "-c", "import sys; from mrjob_pybundle.command.main import main; sys.exit(main())", *args)

    def refused(self, who: str) -> set[Call]:
        return {call for call in self.line.access.refused if call.principal == who}


@pytest.fixture(scope="module")
def team(line: Line, tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A team with a cache of its own, in which there is a Python already."""
    directory = tmp_path_factory.mktemp("policies")
    s3 = line.client("s3")
    for bucket in ("bundles", "scratch", "facts"):
        _empty_bucket(line, bucket)
        rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KMS_KEY}
        rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]}
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)
    s3.put_object(Bucket="facts", Key="in/lines.txt", Body=b"abc\nabcd\nxyz\n")
    if not any("/v1/python/" in key for key in line.objects()):
        run = line.job(JOB, stdin="abc\n")
        assert run.returncode == 0, run.stderr[-6000:]
    for key in line.objects():
        if "/v1/python/" in key:
            name = key.split("/v1/")[1]
            s3.put_object(Bucket="bundles", Key=f"pybundle/v1/{name}", Body=line.read(key))
    conf = directory / "mrjob.conf"
    sandbox_conf = line.directory / "sandbox" / "mrjob.conf"
    conf.write_text(CONF.format(sandbox_conf=sandbox_conf, version=CPYTHON, tarball=tarball))
    headings = documents()
    policies = {who: [filled_in(headings[name]) for name in names] for who, names in GRANTED.items()}
    with line.access.restricted({**policies, "stranger": []}):
        yield Team(line, conf, directory)


def _empty_bucket(line: Line, bucket: str) -> None:
    s3 = line.client("s3")
    s3.create_bucket(Bucket=bucket)
    for key in line.objects(bucket):
        s3.delete_object(Bucket=bucket, Key=key)


def test_who_may_only_use_the_cache_builds_nothing(team: Team) -> None:
    team.line.new_clusters()
    run = team.job("may-use", JOB, stdin="abc\n")
    assert run.returncode == 1
    assert re.search(r"No permission \(writing s3://bundles/pybundle/v1/claims/", run.stderr.splitlines()[-1])
    assert "Traceback" not in run.stderr
    assert {call.action for call in team.refused("may-use")} == {"s3:PutObject"}
    assert team.line.new_clusters() == []


def test_somebody_elses_bucket(team: Team) -> None:
    """A cache that is not the expected account's: nothing is read, written or launched."""
    team.line.new_clusters()
    before = team.line.objects("bundles")
    run = team.job("may-build", JOB, "--pybundle-bucket-owner", "210987654321", stdin="abc\n")
    assert run.returncode == 1
    assert "The bucket bundles does not belong to account 210987654321" in run.stderr.splitlines()[-1]
    assert "pybundle_bucket_owner" in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
    assert (team.line.new_clusters(), team.line.objects("bundles")) == ([], before)


def test_somebody_elses_bucket_that_may_not_be_asked(team: Team) -> None:
    """S3 gives the same answer for two reasons, and people read of both."""
    run = team.job("stranger", JOB, "--pybundle-bucket-owner", "210987654321", stdin="abc\n")
    assert run.returncode == 1
    said = run.stderr.splitlines()[-1]
    assert said.startswith("No permission, or the bucket bundles does not belong to account 210987654321")


def test_a_build_that_cannot_be_launched(team: Team) -> None:
    """Its author gives the claim back."""
    with team.line.faults.injected(Rule("RunJobFlow", ACCESS_DENIED_BY_EMR, who="may-build")):
        run = team.job("may-build", JOB, stdin="abc\n")
    assert "No permission (launching a build cluster (RunJobFlow)" in run.stderr
    assert not any("/claims/" in key for key in team.line.objects("bundles"))
    assert team.refused("may-build") == set()


def test_a_build_that_fails(team: Team, tmp_path: Path) -> None:
    """With a tarball that cannot be compiled: it is staged, fetched, and found out."""
    tarball = tmp_path / "Python-3.13.5.tgz"
    tarball.write_bytes(source_tarball())
    run = team.job("may-build", JOB, "--pybundle-python-source", tarball, stdin="abc\n")
    assert run.returncode == 1
    assert "failed in stage configure" in run.stderr
    assert not any("/claims/" in key for key in team.line.objects("bundles"))
    assert team.refused("may-build") | team.refused("role-BundleBuilder") == set()


def test_who_may_build_does(team: Team) -> None:
    run = team.job("may-build", JOB, "s3://facts/in/", "--output-dir", "s3://facts/out/", "--cat-output")
    assert run.returncode == 0, run.stderr[-6000:]
    assert sorted(run.stdout.splitlines()) == ["3\t2", "4\t1"]
    assert "Build" in run.stderr
    assert not any("/claims/" in key for key in team.line.objects("bundles"))
    for who in ("may-build", "role-BundleBuilder", "role-JobNode"):
        assert team.refused(who) == set()


def test_who_may_only_use_the_cache_uses_it(team: Team) -> None:
    team.line.access.refused.clear()
    run = team.job("may-use", JOB, "s3://facts/in/")
    assert run.returncode == 0, run.stderr[-6000:]
    assert sorted(run.stdout.splitlines()) == ["3\t2", "4\t1"]
    assert "may not note" not in run.stderr
    assert team.line.access.refused == set()


def test_no_mapper_writes_into_the_cache(team: Team) -> None:
    """Nor to where bootstrap scripts lie. It really tries, with what its node may."""
    cached = [f"s3://bundles/{key}" for key in team.line.objects("bundles")]
    scripts = [f"s3://scratch/{key}" for key in team.line.objects("scratch") if key.startswith("tmp/pybundle/")]
    archive = next(uri for uri in cached if "/venv/" in uri and uri.endswith(".tar.gz"))
    manifest = next(uri for uri in cached if "/venv/" in uri and uri.endswith("manifest.json"))
    build = next(uri for uri in cached if uri.endswith("/build-binaries.sh"))
    before = team.line.objects("bundles"), team.line.objects("scratch")
    tries = [f"cp /etc/hostname {uri}" for uri in (archive, manifest, build, scripts[0], "s3://bundles/new")]
    tries += [f"rm {uri}" for uri in (archive, manifest, scripts[0])]
    run = team.job("may-use", AWS_JOB, stdin="\n".join([*tries, "cp /etc/hostname s3://facts/mine", ""]))
    assert run.returncode == 0, run.stderr[-6000:]
    answers = {}
    for text in run.stdout.splitlines():
        command, answer = text.split("\t")
        answers[json.loads(command)] = json.loads(answer)
    for command in tries:
        status, said = answers[command]
        assert status == 1
        assert "AccessDenied" in said
    assert answers["cp /etc/hostname s3://facts/mine"] == [0, ""]
    after = team.line.objects("bundles"), team.line.objects("scratch")
    assert after[0] == before[0]
    assert set(scripts) <= {f"s3://scratch/{key}" for key in after[1]}


def test_a_role_that_may_not_be_passed(team: Team) -> None:
    """Who may only use the cache gets no cluster that could write to it."""
    emr = team.line.client("emr", "may-use")
    request: dict[str, Any] = {"Name": "x", "ReleaseLabel": "emr-7.0.0", "ServiceRole": "EmrService"}
    instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1}
    with pytest.raises(ClientError) as refusal:
        emr.run_job_flow(**request, JobFlowRole="BundleBuilder", Instances=instances)
    assert refusal.value.response["Error"]["Code"] == "AccessDeniedException"


def test_who_pins_a_bundle(team: Team) -> None:
    """And lets go of it."""
    before = team.line.objects("bundles")
    params = team.command("may-pin", "cluster-params", "--no-spark", "--pybundle-venv-build", str(team.venv_build))
    assert params.returncode == 0, params.stderr
    action = json.loads(params.stdout)["BootstrapActions"][0]["ScriptBootstrapAction"]
    script = action["Path"].removeprefix("s3://bundles/")
    unpinned = team.command("may-pin", "unpin", script.split("/")[-3])
    assert unpinned.returncode == 0, unpinned.stderr
    assert team.line.objects("bundles").keys() - before.keys() == {script}
    assert team.refused("may-pin") == set()


def test_who_cleans_up(team: Team) -> None:
    """While a cluster lives, which is asked what it needs."""
    emr = team.line.client("emr")
    roles = {"ServiceRole": "EmrService", "JobFlowRole": "JobNode"}
    instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
    cluster_id = emr.run_job_flow(Name="lives", ReleaseLabel="emr-7.0.0", **roles, Instances=instances)["JobFlowId"]
    (manifest,) = [k for k in team.line.objects("bundles") if "/venv/" in k and k.endswith("manifest.json")]
    runs = [team.command("cleaner", "ls"), team.command("cleaner", "rm", manifest.split("/")[-2])]
    for key in team.line.objects("bundles"):
        team.line.make_older(key, 30 * 24 * 3600, bucket="bundles")
    runs.append(team.command("cleaner", "gc"))
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    assert [run.returncode for run in runs] == [0, 0, 0], [run.stderr for run in runs]
    left = [key for key in team.line.objects("bundles") if "/venv/" in key]
    assert not [key for key in left if key.endswith((".tar.gz", "manifest.json"))]
    assert team.refused("cleaner") == set()


def test_the_buckets_decide_on_encryption(team: Team) -> None:
    """No request says how to encrypt; so all that a job and a build store is encrypted as its bucket says."""
    principals = {"may-use", "may-build", "role-BundleBuilder", "role-JobNode"}
    said = {key for call in team.line.access.calls if call.principal in principals for key, _ in call.context}
    assert said == {"iam:PassedToService"}
    s3 = team.line.client("s3")
    for bucket in ("bundles", "scratch"):
        for key in team.line.objects(bucket):
            head = s3.head_object(Bucket=bucket, Key=key)
            assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", KMS_KEY)


_FASTER = "reads what another build has published first, or what is damaged"
_LARGE = "uploads of more than 8 MB have parts, which are deleted if it fails"
_HADOOP = "what EMR's file system and Hadoop's output committer do besides, which the sandbox has not"
_EMR = "EMR's own programs, which lie in a bucket of AWS's"
_LOST = "looks for a build whose launch EMR did not confirm; pool_clusters"
_MISSING = "an archive that is gone is to be told as 404, not as 403"
_POOLS = "pool_clusters"
_JOINS = "--cluster-id"

_CLUSTER = "arn:aws:elasticmapreduce:REGION:ACCOUNT:cluster/*"
_V1 = "arn:aws:s3:::CACHE-BUCKET/pybundle/v1"
_TMP, _LOGS, _DATA = "arn:aws:s3:::TMP-BUCKET/tmp/*", "arn:aws:s3:::TMP-BUCKET/tmp/logs/*", "arn:aws:s3:::DATA-BUCKET/*"

#: What the runs above don't need of the policies, and why it is in there.
NOT_SEEN = {
    (USE, "s3:AbortMultipartUpload", _TMP): _LARGE,
    (USE, "elasticmapreduce:ListBootstrapActions", _CLUSTER): _JOINS,
    (USE, "elasticmapreduce:ListClusters", "*"): _LOST,
    (USE, "elasticmapreduce:ListInstanceFleets", _CLUSTER): _POOLS,
    (USE, "elasticmapreduce:ListInstanceGroups", _CLUSTER): _POOLS,
    (USE, "elasticmapreduce:ListInstances", _CLUSTER): "mrjob's ways to fetch logs by ssh",
    (USE, "elasticmapreduce:ListSteps", _CLUSTER): _POOLS,
    (USE, "elasticmapreduce:RemoveTags", _CLUSTER): _POOLS,
    (MASTER, "s3:AbortMultipartUpload", f"{_V1}/builds/*"): _LARGE,
    (MASTER, "s3:AbortMultipartUpload", f"{_V1}/python/*"): _LARGE,
    (MASTER, "s3:AbortMultipartUpload", f"{_V1}/venv/*"): _LARGE,
    (MASTER, "s3:AbortMultipartUpload", _LOGS): _LARGE,
    (MASTER, "s3:GetObject", "arn:aws:s3:::REGION.elasticmapreduce/*"): _EMR,
    (MASTER, "s3:GetObject", f"{_V1}/venv/*"): _FASTER,
    (MASTER, "s3:ListBucket", "arn:aws:s3:::CACHE-BUCKET"): _MISSING,
    (NODE, "s3:AbortMultipartUpload", _DATA): _HADOOP,
    (NODE, "s3:AbortMultipartUpload", _TMP): _HADOOP,
    (NODE, "s3:DeleteObject", _DATA): _HADOOP,
    (NODE, "s3:GetObject", "arn:aws:s3:::REGION.elasticmapreduce/*"): _EMR,
    (NODE, "s3:ListBucket", "arn:aws:s3:::CACHE-BUCKET"): _MISSING,
    (NODE, "s3:ListMultipartUploadParts", _DATA): _HADOOP,
    (NODE, "s3:ListMultipartUploadParts", _TMP): _HADOOP,
    (CLEAN, "elasticmapreduce:DescribeCluster", _CLUSTER): "a claim that names a cluster which does not live",
    (CLEAN, "s3:PutObject", f"{_V1}/python/*/retired"): "the same of a Python, once no bundle is on it",
}


def _list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _pairs(document: str) -> Iterator[tuple[dict[str, Any], str, str]]:
    for statement in json.loads(document)["Statement"]:
        for action in _list(statement["Action"]):
            for resource in _list(statement["Resource"]):
                yield statement, action, resource


def _is_seen(statement: dict[str, Any], action: str, resource: str, calls: Iterable[Call]) -> bool:
    alone = {**statement, "Effect": "Allow", "Action": action, "Resource": resource}
    policy = Policy(filled_in(json.dumps({"Version": "2012-10-17", "Statement": [alone]})))
    return any(policy.verdict(call) is PermissionResult.PERMITTED for call in calls)


@pytest.mark.parametrize("name", [USE, BUILD, PIN, MASTER, NODE, CLEAN])
def test_nothing_is_allowed_beyond_what_is_needed(team: Team, name: str) -> None:
    who = {principal for principal, names in GRANTED.items() if name in names}
    calls = [call for call in team.line.access.calls | team.line.access.refused if call.principal in who]
    unseen = {
        (name, action, resource)
        for statement, action, resource in _pairs(documents()[name])
        if not _is_seen(statement, action, resource, calls)
    }
    assert sorted(unseen) == sorted(pair for pair in NOT_SEEN if pair[0] == name)
