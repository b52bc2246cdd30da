"""EMR: moto's answers to its API, plus clusters that live.

A cluster is a thread. It goes through EMR's states, runs bootstrap actions on its nodes and steps on its
master, and leaves its logs below LogUri. Wherever a client could look between two changes, they are made in
an order that it cannot misread: a cluster is TERMINATING before its last step has ended.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.core.utils import utcnow
from moto.emr import urls
from moto.emr.exceptions import ValidationException
from moto.emr.models import Cluster, ElasticMapReduceBackend, Step, emr_backends

from mrjob_pybundle.sandbox import steps
from mrjob_pybundle.sandbox.engines import Engine, EngineError, Ground, StepError
from mrjob_pybundle.sandbox.machines.logs import LogUploader, notice, timestamp
from mrjob_pybundle.sandbox.machines.nodes import Node, NodeError
from mrjob_pybundle.sandbox.machines.storage import S3Storage, Uri

# EMR's clusters take minutes to start, and clients count on that: they create a cluster without steps that
# ends by itself, and then add its steps. Such a cluster waits for its first step that long.
_FIRST_STEP_WITHIN_SECONDS = 60.0

# "You can have up to 256 PENDING and RUNNING steps in a cluster" (EMR Management Guide, "Submit work to a cluster").
_MAX_ACTIVE_STEPS = 256

_ENDED = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")
_HADOOP_VERSIONS = {"5": "2.10.1", "6": "3.3.6", "7": "3.4.1"}


@dataclass(frozen=True)
class Machine:
    """What clusters are made of: *make_node(directory, key_id, image_id)*, *make_engine(ground)*, *s3_client(key_id)*
    for what Hadoop does on nodes; and *start_seconds()*, how long a new one has no nodes yet.

    *image_id* is the cluster's custom AMI, "" if it names none. All requests are signed with an access key id: see
    :func:`key_id_of_nodes`.
    """

    directory: Path
    make_node: Callable[[Path, str, str], Node]
    make_engine: Callable[[Ground], Engine]
    s3_client: Callable[[str], Any]
    start_seconds: Callable[[], float] = lambda: 0.0


def key_id_of_nodes(instance_profile: str) -> str:
    """The access key id of nodes that have that instance profile (a name or an ARN): ``role-EMR_EC2_DefaultRole``.

    A profile's role has the profile's name here, as it has where the IAM console or ``aws emr create-default-roles``
    made both.
    """
    return f"role-{instance_profile.rpartition('/')[2]}"


class LivingCluster(Cluster):
    """A cluster whose state is moved by its own thread, under :attr:`changed`."""

    def __init__(self, backend: LivingEmr, **kwargs: Any) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.reason = {"Code": "", "Message": ""}
        self.ending: _End | None = None
        super().__init__(backend, **kwargs)
        for step in self.steps:
            step.start_date_time = None

    # moto's constructor would take the cluster through its whole life at once.

    def start_cluster(self) -> None:
        self.state = "STARTING"
        self.reason = {"Code": "", "Message": "Provisioning Amazon EC2 capacity"}
        self.start_datetime = utcnow()

    def run_bootstrap_actions(self) -> None:
        pass

    def add_steps(self, steps: list[dict[str, Any]]) -> list[Step]:
        with self.changed:
            if getattr(self, "state", None) in _ENDED:
                raise ValidationException(
                    "A job flow that is shutting down, terminated, or finished may not be modified."
                )
            active = [step for step in self.steps if step.state in ("PENDING", "RUNNING")]
            if len(active) + len(steps) > _MAX_ACTIVE_STEPS:
                raise ValidationException(
                    "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending')"
                    " for cluster exceeded."
                )
            added = [Step(state="PENDING", **step) for step in steps]
            self.steps.extend(added)
            if getattr(self, "state", None) == "WAITING":
                self.enter("RUNNING", "Running step")
            self.changed.notify_all()
        return added

    def enter(self, state: str, message: str, code: str = "") -> None:
        self.state = state
        self.reason = {"Code": code, "Message": message}
        groups = {"STARTING": "PROVISIONING", "BOOTSTRAPPING": "BOOTSTRAPPING"}
        for group in self.instance_groups:
            group.state = groups.get(state, "TERMINATED" if state in _ENDED else "RUNNING")
        suffix = f": {message}" if state in _ENDED else ""
        nodes = f" ({len(self.ec2_instances)} nodes)" if state == "BOOTSTRAPPING" else ""
        notice(f"cluster {self.id}: {state}{nodes}{suffix}")

    def terminate(self) -> None:
        self.end(_End("TERMINATED", "USER_REQUEST", "Terminated by user request"))

    def end(self, end: _End, but_not: Step | None = None) -> None:
        """Begin to end, unless that has begun already; cancel all steps that are left, except *but_not*."""
        with self.changed:
            if self.ending is None:
                self.ending = end
                self.enter("TERMINATING", end.message, end.code)
                for step in self.steps:
                    if step.state in ("PENDING", "RUNNING") and step is not but_not:
                        finish(step, "CANCELLED", "Job terminated")
                self.changed.notify_all()

    @property
    def status(self) -> dict[str, Any]:
        status = super().status
        return {**status, "StateChangeReason": {k: v for k, v in self.reason.items() if v}}


@dataclass(frozen=True)
class _End:
    """Why a cluster ends."""

    state: str
    code: str
    message: str


def finish(step: Step, state: str, reason: str = "") -> None:
    moto_step: Any = step  # moto reads attributes that it doesn't declare
    moto_step.end_date_time = utcnow()
    if reason:
        moto_step.last_state_change_reason = reason
    step.state = state


class LivingEmr(ElasticMapReduceBackend):
    """moto's EMR backend with clusters that live.

    *record*, a file, has those of earlier ones, which EMR still knows after they have ended: for two months on AWS.
    """

    def __init__(self, account_id: str, machine: Machine, record: Path | None = None) -> None:
        super().__init__("us-east-1", account_id)
        self._machine = machine
        self._record = record
        self._past: set[str] = set()
        self._lives: dict[str, _Life] = {}
        self._lock = threading.Lock()
        self._stopping = False

    @property
    def _url_module(self) -> Any:
        # moto would look for the URLs beside the module of the backend's class.
        return urls

    def install(self) -> None:
        """Make this the backend that moto's EMR answers from."""
        emr_backends[self.account_id][self.region_name] = self
        if self._record is not None and self._record.exists():
            for line in self._record.read_text("utf-8").splitlines():
                self._recall(json.loads(line))

    def _recall(self, description: dict[str, Any]) -> None:
        """Know a cluster of before, which ended with its sandbox at the latest."""
        living_cluster: Any = LivingCluster
        cluster: LivingCluster = living_cluster(self, log_uri="", steps=[], instance_attrs={}, **description)
        cluster.state = "TERMINATED_WITH_ERRORS"
        cluster.ending = _End(cluster.state, "INTERNAL_ERROR", "The sandbox that had it has ended")
        cluster.reason = {"Code": cluster.ending.code, "Message": cluster.ending.message}
        self._past.add(cluster.id)

    def _remember(self, cluster: LivingCluster) -> None:
        description = {
            "cluster_id": cluster.id,
            "name": cluster.name,
            "job_flow_role": cluster.role,
            "service_role": cluster.service_role,
            "release_label": cluster.release_label,
        }
        if self._record is not None:
            with self._record.open("a", encoding="utf-8") as record:
                record.write(json.dumps(description) + "\n")

    def uninstall(self) -> None:
        """Leave moto's EMR to whoever uses it next in this process."""
        emr_backends[self.account_id].pop(self.region_name, None)

    def run_job_flow(self, **kwargs: Any) -> Cluster:
        if kwargs.get("step_concurrency_level", 1) > 1:
            raise ValidationException("The sandbox's clusters run one step at a time (StepConcurrencyLevel 1)")
        if self._stopping:
            raise ValidationException("The sandbox is stopping")
        living_cluster: Any = LivingCluster  # moto leaves methods abstract that only CloudFormation calls
        cluster: Cluster = living_cluster(self, **kwargs)
        return cluster

    def add_applications(self, cluster_id: str, applications: list[dict[str, Any]]) -> None:
        cluster = self.describe_cluster(cluster_id)
        major = re.sub(r"\D*(\d+).*", r"\1", cluster.release_label or "")
        hadoop = _HADOOP_VERSIONS.get(major, "3.4.1")
        names = [app["name"] for app in applications if "name" in app] or ["Hadoop"]
        cluster.add_applications([{"name": name, "version": hadoop if name == "Hadoop" else "0"} for name in names])

    def start_new_clusters(self) -> None:
        """Bring to life what RunJobFlow has completely described."""
        with self._lock:
            for cluster in list(self.clusters.values()):
                if cluster.id not in (*self._lives, *self._past) and not self._stopping:
                    assert isinstance(cluster, LivingCluster)
                    self._remember(cluster)
                    self._add_missing_instances(cluster)
                    self._lives[cluster.id] = _Life(cluster, self._machine)
                    self._lives[cluster.id].thread.start()

    def _add_missing_instances(self, cluster: LivingCluster) -> None:
        """Instances for clusters that were not described by instance groups, where moto makes none."""
        if not cluster.instance_groups:
            master = {"instance_count": 1, "instance_role": "MASTER", "instance_type": "m5.xlarge"}
            self.add_instance_groups(cluster.id, [master])
        if not cluster.ec2_instances:
            for group in cluster.instance_groups:
                shape = {"instance_count": group.num_instances, "instance_type": group.instance_type}
                self.run_instances(cluster.id, shape, group)

    def nodes(self, cluster_id: str, role: str) -> list[Node]:
        """The nodes of that role (``MASTER``, ``CORE``, ``TASK``) that a cluster has at the moment."""
        with self._lock:
            life = self._lives.get(cluster_id)
        return life.nodes(role) if life else []

    def stop(self) -> None:
        """End all clusters; return when nothing of them runs any more."""
        with self._lock:
            self._stopping = True
            lives = list(self._lives.values())
        for life in lives:
            life.cluster.end(_End("TERMINATED", "USER_REQUEST", "Terminated by user request"))
        for life in lives:
            life.thread.join()


class _Life:
    """The life of one cluster, on a thread of its own."""

    def __init__(self, cluster: LivingCluster, machine: Machine) -> None:
        self.cluster = cluster
        self.thread = threading.Thread(target=self._live, name=cluster.id)
        self._machine = machine
        self._start_seconds = machine.start_seconds()
        self._key_id = key_id_of_nodes(cluster.job_flow_role)
        self._directory = machine.directory / cluster.id
        self._logs = self._directory / "logs"
        self._nodes: dict[str, Node] = {}
        self._failed = False
        self._stop_lock = threading.Lock()
        self._engine: Engine | None = None
        self._s3 = S3Storage(machine.s3_client(self._key_id))
        self._uploader: LogUploader | None = None
        if cluster.log_uri:
            destination = Uri.parse(cluster.log_uri.rstrip("/") + "/" + cluster.id)
            self._uploader = LogUploader(self._s3, self._logs, destination)

    def _live(self) -> None:
        cluster = self.cluster
        try:
            self._await_instances()
            self._start_nodes()
            self._bootstrap()
            self._start_engine()
            self._await_first_step()
            self._run_steps()
        except NodeError as error:
            cluster.end(_End("TERMINATED_WITH_ERRORS", "INTERNAL_ERROR", f"A node could not start: {error}"))
        except EngineError as error:
            cluster.end(_End("TERMINATED_WITH_ERRORS", "BOOTSTRAP_FAILURE", f"Hadoop could not start: {error}"))
        except Exception as error:
            cluster.end(_End("TERMINATED_WITH_ERRORS", "INTERNAL_ERROR", f"The sandbox failed: {error!r}"))
            raise
        finally:
            self._stop_nodes()
            self._upload_logs()
            for node in self._nodes.values():
                shutil.rmtree(node.directory, ignore_errors=True)
            end = cluster.ending
            assert end is not None
            with cluster.changed:
                cluster.end_datetime = utcnow()
                cluster.enter(end.state, end.message, end.code)

    # Nodes

    def _await_instances(self) -> None:
        """Stay in STARTING for as long as clusters shall, as EMR's do until EC2 has given them their instances."""
        cluster = self.cluster
        with cluster.changed:
            cluster.changed.wait_for(lambda: cluster.ending, timeout=self._start_seconds)

    def _start_nodes(self) -> None:
        cluster = self.cluster
        if cluster.ending:
            return
        for instance in cluster.ec2_instances:
            node = self._machine.make_node(
                self._directory / instance.ec2_instance_id, self._key_id, cluster.custom_ami_id or ""
            )
            node.start()
            with cluster.changed:
                self._nodes[instance.ec2_instance_id] = node
            is_master = instance.instance_group.role == "MASTER"
            info = node.host_path("/mnt/var/lib/info")
            (info / "instance.json").write_text(json.dumps({"isMaster": is_master}, indent=2))
            (info / "job-flow.json").write_text(json.dumps({"jobFlowId": cluster.id}, indent=2))
            watch = threading.Thread(target=self._watch, args=(node, is_master), daemon=True)
            watch.start()
        self._watch_end()

    def _watch(self, node: Node, is_master: bool) -> None:
        """A node that goes on its own, by `shutdown`, takes the cluster with it."""
        node.wait()
        text = "The master node was terminated. " if is_master else "All slaves in the job flow were terminated"
        self.cluster.end(_End("TERMINATED_WITH_ERRORS", "INSTANCE_FAILURE", text))

    def _watch_end(self) -> None:
        """End the nodes, and with them what the cluster's thread waits for, once the cluster shall end."""

        def stop_when_ending() -> None:
            with self.cluster.changed:
                self.cluster.changed.wait_for(lambda: self.cluster.ending is not None)
            self._stop_nodes()

        threading.Thread(target=stop_when_ending, daemon=True).start()

    def _stop_nodes(self) -> None:
        with self._stop_lock:
            for node in list(self._nodes.values()):
                node.stop()

    def nodes(self, role: str) -> list[Node]:
        with self.cluster.changed:
            started = dict(self._nodes)
        of_role = [i.ec2_instance_id for i in self.cluster.ec2_instances if i.instance_group.role == role]
        return [started[instance_id] for instance_id in of_role if instance_id in started]

    def _role(self, role: str) -> list[tuple[str, Node]]:
        return [
            (instance.ec2_instance_id, self._nodes[instance.ec2_instance_id])
            for instance in self.cluster.ec2_instances
            if instance.instance_group.role == role
        ]

    # Bootstrap actions

    def _bootstrap(self) -> None:
        cluster = self.cluster
        with cluster.changed:
            if cluster.ending:
                return
            cluster.enter("BOOTSTRAPPING", "Running bootstrap actions")
        with ThreadPoolExecutor(max_workers=len(self._nodes)) as pool:
            failures = list(pool.map(self._bootstrap_node, self._nodes))
        failed = dict(zip(self._nodes, failures, strict=True))
        masters = [instance_id for instance_id, _ in self._role("MASTER")]
        for instance_id in [*masters, *self._nodes]:
            if failed[instance_id]:
                where = "the master" if instance_id in masters else "a slave"
                text = f"On {where} instance ({instance_id}), {failed[instance_id]}"
                cluster.end(_End("TERMINATED_WITH_ERRORS", "BOOTSTRAP_FAILURE", text))
                return

    def _start_engine(self) -> None:
        """Start the cluster's Hadoop, which EMR installs after the bootstrap actions."""
        if self.cluster.ending:
            return
        master = self._role("MASTER")[0]
        workers = self._role("CORE") + self._role("TASK") or [master]
        configurations = self.cluster.configurations
        ground = Ground(master, dict(workers), self._s3, self._directory, self._logs, configurations)
        self._engine = self._machine.make_engine(ground)
        self._engine.start()

    def _await_first_step(self) -> None:
        cluster = self.cluster
        with cluster.changed:
            cluster.ready_datetime = utcnow()
            if not cluster.keep_job_flow_alive_when_no_steps:
                cluster.changed.wait_for(lambda: cluster.steps or cluster.ending, timeout=_FIRST_STEP_WITHIN_SECONDS)

    def _bootstrap_node(self, instance_id: str) -> str:
        """Run all bootstrap actions on a node. Returns what went wrong, empty if nothing."""
        node = self._nodes[instance_id]
        for number, action in enumerate(self.cluster.bootstrap_actions, start=1):
            logs = self._logs / "node" / instance_id / "bootstrap-actions" / str(number)
            controller = _Controller(logs)
            controller.write(f"INFO Executing bootstrap action '{action.name}': {action.script_path}")
            try:
                steps.run_script(node, str(action.script_path), list(action.args or []), logs)
            except steps.ScriptMissingError:
                controller.write("ERROR Download failed")
                return f"bootstrap action {number} could not be downloaded from S3"
            except StepError as failure:
                controller.write(f"ERROR Execution failed: {failure}")
                return f"bootstrap action {number} returned a non-zero return code"
            controller.write("INFO Execution ended with ret val 0")
        return ""

    # Steps

    def _run_steps(self) -> None:
        cluster = self.cluster
        with cluster.changed:
            self._settle()
        while True:
            with cluster.changed:
                cluster.changed.wait_for(lambda: cluster.ending or self._next_step())
                step = self._next_step()
                if cluster.ending or step is None:
                    return
                if cluster.state != "RUNNING":
                    cluster.enter("RUNNING", "Running step")
                step.start_date_time = utcnow()
                step.state = "RUNNING"
            notice(f"cluster {cluster.id}: step {step.id} ({step.name}) runs")
            failure = self._run_step(step)
            with cluster.changed:
                if failure and self._master_is_gone():
                    cluster.changed.wait_for(lambda: cluster.ending)  # which who watches it is about to begin
                if not cluster.ending:
                    self._end_step(step, failure)
            if not cluster.ending:  # else they are copied when all is over
                self._upload_logs()

    def _master_is_gone(self) -> bool:
        """Whether it is. The kernel ends a node's processes before its first one."""
        try:
            return self._role("MASTER")[0][1].popen(["true"], cwd="/").wait() != 0
        except NodeError:
            return True

    def _next_step(self) -> Step | None:
        return next((step for step in self.cluster.steps if step.state == "PENDING"), None)

    def _run_step(self, step: Step) -> bool:
        """Run *step*. Returns whether it failed."""
        logs = self._logs / "steps" / step.id
        controller = _Controller(logs)
        controller.write(f"INFO startExec {json.dumps([step.jar, *step.args])}")
        assert self._engine is not None
        place = steps.StepPlace(self._role("MASTER")[0][1], self._engine, logs)
        try:
            steps.run(step.jar, list(step.args or []), place)
        except StepError as failure:
            with (logs / "stderr").open("a", encoding="utf-8") as stderr:
                stderr.write(f"{failure}\n")
            controller.write(f"WARN Step failed: {failure}")
            return True
        controller.write("INFO Step succeeded with exitCode 0")
        return False

    def _end_step(self, step: Step, failed: bool) -> None:
        """Decide what the end of *step* means for the cluster, then let it be seen."""
        cluster = self.cluster
        state = "FAILED" if failed else "COMPLETED"
        self._failed = self._failed or failed
        if failed and step.action_on_failure in ("TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"):
            cluster.end(_End("TERMINATED_WITH_ERRORS", "STEP_FAILURE", "Shut down as step failed"), but_not=step)
        elif failed and step.action_on_failure == "CANCEL_AND_WAIT":
            for other in cluster.steps:
                if other.state == "PENDING":
                    finish(other, "CANCELLED", "Job terminated")
        self._settle(but_not=step)
        finish(step, state)

    def _settle(self, but_not: Step | None = None) -> None:
        """Wait or end when there is nothing to run, leaving the step *but_not* as it is."""
        cluster = self.cluster
        if cluster.ending or self._next_step():
            return
        if cluster.keep_job_flow_alive_when_no_steps:
            message = "Cluster ready after last step completed." if cluster.steps else "Cluster ready to run steps."
            cluster.enter("WAITING", message)
        else:
            message = "Steps completed with errors" if self._failed else "Steps completed"
            cluster.end(_End("TERMINATED", "ALL_STEPS_COMPLETED", message), but_not=but_not)

    def _upload_logs(self) -> None:
        if self._uploader is None:
            return
        try:
            self._uploader.upload()
        except Exception as error:  # noqa: BLE001 a bucket can be gone by now; the cluster ends all the same
            notice(f"cluster {self.cluster.id}: logs could not be stored: {error}")


class _Controller:
    """The controller log of a step or bootstrap action."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "controller"
        for name in ("stdout", "stderr"):
            (directory / name).touch()

    def write(self, text: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{timestamp()} {text}\n")
