"""Runs of the campaign, and what must be true after each, whatever has gone wrong in it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrjob_pybundle.sandbox import Sandbox
from mrjob_pybundle.sandbox.api.faults import Do, Faults, Strike, damage_stored
from mrjob_pybundle.sandbox.api.requests import Request
from tests.campaign.plans import Damage, Edit, Kill, Outage, Plan, Sleep, Trouble, rule
from tests.campaign.regions import HOME

JOB = Path(__file__).parents[1] / "jobs" / "mr_line_lengths.py"
INPUT, OUTPUT = "one\nthree\nfive5\n", {"3\t1", "5\t2"}

#: An author who takes longer hangs (seconds): with a bundle in the cache, with one to build, with a Python to compile.
_PATIENCE_CACHED, _PATIENCE_BUILD, _PATIENCE_COMPILE = 240, 600, 3600
#: A cluster that nobody looks after has ended by then (seconds after its run; one without steps waits for a minute).
_CLUSTERS_END_WITHIN = 150


@dataclass(frozen=True)
class Author:
    """How an author ended. *killed* by the plan, not by us."""

    status: int
    output: str
    said: str
    seconds: float
    killed: bool

    @property
    def outcome(self) -> str:
        """``right``, ``error``, ``killed``, ``waiting``; or what must not be: ``wrong``, ``traceback``, ``speechless``.

        Who has a cluster waits for AWS to answer for up to a day, for logs of steps ten minutes, and says so.
        """
        if self.killed:
            return "killed"
        if self.status < 0 and self._has_no_answer:
            return "waiting"
        if self.status == 0:
            return "right" if set(self.output.splitlines()) == OUTPUT else "wrong"
        if "Traceback (most recent call last)" in self.said:
            return "traceback"
        return "error" if self.last_line and self.status > 0 else "speechless"

    @property
    def _has_no_answer(self) -> bool:
        """Whether that is what was said last of AWS."""
        told = re.findall(r", trying again$| answers again, ", self.said, re.MULTILINE)
        return bool(told) and told[-1] == ", trying again"

    @property
    def last_line(self) -> str:
        """The last line that is not about cleaning up."""
        lines = [text.strip() for text in self.said.splitlines() if text.strip()]
        told = [text for text in lines if not text.startswith(_CLEANING_UP)]
        return told[-1] if told else ""


_CLEANING_UP = ("Removing ", "Terminating cluster", "Attempting to terminate cluster", "Killing our SSH tunnel")

GOOD = ("right", "error", "killed", "waiting")


@dataclass
class Result:
    """A run that has ended. *violations* says what was not as it must be."""

    plan: Plan
    authors: list[Author]
    strikes: list[Strike]
    seconds: float
    fresh: Author | None = None
    violations: list[str] = field(default_factory=list)


@dataclass
class _Process:
    popen: subprocess.Popen[str]
    began: float
    stderr: Path
    killed: bool = False


class Campaign:
    """Runs against *sandbox*, whose middleware is *faults*.

    *options* are pybundle-emr's, as in a conf file. *directory* takes files. Call :meth:`prepare` first.
    """

    def __init__(self, sandbox: Sandbox, faults: Faults, options: Mapping[str, Any], directory: Path) -> None:
        self._sandbox = sandbox
        self._faults = faults
        self._bundle: dict[str, bytes] = {}
        self._options = options
        self._directory = directory
        self._s3 = client(sandbox, "s3")
        self._emr = client(sandbox, "emr")
        self._to_end: dict[str, tuple[int, float]] = {}

    def prepare(self, bucket: str, root: str) -> None:
        """Have the bundle that runs start from in the cache at *root* of *bucket*, and keep a copy of it.

        :raises AssertionError: not even without faults does an author get one.
        """
        conf = self._conf(bucket, f"s3://{bucket}/{root}", core_nodes=0)
        nothing = Plan(0, False, (0.0,), 0, ())
        author = _Run(nothing, bucket, conf, self, _PATIENCE_COMPILE).author("nobody")
        assert author.outcome == "right", author.said
        key_command = [sys.executable, "-m", "mrjob_pybundle", "key"]
        said = subprocess.run(key_command, env=self.environment(conf, "nobody"), stdout=subprocess.PIPE, check=True)
        for kind, described in json.loads(said.stdout).items():
            prefix = f"{root}/v1/{kind}/{described['key']}/"
            for found in self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
                self._bundle[found["Key"].removeprefix(f"{root}/")] = self._get(bucket, found["Key"])

    def run(self, plan: Plan, fresh_author: bool) -> Result:
        """Play *plan*. With *fresh_author*, somebody without faults needs the same bundle afterwards."""
        began = time.monotonic()
        bucket = f"run-{plan.seed}-{os.urandom(3).hex()}"
        self._s3.create_bucket(Bucket=bucket)
        for name, content in self._bundle.items():
            if plan.is_cached or "/python/" in name:
                self._s3.put_object(Bucket=bucket, Key=f"cache/{name}", Body=content)
        damaged = self._damage(bucket, plan)
        before = self._objects(bucket)

        patience = _PATIENCE_CACHED if plan.is_cached else _PATIENCE_BUILD
        edited = self._build_file(bucket, "one") if any(isinstance(fault, Edit) for fault in plan.faults) else None
        conf = self._conf(bucket, f"s3://{bucket}/cache", plan.core_nodes, edited)
        run = _Run(plan, bucket, conf, self, patience)
        rules = [run.rule_of(fault) for fault in plan.faults if not isinstance(fault, Damage)]
        with self._faults.injected(*rules, seed=plan.seed) as strikes:
            authors = run.authors()
        result = Result(plan, authors, strikes, 0)
        for number, author in enumerate(authors):
            if author.outcome not in GOOD:
                result.violations.append(f"author {number}: {author.outcome}: {author.last_line}")
        for name in damaged:
            self._s3.put_object(Bucket=bucket, Key=f"cache/{name}", Body=self._bundle[name])
        if fresh_author or not plan.is_cached:
            result.fresh = run.author("fresh")
            if result.fresh.outcome != "right":
                result.violations.append(f"fresh author: {result.fresh.outcome}: {result.fresh.last_line}")
        self._check_cache(bucket, before, result)
        self._note_clusters(bucket, plan.seed)
        result.seconds = time.monotonic() - began
        return result

    def clusters_left(self) -> list[str]:
        """Wait until every cluster of past runs has ended, or should have. Returns what is wrong."""
        wrong = []
        for cluster_id, (seed, deadline) in self._to_end.items():
            while (state := self._state(cluster_id)) not in ("TERMINATED", "TERMINATED_WITH_ERRORS"):
                if time.time() > deadline:
                    wrong.append(f"run {seed}: cluster {cluster_id} is still {state}")
                    break
                time.sleep(1)
        return wrong

    def clusters_of(self, bucket: str) -> list[tuple[str, bool]]:
        """Id, and whether it is a build's, of each cluster of a run that has not ended."""
        pages = self._emr.get_paginator("list_clusters").paginate(
            ClusterStates=["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
        )
        found = []
        for cluster in (cluster for page in pages for cluster in page["Clusters"]):
            described = self._emr.describe_cluster(ClusterId=cluster["Id"])["Cluster"]
            if described.get("LogUri", "").startswith(f"s3://{bucket}/"):
                found.append((cluster["Id"], cluster["Name"].startswith("mrjob-pybundle build")))
        return found

    def kill_nodes(self, bucket: str, of_build: bool, whole_node: bool) -> None:
        """Kill a node, or what runs on it, of each cluster of that kind in a run."""
        for cluster_id, is_build in self.clusters_of(bucket):
            if is_build == of_build:
                nodes = self._sandbox.nodes(cluster_id, "CORE") or self._sandbox.nodes(cluster_id, "MASTER")
                for node in nodes[:1]:
                    if whole_node:
                        node.stop()
                    else:
                        node.kill_commands()

    def environment(self, conf: Path, name: str, region: str = HOME) -> dict[str, str]:
        if region != HOME:
            told = json.loads(conf.read_text("utf-8"))
            told["runners"]["pybundle-emr"]["region"] = region
            conf = conf.with_suffix(f".{region}.conf")
            conf.write_text(json.dumps(told), encoding="utf-8")
        own = {
            "MRJOB_CONF": str(conf),
            "AWS_ACCESS_KEY_ID": name,
            "XDG_CACHE_HOME": str(self._directory / f"{name}.cache"),
        }
        return {**self._sandbox.environment, **own}

    def scratch(self) -> Path:
        descriptor, path = tempfile.mkstemp(dir=self._directory)
        os.close(descriptor)
        return Path(path)

    def _build_file(self, bucket: str, text: str) -> Path:
        """The build file that a run's authors share, as it is now."""
        path = self._directory / f"{bucket}.txt"
        path.write_text(text, encoding="utf-8")
        return path

    def edit(self, bucket: str) -> None:
        """Edit a run's build file."""
        self._build_file(bucket, "two")

    def _conf(self, bucket: str, cache_uri: str, core_nodes: int, build_file: Path | None = None) -> Path:
        ours = {
            **self._options,
            "cloud_tmp_dir": f"s3://{bucket}/tmp/",
            "pybundle_cache_uri": cache_uri,
            "num_core_instances": core_nodes,
        }
        if build_file:
            ours["pybundle_build_files"] = [str(build_file)]
        conf = {"include": self._sandbox.environment["MRJOB_CONF"], "runners": {"pybundle-emr": ours}}
        path = self._directory / f"{bucket}.conf"
        path.write_text(json.dumps(conf), encoding="utf-8")
        return path

    def _damage(self, bucket: str, plan: Plan) -> list[str]:
        kinds = {fault.kind for fault in plan.faults if isinstance(fault, Damage)}
        names = [n for n in self._bundle if n.endswith(".tar.gz") and n.split("/")[1] in kinds]
        for name in names:
            damage_stored(self._s3, bucket, f"cache/{name}", random.Random(plan.seed))
        return names

    def _objects(self, bucket: str) -> dict[str, str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="cache/")
        return {found["Key"]: found["ETag"] for page in pages for found in page.get("Contents", ())}

    def _check_cache(self, bucket: str, before: Mapping[str, str], result: Result) -> None:
        objects = self._objects(bucket)
        for key in objects:
            if key.endswith("/manifest.json"):
                manifest = json.loads(self._get(bucket, key))
                archive = manifest["archive"]
                if not self._is_made_of_its_inputs(bucket, manifest):
                    result.violations.append(f"{key} was made of another build file than it says")
                name = f"{key.rpartition('/')[0]}/{archive['sha256']}.tar.gz"
                content = self._get(bucket, name) if name in objects else b""
                found = len(content), hashlib.sha256(content).hexdigest()
                if found != (archive["size"], archive["sha256"]):
                    result.violations.append(f"{key} names an archive that is not there, or not right: {name}")
        missing = [key for key in before if key not in objects]
        if missing:
            result.violations.append(f"gone from the cache: {missing}")

    def _is_made_of_its_inputs(self, bucket: str, manifest: Mapping[str, Any]) -> bool:
        """Whether the build files that a manifest names are those that its build was given."""
        named = {f"files/{file['name']}": file["sha256"] for file in manifest["inputs"].get("build_files", ())}
        if not named:
            return True
        inputs = self._get(bucket, f"cache/v1/builds/{manifest['build']['id']}/inputs.tar.gz")
        with tarfile.open(fileobj=io.BytesIO(inputs)) as tar:
            given = {name: hashlib.sha256(tar.extractfile(name).read()).hexdigest() for name in named}  # type: ignore[union-attr]
        return given == named

    def _get(self, bucket: str, key: str) -> bytes:
        body: bytes = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def _note_clusters(self, bucket: str, seed: int) -> None:
        for cluster_id, _ in self.clusters_of(bucket):
            self._to_end[cluster_id] = (seed, time.time() + _CLUSTERS_END_WITHIN)

    def _state(self, cluster_id: str) -> str:
        return str(self._emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"])


class _Run:
    """The authors of one run, as processes."""

    def __init__(self, plan: Plan, bucket: str, conf: Path, campaign: Campaign, patience: float) -> None:
        self._plan = plan
        self._bucket = bucket
        self._conf = conf
        self._campaign = campaign
        self._patience = patience
        self._processes: dict[str, _Process] = {}
        self._lock = threading.Lock()

    def rule_of(self, fault: Trouble | Kill | Outage | Sleep | Edit) -> Any:
        authors = f"author-{self._bucket}-*"
        if isinstance(fault, Outage):
            return fault.rule(authors)
        if isinstance(fault, Sleep):
            doze = Do(lambda request: self._doze(request, fault.seconds))
            return rule(fault.point, doze, self._bucket, authors, fault.after, 1)
        if isinstance(fault, Edit):
            edit = Do(lambda _: self._campaign.edit(self._bucket))
            return rule(fault.point, edit, self._bucket, authors, fault.after, 1)
        if isinstance(fault, Trouble):
            return fault.rule(self._bucket, authors)
        do = Do(lambda request: self._kill(fault.victim, request), after=fault.done)
        return rule(fault.point, do, self._bucket, authors, fault.after, 1)

    def _doze(self, request: Request, seconds: float) -> None:
        with self._lock:
            process = self._processes[request.access_key_id].popen
        process.send_signal(signal.SIGSTOP)
        threading.Timer(seconds, process.send_signal, [signal.SIGCONT]).start()

    def _kill(self, victim: str, request: Request) -> None:
        if victim == "the author":
            with self._lock:
                process = self._processes[request.access_key_id]
            process.killed = True
            process.popen.send_signal(signal.SIGKILL)
            process.popen.wait()
        else:
            self._campaign.kill_nodes(self._bucket, "build" in victim, victim in ("a job node", "the build master"))

    def authors(self) -> list[Author]:
        """Start all authors in their time, and wait for them."""
        began = time.monotonic()
        names = []
        for number, start in enumerate(self._plan.authors):
            time.sleep(max(0.0, began + start - time.monotonic()))
            names.append(self._start(f"author-{self._bucket}-{number}", self._plan.regions[number]))
        return [self._end(name) for name in names]

    def author(self, name: str) -> Author:
        return self._end(self._start(name))

    def _start(self, name: str, region: str = HOME) -> str:
        said = self._campaign.scratch()
        with self._lock, said.open("w") as stderr:
            popen = subprocess.Popen(
                [sys.executable, str(JOB), "-r", "pybundle-emr"],
                env=self._campaign.environment(self._conf, name, region),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                errors="replace",
            )
            self._processes[name] = _Process(popen, time.monotonic(), said)
        assert popen.stdin is not None
        popen.stdin.write(INPUT)
        popen.stdin.close()
        popen.stdin = None
        return name

    def _end(self, name: str) -> Author:
        process = self._processes[name]
        late = ""
        try:
            output, _ = process.popen.communicate(timeout=self._patience)
        except subprocess.TimeoutExpired:
            process.popen.kill()
            output, _ = process.popen.communicate()
            late = f"\nhangs, in {self._conf.stem}"
        said = process.stderr.read_text(errors="replace")
        said += "" if said.rstrip().endswith(", trying again") else late
        seconds = time.monotonic() - process.began
        return Author(process.popen.returncode, output, said, seconds, process.killed)


def client(sandbox: Sandbox, service: str) -> Any:
    """A boto3 client that no rule is about."""
    import boto3

    return boto3.session.Session().client(
        service,
        endpoint_url=sandbox.endpoint,
        region_name="us-east-1",
        aws_access_key_id="observer",
        aws_secret_access_key="observer",
    )
