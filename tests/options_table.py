"""The table of mrjob's own options in docs/options.md: ``python -m tests.options_table`` writes it anew.

tests/unit/test_options_table.py compares it with mrjob's options, with the document, and with what options really do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[1] / "docs" / "options.md"

#: What a cell says of an option that does what it does with ``-r emr``, and of one that plays no part.
AS_EVER = "as ever"
NO_PART = "–"


@dataclass(frozen=True)
class Row:
    """What an option of mrjob's does for the job (its cluster and its steps), for the build cluster, for the bundle."""

    #: a value that is not the default, and what it needs besides
    example: Any
    job: str = AS_EVER
    build: str = NO_PART
    bundle: str = NO_PART
    #: of what is said otherwise of the job, or cannot be seen without a cluster
    tests: tuple[str, ...] = ()
    besides: dict[str, Any] = field(default_factory=dict)


def _group(instance_type: str) -> dict[str, Any]:
    return {"InstanceRole": "MASTER", "InstanceType": instance_type, "InstanceCount": 1}


_NODES = "not taken from `emr:`; else steps run on it, not on the bundle's, with a warning"
_SPARKS = "as ever; what `emr:` says in it of Spark's Python is not taken"
_ARCHITECTURE: dict[str, Any] = {"build": "has the same architecture", "bundle": "key: architecture"}
_KEYS: dict[str, Any] = {"build": "the same account", "bundle": "the cache is reached with it"}
_RELEASE: dict[str, Any] = {"build": "the same", "bundle": "key: operating system"}
_INHERITED = ("test_the_nodes_python_of_emr_conf_is_left_out_with_one_notice",)
_INHERITED_SPARK = ("test_sparks_python_of_emr_conf_is_left_out_with_the_same_notice",)

ROWS: dict[str, Row] = {
    "add_steps_in_batch": Row(
        True,
        "unset: on, where the cluster is the job's own and runs one step at a time",
        tests=("test_more_steps_than_a_cluster_takes_at_once", "test_how_steps_are_sent_by_default"),
    ),
    "additional_emr_info": Row("{}", build="the same"),
    "applications": Row(["Hive"]),
    "aws_access_key_id": Row("AKIA", **_KEYS),
    "aws_secret_access_key": Row("secret", **_KEYS),
    "aws_session_token": Row("token", **_KEYS),
    "bootstrap": Row(
        ["true"],
        "as ever; lines that install Python packages, which no task sees, are told",
        tests=("test_each_line_is_told_once",),
    ),
    "bootstrap_actions": Row(
        ["s3://b/a"],
        "as ever, after the bundle's; with that, 16 in all",
        tests=(
            "test_refused_in_one_line",
            "test_as_many_bootstrap_actions_as_emr_runs",
            "test_mrjobs_options_still_work",
        ),
    ),
    "bootstrap_mrjob": Row(
        True,
        "off, unless the job names another Python: mrjob is in the bundle; not taken from `emr:`",
        tests=(*_INHERITED, "test_mrjob_comes_along_for_a_python_that_need_not_have_it"),
    ),
    "bootstrap_python": Row(True, "as ever; not taken from `emr:`", tests=_INHERITED_SPARK),
    "bootstrap_spark": Row(True),
    "check_cluster_every": Row(7.0, build="EMR is asked as often for its state"),
    "check_input_paths": Row(False),
    "cleanup": Row(["NONE"]),
    "cleanup_on_failure": Row(["NONE"]),
    "cloud_fs_sync_secs": Row(
        3.0, "0 by default: S3 needs no such wait any more", tests=("test_defaults_that_are_not_mrjobs",)
    ),
    "cloud_log_dir": Row("s3://logs/", build="the same"),
    "cloud_part_size_mb": Row(7),
    "cloud_tmp_dir": Row(
        "s3://other/tmp/",
        "as ever; what nodes run first is in `pybundle/` below it",
        "logs are below it, without `cloud_log_dir`",
        "the cache is in its bucket, without `pybundle_cache_uri`",
        tests=("test_spark_gets_what_a_job_brings_along", "test_the_cache_in_mrjobs_own_bucket"),
    ),
    "cluster_id": Row(
        "j-1",
        "as ever; the job brings the bundle along, if the cluster was created without",
        "release and AMI are that cluster's",
        "key: operating system and architecture are that cluster's",
        tests=("test_a_job_brings_a_missing_bundle_along", "test_the_cluster_decides_on_the_bundle"),
    ),
    "cmdenv": Row({"A": "b"}, _SPARKS, tests=_INHERITED_SPARK),
    "core_instance_bid_price": Row("0.1", besides={"num_core_instances": 1}),
    "core_instance_type": Row(
        "m6g.xlarge", **_ARCHITECTURE, besides={"num_core_instances": 1, "master_instance_type": "m6g.xlarge"}
    ),
    "docker_client_config": Row("hdfs:///config.json"),
    "docker_image": Row("image", "refused: containers don't see the bundle", tests=("test_refused_in_one_line",)),
    "docker_mounts": Row(["/a:/a:ro"]),
    "ebs_root_volume_gb": Row(77, build="the same"),
    "ec2_endpoint": Row("http://127.0.0.1:9"),
    "ec2_key_pair": Row("mine", build="the same"),
    "ec2_key_pair_file": Row("/mine.pem"),
    "emr_action_on_failure": Row(
        "CONTINUE",
        "as ever; unset: as mrjob has it for steps in a batch, where they are sent so",
        tests=("test_how_steps_are_sent_by_default",),
    ),
    "emr_configurations": Row(
        [{"Classification": "core-site"}],
        "as ever; the Python that it has for Spark is not that of the job's steps",
        tests=("test_sparks_python_of_a_cluster_is_not_the_jobs",),
    ),
    "emr_endpoint": Row("http://127.0.0.1:9", build="the same"),
    "enable_emr_debugging": Row(True),
    "extra_cluster_params": Row(
        {"CustomAmiId": "ami-1"},
        "as ever; `BootstrapActions` come after the bundle's; what EMR can't know is refused before a build",
        "[in part](#what-a-build-cluster-shares)",
        "key: release, AMI and instances are those after it",
        tests=(
            "test_the_jobs_cluster_is_as_with_r_emr",
            "test_bootstrap_actions_are_added_to_the_bundles",
            "test_what_cannot_work_is_said_before_anything_is_launched",
            "test_a_build_has_of_the_jobs_cluster_what_it_needs_and_no_more",
            "test_the_key_is_that_of_the_cluster",
        ),
    ),
    "hadoop_extra_args": Row(["-verbose"]),
    "hadoop_streaming_jar": Row("s3://b/streaming.jar"),
    "iam_endpoint": Row("http://127.0.0.1:9", build="the same", tests=("test_where_roles_are_looked_for",)),
    "iam_instance_profile": Row(
        "Nodes",
        build="the same, without `pybundle_build_iam_instance_profile`",
        tests=("test_builders_are_who_the_option_says",),
    ),
    "iam_service_role": Row("Service", build="the same"),
    "image_id": Row("ami-1", build="the same", bundle="key: in place of the operating system"),
    "image_version": Row(
        "6.15.0",
        "7.14.0 by default; before 5.30: refused",
        **_RELEASE,
        tests=("test_defaults_that_are_not_mrjobs", "test_refused_in_one_line"),
        besides={"pybundle_python_version": "3.11.2"},
    ),
    "instance_fleets": Row(
        [{"InstanceFleetType": "MASTER", "InstanceTypeConfigs": [{"InstanceType": "m6g.xlarge"}]}], **_ARCHITECTURE
    ),
    "instance_groups": Row([_group("m6g.xlarge")], **_ARCHITECTURE),
    "instance_type": Row("m6g.xlarge", **_ARCHITECTURE),
    "jobconf": Row(
        {"a": "b"},
        f"{_SPARKS}; Hadoop's job history is JSON, which mrjob reads",
        tests=(*_INHERITED_SPARK, "test_a_job_that_names_sparks_python_itself", "test_job_history_is_json"),
    ),
    "label": Row("mine"),
    "libjars": Row(["s3://b/a.jar"]),
    "local_tmp_dir": Row("/tmp/mine"),
    "master_instance_bid_price": Row("0.1"),
    "master_instance_type": Row("m6g.xlarge", **_ARCHITECTURE),
    "max_clusters_in_pool": Row(3),
    "max_concurrent_steps": Row(3),
    "max_mins_idle": Row(7.0),
    "min_available_mb": Row(3, besides={"ec2_key_pair": "mine", "ec2_key_pair_file": "/mine.pem"}),
    "min_available_virtual_cores": Row(3, besides={"ec2_key_pair": "mine", "ec2_key_pair_file": "/mine.pem"}),
    "num_core_instances": Row(3),
    "num_task_instances": Row(3),
    "owner": Row("grace", build="a tag, and who is building, for the team", bundle="who built and used it"),
    "pool_clusters": Row(
        True,
        "as ever, among clusters with the same bundle, release and AMI",
        tests=("test_a_job_with_another_bundle_does_not_join_the_pool", "test_pools_are_of_one_release_and_ami"),
    ),
    "pool_jitter_seconds": Row(3),
    "pool_name": Row("mine"),
    "pool_timeout_minutes": Row(3),
    "pool_wait_minutes": Row(3),
    "py_files": Row(["s3://b/a.zip"]),
    "python_bin": Row(["python3"], _NODES, tests=(*_INHERITED, "test_a_python_bin_of_our_section_wins_with_a_warning")),
    "read_logs": Row(False),
    "region": Row("eu-west-1", build="the same", bundle="the cache is asked there"),
    "release_label": Row(
        "emr-6.15.0",
        "emr-7.14.0 by default; before 5.30 and without Hadoop: refused",
        **_RELEASE,
        tests=("test_refused_in_one_line",),
        besides={"pybundle_python_version": "3.11.2"},
    ),
    "s3_endpoint": Row("http://127.0.0.1:9", bundle="the cache is asked there"),
    "setup": Row(
        ["true"], "as ever, in the bundle's environment", tests=("test_commands_and_setup_have_the_environment",)
    ),
    "sh_bin": Row(["/bin/bash"]),
    "spark_args": Row(["--verbose"], _SPARKS, tests=_INHERITED_SPARK),
    "spark_submit_bin": Row(["spark-submit"]),
    "ssh_add_bin": Row(["ssh-add"]),
    "ssh_bin": Row(["ssh"]),
    "ssh_bind_ports": Row([40001]),
    "ssh_tunnel": Row(True),
    "ssh_tunnel_is_open": Row(True),
    "subnet": Row(
        "subnet-1", build="the same; with several, an instance fleet", tests=("test_several_subnets_and_zones",)
    ),
    "tags": Row(
        {"team": "data"},
        "as ever, and in RunJobFlow itself, which some roles ask for",
        "the same",
        tests=("test_the_jobs_cluster_is_as_with_r_emr",),
    ),
    "task_instance_bid_price": Row("0.1", besides={"num_task_instances": 1}),
    "task_instance_type": Row(
        "m6g.xlarge",
        **_ARCHITECTURE,
        besides={"num_task_instances": 1, "master_instance_type": "m6g.xlarge"},
    ),
    "task_python_bin": Row(["python3"], _NODES, tests=(*_INHERITED, "test_task_python_bin_wins_with_a_warning")),
    "upload_archives": Row(["s3://b/a.tar.gz"]),
    "upload_dirs": Row(["s3://b/a/"]),
    "upload_files": Row(["s3://b/a"]),
    "zone": Row("us-east-1b", build="the same"),
}

_HEAD = ("option of mrjob", "the job's cluster and steps", "build cluster", "bundle", "tests")


def table() -> str:
    """The table, in Markdown."""
    rows = [
        (f"`{name}`", row.job, row.build, row.bundle, ", ".join(f"`{test}`" for test in row.tests) or NO_PART)
        for name, row in sorted(ROWS.items())
    ]
    lines = [_HEAD, tuple("---" for _ in _HEAD), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def with_table(text: str) -> str:
    """*text* of the document with the table as it should be."""
    return re.sub(r"^\| option of mrjob \|.*?\n\n", lambda _: f"{table()}\n\n", text, flags=re.DOTALL | re.MULTILINE)


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text("utf-8")), "utf-8")
