"""Clusters' lives, seen through EMR's API."""

from __future__ import annotations

import gzip
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.sandbox import Sandbox
from mrjob_pybundle.sandbox.machines.needs import may_mount

Clients = Callable[[str], Any]


class _Emr:
    """Starts clusters and waits for them."""

    def __init__(self, clients: Clients) -> None:
        self.emr = clients("emr")
        self.s3 = clients("s3")

    def script(self, text: str) -> str:
        key = f"scripts/{uuid.uuid4()}.sh"
        self.s3.put_object(Bucket="sandbox", Key=key, Body=f"#!/bin/bash\n{text}\n".encode())
        return f"s3://sandbox/{key}"

    def run(self, *, keep: bool = False, core: int = 0, bootstrap: tuple[str, ...] = (), **more: Any) -> str:
        groups = [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}]
        if core:
            groups.append({"InstanceRole": "CORE", "InstanceType": "m5.xlarge", "InstanceCount": core})
        answer = self.emr.run_job_flow(
            Name="test",
            LogUri="s3://sandbox/logs/",
            ReleaseLabel="emr-7.1.0",
            Instances={"InstanceGroups": groups, "KeepJobFlowAliveWhenNoSteps": keep},
            BootstrapActions=[
                {"Name": f"a{n}", "ScriptBootstrapAction": {"Path": self.script(text), "Args": ["x y", "$z"]}}
                for n, text in enumerate(bootstrap)
            ],
            JobFlowRole="r",
            ServiceRole="s",
            **more,
        )
        cluster_id: str = answer["JobFlowId"]
        return cluster_id

    def cluster(self, cluster_id: str) -> Any:
        return self.emr.describe_cluster(ClusterId=cluster_id)["Cluster"]

    def wait(self, cluster_id: str, waiter: str = "cluster_terminated") -> Any:
        try:
            self.emr.get_waiter(waiter).wait(ClusterId=cluster_id, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})
        except Exception as error:
            if "TERMINATED_WITH_ERRORS" not in str(error):
                raise
        return self.cluster(cluster_id)

    def steps(self, cluster_id: str) -> list[tuple[str, str]]:
        found = self.emr.list_steps(ClusterId=cluster_id)["Steps"]
        return [(step["Name"], step["Status"]["State"]) for step in reversed(found)]

    def log(self, cluster_id: str, path: str) -> str:
        key = f"logs/{cluster_id}/{path}.gz"
        body = self.s3.get_object(Bucket="sandbox", Key=key)["Body"].read()
        return gzip.decompress(body).decode()


@pytest.fixture
def emr(clients: Clients) -> _Emr:
    return _Emr(clients)


def _step(name: str, script: str, on_failure: str = "CONTINUE") -> dict[str, Any]:
    return {
        "Name": name,
        "ActionOnFailure": on_failure,
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["bash", "-c", script]},
    }


def test_a_cluster_ends_with_its_last_step_and_leaves_its_logs(emr: _Emr) -> None:
    script = "echo out; echo err >&2; cat /mnt/var/lib/info/job-flow.json; env"
    cluster_id = emr.run(
        Steps=[_step("one", script)], Tags=[{"Key": "k", "Value": "v"}], bootstrap=("printf '%s|' \"$@\"",)
    )
    cluster = emr.wait(cluster_id)
    assert cluster["Status"]["State"] == "TERMINATED"
    assert cluster["Status"]["StateChangeReason"] == {
        "Code": "ALL_STEPS_COMPLETED",
        "Message": "Steps completed",
    }
    assert {"CreationDateTime", "ReadyDateTime", "EndDateTime"} <= set(cluster["Status"]["Timeline"])
    assert cluster["Tags"] == [{"Key": "k", "Value": "v"}]
    assert [(app["Name"], app["Version"]) for app in cluster["Applications"]] == [("Hadoop", "3.4.1")]
    (step,) = emr.emr.list_steps(ClusterId=cluster_id)["Steps"]
    stdout = emr.log(cluster_id, f"steps/{step['Id']}/stdout")
    assert stdout.startswith("out\n")
    assert f'"jobFlowId": "{cluster_id}"' in stdout
    # Where the machine allows no namespaces, it is below a directory of the node's.
    assert re.search(r"^HOME=.*/home/hadoop$", stdout, re.MULTILINE)
    assert "MRJOB_CONF" not in stdout
    assert emr.log(cluster_id, f"steps/{step['Id']}/stderr") == "err\n"
    (instance,) = emr.emr.list_instances(ClusterId=cluster_id)["Instances"]
    path = f"node/{instance['Ec2InstanceId']}/bootstrap-actions/1/stdout"
    assert emr.log(cluster_id, path) == "x y|$z|"


def test_steps_can_be_added_until_the_cluster_ends(emr: _Emr) -> None:
    cluster_id = emr.run()
    emr.emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[_step("one", "true"), _step("two", "true")])
    emr.wait(cluster_id)
    assert emr.steps(cluster_id) == [("one", "COMPLETED"), ("two", "COMPLETED")]
    with pytest.raises(emr.emr.exceptions.ClientError, match="may not be modified"):
        emr.emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[_step("three", "true")])


@pytest.mark.parametrize(
    ("on_failure", "state", "second"),
    [
        ("CONTINUE", "TERMINATED", "COMPLETED"),
        ("CANCEL_AND_WAIT", "TERMINATED", "CANCELLED"),
        ("TERMINATE_CLUSTER", "TERMINATED_WITH_ERRORS", "CANCELLED"),
    ],
)
def test_what_a_failed_step_does_to_the_cluster(emr: _Emr, on_failure: str, state: str, second: str) -> None:
    cluster_id = emr.run(Steps=[_step("one", "exit 3", on_failure), _step("two", "true")])
    assert emr.wait(cluster_id)["Status"]["State"] == state
    assert emr.steps(cluster_id) == [("one", "FAILED"), ("two", second)]
    step = emr.emr.list_steps(ClusterId=cluster_id)["Steps"][-1]
    assert "ret '3'" in emr.log(cluster_id, f"steps/{step['Id']}/stderr")


def test_a_kept_cluster_waits_and_is_terminated(emr: _Emr) -> None:
    cluster_id = emr.run(keep=True, Steps=[_step("one", "true")])
    emr.emr.get_waiter("step_complete").wait(
        ClusterId=cluster_id,
        StepId=emr.emr.list_steps(ClusterId=cluster_id)["Steps"][0]["Id"],
        WaiterConfig={"Delay": 0.1, "MaxAttempts": 300},
    )
    assert emr.cluster(cluster_id)["Status"]["State"] == "WAITING"
    emr.emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[_step("two", "sleep 1000"), _step("three", "true")])
    emr.emr.terminate_job_flows(JobFlowIds=[cluster_id])
    assert emr.steps(cluster_id)[1:] == [("two", "CANCELLED"), ("three", "CANCELLED")]
    cluster = emr.wait(cluster_id)
    assert cluster["Status"]["StateChangeReason"]["Code"] == "USER_REQUEST"


def test_a_cluster_starts_as_slowly_as_it_shall(emr: _Emr, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "start_seconds", 1.0)
    cluster = emr.wait(emr.run(Steps=[_step("one", "true")]))
    assert cluster["Status"]["StateChangeReason"]["Message"] == "Steps completed"
    timeline = cluster["Status"]["Timeline"]
    assert (timeline["ReadyDateTime"] - timeline["CreationDateTime"]).total_seconds() >= 1


def test_a_cluster_that_starts_can_be_terminated(emr: _Emr, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "start_seconds", 3600.0)
    cluster_id = emr.run(core=1, bootstrap=("true",), Steps=[_step("one", "true")])
    emr.emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[_step("two", "true")])
    assert emr.cluster(cluster_id)["Status"]["State"] == "STARTING"
    assert sandbox.nodes(cluster_id, "MASTER") == []
    emr.emr.terminate_job_flows(JobFlowIds=[cluster_id])
    assert emr.wait(cluster_id)["Status"]["StateChangeReason"]["Code"] == "USER_REQUEST"
    assert emr.steps(cluster_id) == [("one", "CANCELLED"), ("two", "CANCELLED")]


def test_a_failed_bootstrap_action_ends_the_cluster(emr: _Emr) -> None:
    on_core = "grep -q 'isMaster.*false' /mnt/var/lib/info/instance.json"
    cluster_id = emr.run(core=2, bootstrap=("true", f"! {on_core}"), Steps=[_step("one", "true")])
    cluster = emr.wait(cluster_id)
    assert cluster["Status"]["State"] == "TERMINATED_WITH_ERRORS"
    reason = cluster["Status"]["StateChangeReason"]
    assert reason["Code"] == "BOOTSTRAP_FAILURE"
    assert "slave instance (i-" in reason["Message"]
    assert reason["Message"].endswith("bootstrap action 2 returned a non-zero return code")
    assert emr.steps(cluster_id) == [("one", "CANCELLED")]


def test_a_missing_bootstrap_script_ends_the_cluster(emr: _Emr) -> None:
    path = {"Path": "s3://sandbox/no/such.sh"}
    cluster_id = emr.emr.run_job_flow(
        Name="t",
        Instances={"InstanceFleets": []},
        BootstrapActions=[{"Name": "a", "ScriptBootstrapAction": path}],
    )["JobFlowId"]
    assert "could not be downloaded" in emr.wait(cluster_id)["Status"]["StateChangeReason"]["Message"]


def test_shutdown_on_the_master_ends_the_cluster(emr: _Emr) -> None:
    cluster_id = emr.run(Steps=[_step("one", "sudo shutdown -h now; sleep 1000")])
    cluster = emr.wait(cluster_id)
    assert cluster["Status"]["State"] == "TERMINATED_WITH_ERRORS"
    assert cluster["Status"]["StateChangeReason"]["Message"] == "The master node was terminated. "
    assert emr.steps(cluster_id) == [("one", "CANCELLED")]


def test_jars_that_cannot_run_fail_with_a_reason(emr: _Emr) -> None:
    jars = [("s3://b/mine.jar", []), ("command-runner.jar", ["spark-submit", "x.py"])]
    jars.append(("command-runner.jar", ["hadoop-streaming", "-io", "rawbytes"]))
    script_runner = "s3://us-east-1.elasticmapreduce/libs/script-runner/script-runner.jar"
    jars.append((script_runner, [emr.script('echo "$@" >&2; exit 4'), "a b"]))
    steps = [
        {"Name": jar, "ActionOnFailure": "CONTINUE", "HadoopJarStep": {"Jar": jar, "Args": args}} for jar, args in jars
    ]
    cluster_id = emr.run(Steps=steps)
    emr.wait(cluster_id)
    found = list(reversed(emr.emr.list_steps(ClusterId=cluster_id)["Steps"]))
    logs = [emr.log(cluster_id, f"steps/{step['Id']}/stderr") for step in found]
    assert [step["Status"]["State"] for step in found] == ["FAILED"] * 4
    assert "mine.jar" in logs[0]
    assert "runs no Spark" in logs[1]
    assert "-io" in logs[2]
    assert logs[3] == "a b\nCommand exiting with ret '4'\n"


@pytest.mark.skipif(not may_mount(), reason="only real root has nodes that may write to /usr and /etc")
def test_nodes_write_to_themselves_only(emr: _Emr) -> None:
    mark = f"sandbox-{uuid.uuid4()}"
    places = ["/usr/local", "/etc", "/var/tmp", "/opt", "/mnt", "/tmp", "/home/hadoop", "/root"]
    script = "; ".join(f"touch {place}/{mark}" for place in places)
    check = "; ".join(f"test -e {place}/{mark} || exit 9" for place in places)
    # A daemon of a bootstrap action lives as long as its node.
    daemon = "(setsid sleep 12345 >/dev/null 2>&1 &)"
    cluster_id = emr.run(
        core=1,
        bootstrap=(f"set -e; if grep -q true /mnt/var/lib/info/instance.json; then {script}; {daemon}; fi",),
        Steps=[_step("one", f"{check}; ps ax | grep -q '[s]leep 12345'")],
    )
    emr.wait(cluster_id)
    assert emr.steps(cluster_id) == [("one", "COMPLETED")]
    assert not [place for place in places if Path(place, mark).exists()]


def test_more_than_one_step_at_a_time_is_refused(emr: _Emr) -> None:
    with pytest.raises(emr.emr.exceptions.ClientError, match="one step at a time"):
        emr.run(StepConcurrencyLevel=2)
