"""The sandbox: Amazon EMR and S3 on one machine, for trying things out without an AWS bill.

:func:`run` runs a command in it, :class:`Sandbox` is the same as a context manager. What it stands in for
is the API (moto's) and what EMR does behind it: clusters that go through EMR's states, nodes that run
bootstrap actions and steps, Hadoop Streaming, logs. It is no Hadoop: what its streaming engine doesn't
understand, it refuses. Needs the extra ``sandbox`` of this package.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from mrjob_pybundle.sandbox.errors import SandboxError
from mrjob_pybundle.sandbox.machines import needs, own_paths

BUCKET = "sandbox"
"""The bucket that every sandbox has."""

SUBMITTER = "submitter"
"""The access key id of :attr:`Sandbox.environment`. Nodes have one that names their role: see ``emr.py``."""

ENGINES = ("builtin", "hadoop")
"""What can run a cluster's steps: a small stand-in for Hadoop Streaming, or Hadoop. The first is the default."""

_ACCOUNT = "123456789012"
_AWS_ITSELF = "sandbox"
_REGION = "us-east-1"
_IN_REGION = {"AWS_DEFAULT_REGION": _REGION, "AWS_REGION": _REGION}
_SERVICE_ROLE = "EMR_DefaultRole"
_INSTANCE_PROFILE = "EMR_EC2_DefaultRole"


class Sandbox:
    """EMR and S3 on this machine, between ``__enter__`` and ``__exit__``.

    *directory* keeps S3's content for the next sandbox, and what the last one's clusters left; only one
    sandbox can use it at a time. *nodes* is the number of core nodes that mrjob jobs ask for by default.
    *middleware* (WSGI, outermost first) sees every request to its services, and may answer in their place.
    *engine*, one of :data:`ENGINES`, is what runs the steps.
    *images* are custom AMIs by their ids (``image_id``): file trees that the nodes of such clusters have as ``/``.
    Nodes of other clusters have this machine's own operating system.
    *start_seconds* is how long clusters stay in STARTING before they have nodes, which takes minutes on EMR.
    One process can have one sandbox at a time, because moto's state is global.

    :raises SandboxError: on entering, when the directory is in use, this process already has a sandbox, the extra or
        what the engine needs is not installed, or the machine cannot have nodes with these images.
    """

    _one_at_a_time = threading.Lock()

    def __init__(
        self,
        directory: Path,
        nodes: int = 2,
        middleware: Sequence[Any] = (),
        engine: str = ENGINES[0],
        images: Mapping[str, Path] | None = None,
        start_seconds: float = 0.0,
    ) -> None:
        self._engine = engine
        self._images = {image_id: tree.absolute() for image_id, tree in (images or {}).items()}
        self._middleware = middleware
        self._directory = directory.absolute()
        self._nodes = nodes
        self._lock_file: IO[str] | None = None
        self._server: Any = None
        self._emr: Any = None
        self._s3: Any = None
        self._aws: Any = None
        self.endpoint = ""
        """``http://127.0.0.1:<port>``, once entered."""
        self.start_seconds = start_seconds
        """How long a cluster stays in STARTING; a change is for those that are launched afterwards."""
        self.shares_files = False
        """Whether nodes share this machine's files, for want of namespaces; once entered."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which boto3, mrjob and ``aws`` use the sandbox: ours, with its settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        own = {
            "MRJOB_CONF": str(self._directory / "mrjob.conf"),
            "PATH": os.pathsep.join([str(self._directory / "command-bin"), os.environ.get("PATH", os.defpath)]),
        }
        return {**kept, **self._aws_environment(SUBMITTER), **_IN_REGION, **own}

    def _aws_environment(self, key_id: str) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": key_id,
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "AWS_EC2_METADATA_DISABLED": "true",
            # The user's own profile may name another endpoint or role.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def __enter__(self) -> Sandbox:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock_file = (self._directory / "lock").open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock_file.close()
            raise SandboxError(
                f"another sandbox uses {self._directory}: wait for it, or choose another --dir"
            ) from None
        if not self._one_at_a_time.acquire(blocking=False):
            self._lock_file.close()
            raise SandboxError("this process already has a sandbox, and can have one only: start another process")
        try:
            self._start()
        except BaseException:
            self._one_at_a_time.release()
            self._lock_file.close()
            raise
        return self

    def _start(self) -> None:
        self._check_images()
        if missing := needs.missing_programs():
            raise SandboxError(f"the sandbox cannot start: {missing}")
        # Seconds, in which a person need not wait for what is wrong.
        try:
            from mrjob_pybundle.sandbox.machines import botocore_data

            # What is imported next reads it.
            botocore_data.read_once()
            from moto.backends import get_backend

            from mrjob_pybundle.sandbox.api import access, emr, s3, server
            from mrjob_pybundle.sandbox.hadoop import engine as hadoop
            from mrjob_pybundle.sandbox.machines import images, logs, nodes, resident_aws
            from mrjob_pybundle.sandbox.streaming import builtin
        except ImportError as error:
            raise SandboxError(f"{error}; to have a sandbox: pip install 'mrjob-pybundle[sandbox]'") from None

        engine = hadoop.kind() if self._engine == "hadoop" else builtin.BUILTIN
        for service in ("s3", "emr", "iam"):
            get_backend(service).reset()
        # AWS's own policies, which mrjob attaches to roles that it makes: megabytes, for this account alone, and once.
        account = get_backend("iam")[_ACCOUNT]["aws"]
        os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
        account.reset()
        del os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"]
        clusters = self._directory / "clusters"
        shutil.rmtree(clusters, ignore_errors=True)
        tools = self._directory / "bin"
        nodes.install_tools(tools)
        nodes.install_aws_itself(self._directory / "command-bin" / "aws")
        node_class, why_not = nodes.node_class(self._directory / "probe", tools)
        self.shares_files = bool(why_not)
        if why_not:
            why_not = f"which this machine refuses ({why_not}). To allow them: {needs.how_to_allow_namespaces()}"
        if why_not and engine.needs_namespaces:
            raise SandboxError(f"--engine {self._engine} needs namespaces, {why_not}")
        if why_not and self._images:
            raise SandboxError(f"images need namespaces, {why_not}")
        if self._images and not needs.may_mount():
            raise SandboxError("images need root: only root can write into another operating system's /etc")
        if why_not and not own_paths.needs_no_quotes(str(self._directory)):
            raise SandboxError(
                f"scripts would have to quote {self._directory}, of which they know nothing. Choose another --dir, or"
                f" allow namespaces, {why_not}"
            )
        if why_not:
            logs.notice(
                f"no namespaces, {why_not}. Without, nodes share this machine's files and processes;"
                " /mnt, /opt/pybundle and their home are their own under other names."
            )
        image_tools = self._directory / "image-tools"
        if self._images:
            images.install_image_tools(image_tools)

        self._s3 = s3.DurableS3(self._directory / "s3", _ACCOUNT)
        self._s3.install()
        middleware = [*self._middleware, access.bucket_owner(_ACCOUNT)]
        self._server = server.Server(self._s3.flush, self._after_emr_request, middleware)
        self.endpoint = self._server.endpoint

        def make_node(directory: Path, key_id: str, image_id: str) -> nodes.Node:
            # EMR is not known to set a region on nodes: what needs one has to be told.
            environment = {**self._aws_environment(key_id), **engine.node_environment}
            if image_id in self._images:
                return images.ImageNode(directory, tools, environment, self._images[image_id], image_tools)
            return node_class(directory, tools, environment)

        machine = emr.Machine(
            clusters,
            make_node,
            engine.make,
            lambda key_id: self._client("s3", key_id),
            lambda: self.start_seconds,
        )
        self._emr = emr.LivingEmr(_ACCOUNT, machine, self._directory / "emr-clusters.jsonl")
        self._emr.install()
        self._server.start()
        if BUCKET not in self._s3.buckets:
            self._client("s3", _AWS_ITSELF).create_bucket(Bucket=BUCKET)
        self._create_roles()
        engine.prepare(self._client("s3", _AWS_ITSELF), {**self._aws_environment(_AWS_ITSELF), **_IN_REGION})
        (self._directory / "mrjob.conf").write_text(_mrjob_conf(self._nodes), encoding="utf-8")
        self._aws = resident_aws.ResidentAws(tools)
        self._aws.start()
        logs.notice(f"EMR and S3 are at {self.endpoint}; S3's content is kept in {self._directory}")

    def _check_images(self) -> None:
        if self._images and self._engine != ENGINES[0]:
            raise SandboxError(f"images have no Java: they need --engine {ENGINES[0]}")
        for tree in self._images.values():
            if not (tree / "bin" / "bash").exists():
                raise SandboxError(f"{tree} holds no operating system: scripts/make-node-root.sh makes one")

    def _create_roles(self) -> None:
        """The roles that mrjob.conf names, as ``aws emr create-default-roles`` would."""
        iam = self._client("iam", _AWS_ITSELF)
        for role, service in ((_SERVICE_ROLE, "elasticmapreduce"), (_INSTANCE_PROFILE, "ec2")):
            trust = {
                "Effect": "Allow",
                "Principal": {"Service": f"{service}.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
            document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=document)
        iam.create_instance_profile(InstanceProfileName=_INSTANCE_PROFILE)
        iam.add_role_to_instance_profile(InstanceProfileName=_INSTANCE_PROFILE, RoleName=_INSTANCE_PROFILE)

    def _client(self, service: str, key_id: str) -> Any:
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=_REGION,
            aws_access_key_id=key_id,
            aws_secret_access_key="sandbox",
        )

    def nodes(self, cluster_id: str, role: str) -> list[Any]:
        """The nodes (:class:`~mrjob_pybundle.sandbox.machines.nodes.Node`) of that role that a cluster has now."""
        nodes: list[Any] = self._emr.nodes(cluster_id, role)
        return nodes

    def _after_emr_request(self, action: str) -> None:
        if action == "RunJobFlow":
            self._emr.start_new_clusters()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._emr.stop()
            self._aws.stop()
            self._server.stop()
            self._s3.flush()
            self._emr.uninstall()
            self._s3.uninstall()
        finally:
            assert self._lock_file is not None
            self._one_at_a_time.release()
            self._lock_file.close()


def run(
    directory: Path,
    nodes: int,
    command: list[str],
    engine: str = ENGINES[0],
    images: Mapping[str, Path] | None = None,
    start_seconds: float = 0.0,
) -> int:
    """Run *command* in a :class:`Sandbox`; returns its exit status (128 + n if signal n ended it).

    Ctrl-C reaches the command by itself, being in our process group; SIGTERM is passed on to it. Either way
    the sandbox ends, with everything it started, after the command has.

    :raises SandboxError: the sandbox cannot start, or there is no such command.
    """
    # Before it starts, which takes seconds, and brings an aws of its own.
    if command[0] != "aws" and shutil.which(command[0]) is None:
        why = "it is not executable" if Path(command[0]).exists() else "there is no such command"
        raise SandboxError(f"cannot run {command[0]}: {why}")
    box = Sandbox(directory, nodes, engine=engine, images=images, start_seconds=start_seconds)
    with _Signals() as signals, box as sandbox:
        try:
            signals.process = subprocess.Popen(command, env=sandbox.environment)
        except OSError as error:
            raise SandboxError(f"cannot run {command[0]}: {error.strerror}") from None
        status = signals.process.wait()
    return status if status >= 0 else 128 - status


class _Signals:
    """Until the command runs, signals end the sandbox; from then on they are for the command."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        # Handlers, not SIG_IGN, which the command would inherit.
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, _: Any) -> None:
        if self.process is None:
            raise SystemExit(128 + number)
        if number == signal.SIGTERM:
            self.process.send_signal(number)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _mrjob_conf(nodes: int) -> str:
    """An mrjob.conf that stands alone: the user's own names buckets and subnets that the sandbox doesn't have."""
    emr = {
        "cloud_tmp_dir": f"s3://{BUCKET}/tmp/",
        "region": _REGION,
        "check_cluster_every": 1,
        "num_core_instances": nodes,
        "iam_instance_profile": _INSTANCE_PROFILE,
        "iam_service_role": _SERVICE_ROLE,
        "image_id": image_id(),
    }
    ours = {"pybundle_overlap_patience_seconds": 60}
    return json.dumps({"runners": {"emr": emr, "pybundle-emr": ours}}, indent=2) + "\n"  # which is YAML, too


def image_id() -> str:
    """The name of the custom AMI that this machine's operating system poses as: ``ami-sandbox-debian-12``."""
    values = {}
    for path in (Path("/etc/os-release"), Path("/usr/lib/os-release")):
        if path.exists():
            pairs = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines())
            values = {name: value.strip("\"'") for name, _, value in pairs}
            break
    name = f"{values.get('ID', sys.platform)}-{values.get('VERSION_ID', 'rolling')}"
    return "ami-sandbox-" + re.sub(r"[^a-z0-9]+", "-", name.lower())
