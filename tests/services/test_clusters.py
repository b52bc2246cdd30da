"""What a job on a cluster that is already there asks of EMR, and the steps that it sends there."""

from __future__ import annotations

import importlib
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.emr import Emr, Life, Machines, kinds_of_fleets
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.errors import OptionError
from mrjob_pybundle.job.spark import is_in_client_mode
from mrjob_pybundle.nodes.carried import check_can_be_carried
from tests.team import Team


class PlainTeam(Team):
    """A team whose cache has an address that Hadoop takes, and a Python that Spark runs."""

    @property
    def cache(self) -> Cache:
        return Cache(S3Uri(self.bucket, "cache"), self.s3)

    @property
    def switches(self) -> list[str]:
        ours = ["--pybundle-cache-uri", str(self.cache.root), "--pybundle-python-version", "3.11.2"]
        return [*super().switches, *ours]


@pytest.fixture
def team(bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> PlainTeam:
    return PlainTeam(bucket.bucket, tmp_path, capsys)


@pytest.fixture
def cluster_id(aws_environment: dict[str, str]) -> str:
    """A cluster that has never heard of us."""
    return launch_plain_cluster()


def launch_plain_cluster() -> str:
    """Have a cluster without a bundle, in the EMR that the environment names. Returns its id."""
    launched = (
        Credentials("us-east-1")
        .emr_client()
        .run_job_flow(
            Name="theirs",
            ReleaseLabel="emr-7.14.0",
            Applications=[{"Name": "Hadoop"}, {"Name": "Spark"}],
            JobFlowRole="EMR_EC2_DefaultRole",
            ServiceRole="EMR_DefaultRole",
            Instances={
                "KeepJobFlowAliveWhenNoSteps": True,
                "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}],
            },
        )
    )
    return str(launched["JobFlowId"])


def _spark_job(team: PlainTeam, cluster_id: str, *args: str) -> Any:
    """The runner of a job with a Spark step, whose bundle is cached."""
    team.publish(team.spec("--cluster-id", cluster_id), "build-1")
    team.s3.put_object(Bucket=team.bucket, Key="input", Body=b"x\n")
    switches = ["-r", "pybundle-emr", *team.switches, "--cluster-id", cluster_id, *args]
    job_class = importlib.import_module("tests.jobs.mr_spark").MRSpark
    return job_class([*switches, f"s3://{team.bucket}/input"]).make_runner()


def test_spark_gets_what_a_job_brings_along(team: PlainTeam, cluster_id: str) -> None:
    """Driver and executors: Spark links files into both's working directories, by the name after the hash."""
    runner = _spark_job(team, cluster_id)
    runner._launch()
    (step,) = team.emr.list_steps(ClusterId=cluster_id)["Steps"]
    args = step["Config"]["Args"]
    bundle = team.cache.bundles.find(runner.bundle_spec)
    assert bundle is not None
    files = dict(reversed(uri.split("#")) for uri in args[args.index("--files") + 1].split(",") if "#pybundle-" in uri)
    whats = ("activate", "jobrunner", "python.tar.gz", "unpack", "venv-exec", "venv.tar.gz")
    assert sorted(files) == [f"pybundle-{bundle.id}-{what}" for what in whats]
    assert files[f"pybundle-{bundle.id}-venv.tar.gz"] == str(team.cache.bundles.archive_uri("venv", bundle.venv))
    # Spark on YARN drops files of the same name, whatever comes after the hash
    assert len({uri.rpartition("/")[2] for uri in files.values()}) == 6
    python = f"PYSPARK_PYTHON=./pybundle-{bundle.id}-jobrunner"
    assert {f"spark.executorEnv.{python}", f"spark.yarn.appMasterEnv.{python}"} <= set(args)
    assert args[args.index("--deploy-mode") + 1] == "cluster"


def _sparks_pythons(team: PlainTeam, cluster_id: str, *switches: str) -> dict[str, str]:
    """What the last one to say so says of Spark's Python, in the step of a job with *switches*."""
    _spark_job(team, cluster_id, *switches)._launch()
    (step,) = team.emr.list_steps(ClusterId=cluster_id)["Steps"]
    said = [text.partition("=") for text in step["Config"]["Args"] if text.startswith("spark.")]
    return {name.removeprefix("spark."): value for name, _, value in said if "python" in name.lower()}


def test_spark_is_told_where_it_looks_first(team: PlainTeam, cluster_id: str) -> None:
    """Its cluster may have another Python in spark-defaults, which beats PYSPARK_PYTHON."""
    pythons = _sparks_pythons(team, cluster_id, "--setup", "true")
    assert len(set(pythons.values())) == 1, "driver and executors, by setting and by variable"
    assert set(pythons) >= {"pyspark.python", "pyspark.driver.python", "yarn.appMasterEnv.PYSPARK_PYTHON"}
    assert next(iter(pythons.values())).startswith("./"), "in the container, with setup commands"


@pytest.mark.parametrize(
    ("switches", "wanted"),
    [
        (["-D", "spark.pyspark.python=theirs"], {"pyspark.python": "theirs", "pyspark.driver.python": None}),
        (["-D", "spark.pyspark.driver.python=theirs"], {"pyspark.driver.python": "theirs", "pyspark.python": "ours"}),
        (
            ["--cmdenv", "PYSPARK_PYTHON=theirs"],
            {"pyspark.python": "theirs", "pyspark.driver.python": "theirs", "executorEnv.PYSPARK_PYTHON": "theirs"},
        ),
        (
            ["--cmdenv", "PYSPARK_DRIVER_PYTHON=theirs"],
            {"pyspark.python": "ours", "pyspark.driver.python": "theirs"},
        ),
        (
            ["-D", "spark.yarn.appMasterEnv.PYSPARK_PYTHON=theirs"],
            {"pyspark.python": None, "yarn.appMasterEnv.PYSPARK_PYTHON": "theirs"},
        ),
        (["--spark-args=--conf spark.pyspark.python=theirs"], {"pyspark.python": "theirs"}),
        (["--python-bin", "theirs"], {"pyspark.python": "theirs", "pyspark.driver.python": "theirs"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_job_that_names_sparks_python_itself(
    team: PlainTeam,
    cluster_id: str,
    switches: list[str],
    wanted: dict[str, str | None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It wins, with a warning, as python_bin does; and driver and executors are not torn apart unless it says so."""
    pythons = _sparks_pythons(team, cluster_id, *switches)
    jobrunner = pythons.get("pyspark.python")
    ours = jobrunner if jobrunner and "jobrunner" in jobrunner else "none"
    assert {name: pythons.get(name) for name in wanted} == {
        name: ours if value == "ours" else value for name, value in wanted.items()
    }
    assert "theirs, not on the bundle's Python" in caplog.text


def test_sparks_python_of_a_cluster_is_not_the_jobs(
    team: PlainTeam, cluster_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    exports = {"Classification": "export", "Properties": {"PYSPARK_PYTHON": "/usr/bin/python3"}}
    configurations = [
        {"Classification": "spark-defaults", "Properties": {"spark.pyspark.python": "/usr/bin/python3"}},
        {"Classification": "spark-env", "Configurations": [exports]},
    ]
    given = [f"--emr-configuration={json.dumps(configuration)}" for configuration in configurations]
    pythons = _sparks_pythons(team, cluster_id, *given)
    assert len(set(pythons.values())) == 1
    for name in ("spark.pyspark.python", "PYSPARK_PYTHON"):
        assert f"{name} in emr_configurations is not for this job: its steps run on the bundle's Python" in caplog.text


@pytest.mark.parametrize(
    ("bucket_name", "prefix"),
    [
        ("my_bucket", "cache"),
        ("ends-", "cache"),
        ("a.bucket.1", "cache"),
        ("my-bucket", "a//b"),
        ("my-bucket", "a/../b"),
    ],
)
def test_where_hadoop_finds_nothing(team: PlainTeam, cluster_id: str, bucket_name: str, prefix: str) -> None:
    """S3 and S3A differ on what that is. A build would be in vain."""
    team.s3.create_bucket(Bucket=bucket_name)
    cache = ["--pybundle-cache-uri", f"s3://{bucket_name}/{prefix}"]
    refused = team.run("build", "--cluster-id", cluster_id, *cache)
    assert refused.status == 2
    assert f"Hadoop cannot bring files there from s3://{bucket_name}/{prefix}: " in refused.err


@pytest.mark.parametrize("bucket_name", ["My-Bucket", "a.bucket.b1", "1-bucket-s3alias"])
def test_where_hadoop_finds_it(team: PlainTeam, bucket_name: str) -> None:
    """As S3A of Hadoop 3.4.2 does."""
    check_can_be_carried("j-1", Cache(S3Uri(bucket_name, "a.b/c"), team.s3), S3Uri(bucket_name, ""))


@pytest.mark.parametrize("said", [None, "binary"])
def test_job_history_is_json(team: PlainTeam, cluster_id: str, said: str | None) -> None:
    """Unless the job says otherwise."""
    team.publish(team.spec("--cluster-id", cluster_id), "build-1")
    team.s3.put_object(Bucket=team.bucket, Key="input", Body=b"x\n")
    switches = [f"-Dmapreduce.jobhistory.jhist.format={said}"] if said else []
    job_class = importlib.import_module("tests.jobs.mr_line_lengths").MRLineLengths
    args = [*team.switches, "--cluster-id", cluster_id, *switches, f"s3://{team.bucket}/input"]
    job_class(["-r", "pybundle-emr", *args]).make_runner()._launch()
    (step,) = team.emr.list_steps(ClusterId=cluster_id)["Steps"]
    assert f"mapreduce.jobhistory.jhist.format={said or 'json'}" in step["Config"]["Args"]


LONG = "x" * 10_300


@pytest.mark.parametrize(
    ("job", "switches", "belong_to"),
    [
        ("mr_line_lengths.MRLineLengths", [f"-D=a={LONG}"], "-D"),
        ("mr_line_lengths.MRLineLengths", ["s3://{bucket}/" + LONG[:900]] * 11, "-input"),
        ("mr_spark.MRSpark", [f"--cmdenv=A={LONG}"], "--conf"),
        ("mr_one_jar.MROneJar", [f"--jar-arg={LONG}"], "the first ones"),
    ],
    ids=["streaming, a setting", "streaming, inputs", "Spark", "a jar"],
)
def test_a_step_that_is_too_long_for_emr(
    team: PlainTeam, cluster_id: str, job: str, switches: list[str], belong_to: str
) -> None:
    """Told is what makes it long."""
    team.publish(team.spec("--cluster-id", cluster_id), "build-1")
    for key in ("input", LONG[:900]):
        team.s3.put_object(Bucket=team.bucket, Key=key, Body=b"x\n")
    module, _, name = job.partition(".")
    args = [switch.format(bucket=team.bucket) for switch in switches]
    runner = getattr(importlib.import_module(f"tests.jobs.{module}"), name)(
        ["-r", "pybundle-emr", *team.switches, "--cluster-id", cluster_id, *args, f"s3://{team.bucket}/input"]
    ).make_runner()
    with pytest.raises(
        OptionError, match=r"Step 1 of 1 has arguments of \d\d,\d{3} characters .* takes 10,240"
    ) as raised:
        runner._launch()
    assert f" belong to {belong_to}" in str(raised.value)
    assert ("are the bundle's, which the job need not bring" in str(raised.value)) == ("jar" not in job)
    assert team.emr.list_steps(ClusterId=cluster_id)["Steps"] == []


@pytest.mark.parametrize(("length", "launched"), [(9_000, 1), (11_000, 0)])
def test_no_cluster_is_launched_for_a_step_that_is_too_long(team: PlainTeam, length: int, launched: int) -> None:
    """It would run nothing. Which steps mrjob makes, it asks the cluster; but there is none yet."""
    team.publish(team.spec(), "build-1")
    team.s3.put_object(Bucket=team.bucket, Key="input", Body=b"x\n")
    job_class = importlib.import_module("tests.jobs.mr_line_lengths").MRLineLengths
    args = ["-r", "pybundle-emr", *team.switches, f"-D=a={'x' * length}", f"s3://{team.bucket}/input"]
    before = {cluster["Id"] for cluster in team.emr.list_clusters()["Clusters"]}
    told = pytest.raises(OptionError, match="and EMR takes 10,240")
    with nullcontext() if launched else told:
        job_class(args).make_runner()._launch()
    after = {cluster["Id"] for cluster in team.emr.list_clusters()["Clusters"]}
    assert len(after - before) == launched


@pytest.mark.parametrize("switch", ["--deploy-mode client", "--deploy-mode=client"])
def test_spark_drivers_on_the_master_are_refused(team: PlainTeam, cluster_id: str, switch: str) -> None:
    runner = _spark_job(team, cluster_id, f"--spark-args={switch}")
    with pytest.raises(OptionError, match="Leave out --deploy-mode client"):
        runner.run()
    assert team.emr.list_steps(ClusterId=cluster_id)["Steps"] == []


def test_where_a_driver_would_run_matters_to_sparks_own_steps(team: PlainTeam, cluster_id: str) -> None:
    """``spark_args`` of a conf are also there for jobs that have no part in them, and may hold numbers."""
    team.publish(team.spec("--cluster-id", cluster_id), "build-1")
    team.s3.put_object(Bucket=team.bucket, Key="input", Body=b"x\n")
    job_class = importlib.import_module("tests.jobs.mr_line_lengths").MRLineLengths
    args = [*team.switches, "--cluster-id", cluster_id, "--spark-args=--deploy-mode client"]
    runner = job_class(["-r", "pybundle-emr", *args, f"s3://{team.bucket}/input"]).make_runner()
    runner._opts["spark_args"].append(4)
    runner._launch()
    assert len(team.emr.list_steps(ClusterId=cluster_id)["Steps"]) == 1
    assert is_in_client_mode(["--num-executors", 4, "--deploy-mode", "client"], {})


@pytest.mark.parametrize("on_cluster", [True, False])
def test_a_bucket_for_temporary_files_is_made(team: PlainTeam, cluster_id: str, on_cluster: bool) -> None:
    """As mrjob does, whether there is a bundle or not; and once, or S3 says that it is there already."""
    cluster = ["--cluster-id", cluster_id] if on_cluster else []
    team.publish(team.spec(*cluster), "build-1")
    team.s3.put_object(Bucket=team.bucket, Key="input", Body=b"x\n")
    job_class = importlib.import_module("tests.jobs.mr_line_lengths").MRLineLengths
    tmp_dir = f"s3://{team.bucket}-not-there-yet/tmp/"
    args = [*team.switches, *cluster, "--cloud-tmp-dir", tmp_dir, f"s3://{team.bucket}/input"]
    job_class(["-r", "pybundle-emr", *args]).make_runner()._launch()
    (made,) = [found["Name"] for found in team.s3.list_buckets()["Buckets"] if found["Name"] in tmp_dir.split("/")]
    keys = [found["Key"] for found in team.s3.list_objects_v2(Bucket=made)["Contents"]]
    assert any(key.startswith("tmp/pybundle/") for key in keys)


def test_another_python_has_its_own_environment(team: PlainTeam, cluster_id: str) -> None:
    """Setup commands of a job that has named its Python run as with ``-r emr``; so do filters before a mapper."""
    team.publish(team.spec("--cluster-id", cluster_id), "build-1")
    team.s3.put_object(Bucket=team.bucket, Key="input", Body=b"x\n")
    job_class = importlib.import_module("tests.jobs.mr_line_lengths").MRLineLengths
    for switches in ([], ["--python-bin", "python3"]):
        args = [*team.switches, "--cluster-id", cluster_id, "--setup", "true", *switches, f"s3://{team.bucket}/input"]
        runner = job_class(["-r", "pybundle-emr", *args]).make_runner()
        runner._launch()
        wrapper = Path(runner._setup_wrapper_script_path).read_text("utf-8")
        assert ("activate" in wrapper) == (not switches)
        assert ("mrjob.zip" in wrapper) == bool(switches)


def test_instances_of_fleets() -> None:
    """In the shape of ListInstanceFleets' answer in the Amazon EMR API Reference; moto has no fleets."""
    fleets = [
        {"InstanceFleetType": "MASTER", "InstanceTypeSpecifications": [{"InstanceType": "m5.xlarge"}]},
        {
            "InstanceFleetType": "CORE",
            "InstanceTypeSpecifications": [{"InstanceType": "r5.xlarge"}, {"InstanceType": "m6g.xlarge"}],
        },
    ]
    machines = Machines.of("emr-7.14.0", None, kinds_of_fleets(fleets))
    assert machines.instance_types == ("m5.xlarge", "r5.xlarge", "m6g.xlarge")


def test_instances_with_an_ami_of_their_own() -> None:
    """A group's or a fleet's CustomAmiId counts more than the cluster's."""
    groups = [{"InstanceType": "m5.xlarge", "CustomAmiId": "ami-1"}, {"InstanceType": "r5.xlarge"}]
    assert Machines.of("emr-7.14.0", "ami-1", groups).image_id == "ami-1"
    assert Machines.of("emr-7.14.0", "ami-2", groups[:1]).image_id == "ami-1"
    with pytest.raises(OptionError, match="different AMIs: ami-1 and the release's own"):
        Machines.of("emr-7.14.0", None, groups)


def test_what_emr_says_of_a_cluster(team: PlainTeam, cluster_id: str) -> None:
    cluster = Emr(Credentials("us-east-1")).existing_cluster(cluster_id)
    assert (cluster.machines.release_label, cluster.machines.image_id) == ("emr-7.14.0", None)
    assert cluster.machines.instance_types == ("m5.xlarge",)
    assert cluster.script_names == frozenset()


def test_living_ended_and_unknown(team: PlainTeam, cluster_id: str) -> None:
    emr = Emr(Credentials("us-east-1"))
    assert (emr.cluster(cluster_id).life, emr.cluster(cluster_id).name) == (Life.LIVING, "theirs")
    assert cluster_id in {cluster.id for cluster in emr.living_clusters()}
    emr.terminate(cluster_id)
    assert emr.cluster(cluster_id).life is Life.ENDED
    assert cluster_id not in {cluster.id for cluster in emr.living_clusters()}
    unknown = emr.cluster("j-UNKNOWN")
    assert (unknown.life, unknown.reason) == (Life.UNKNOWN, "EMR in us-east-1 does not know it")


def test_a_job_on_a_cluster_that_is_not_there(team: PlainTeam, cluster_id: str) -> None:
    """Two errors, and each says what is wrong."""
    emr = Emr(Credentials("us-east-1"))
    with pytest.raises(OptionError, match="There is no cluster j-UNKNOWN in us-east-1"):
        emr.existing_cluster("j-UNKNOWN")
    emr.terminate(cluster_id)
    with pytest.raises(OptionError, match=f"Cluster {cluster_id} takes no more jobs: it is TERMINAT"):
        emr.existing_cluster(cluster_id)
