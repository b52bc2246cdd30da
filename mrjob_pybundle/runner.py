"""``-r pybundle-emr``: mrjob's EMR runner, with the Python that you want on every node.

:class:`PyBundleEMRJobRunner` reads like the life of a job: options → specification → keys → cache → build →
bootstrap action → steps. What it overrides of :class:`mrjob.emr.EMRJobRunner` are that class's own hooks;
everything that ``-r emr`` can do, it can do.
"""

from __future__ import annotations

import logging
import re
import shlex
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from mrjob.emr import EMRJobRunner

from mrjob_pybundle import options
from mrjob_pybundle.aws import releases as emr_releases
from mrjob_pybundle.aws.clients import refuse_incomplete_answers
from mrjob_pybundle.aws.emr import ExistingCluster, Launched, Machines, Place, is_known_to_have_emr
from mrjob_pybundle.aws.errors import are_stale_credentials, expired, explain
from mrjob_pybundle.aws.requests import Wanted, check_asks_for, shared_with_build, wanted_by
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.inputs import Inputs, read_inputs
from mrjob_pybundle.bundle.sources import Source, find_source
from mrjob_pybundle.bundle.spec import Bundle, BundleSpec, PythonSpec
from mrjob_pybundle.bundle.venv_build import examine
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.bundles import Hit
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.context import Context
from mrjob_pybundle.errors import (
    BuildError,
    CacheError,
    NoSuchBucketError,
    OptionError,
    OptionFileError,
    PyBundleError,
    left_runner,
)
from mrjob_pybundle.job import last_build
from mrjob_pybundle.job.ahead import ClusterAheadRunner
from mrjob_pybundle.job.buckets import buckets_elsewhere
from mrjob_pybundle.job.python_installs import lines_that_install_python
from mrjob_pybundle.job.spark import is_in_client_mode, named_by, named_by_cluster, settings_of_step
from mrjob_pybundle.job.times import Times
from mrjob_pybundle.job.waiting import MOST_INSTANCES, Waiting, count_instances, obstacle
from mrjob_pybundle.nodes.bootstrap import (
    NodePaths,
    Programs,
    bootstrap_arguments,
    bootstrap_script,
    bootstrap_script_name,
    script_uri,
    upload_script,
)
from mrjob_pybundle.nodes.carried import Carried, check_can_be_carried, why_not_carried
from mrjob_pybundle.options import ALIAS
from mrjob_pybundle.progress import tell_times
from mrjob_pybundle.values import check_value

if TYPE_CHECKING:
    from mrjob_pybundle.build import Order
    from mrjob_pybundle.cache.why import Explanation

log = logging.getLogger("mrjob.pybundle")

#: Noting the use of a bundle is a request that a job need not make each time.
_USE_IS_NOTED_EVERY_SECONDS = 24 * 3600

#: What Hadoop Streaming takes for a mapper, combiner or reducer itself, instead of running a command.
_STREAMING_BUILT_IN = re.compile(r"aggregate|NONE|([a-z_]\w*\.)+[A-Z]\w*(\$\w+)*")


class PyBundleEMRJobRunner(ClusterAheadRunner):
    """Runs a job on EMR with a bundle: a compiled CPython and a virtual environment from the team's cache.

    Takes the arguments of :class:`mrjob.emr.EMRJobRunner`, and the options in :mod:`mrjob_pybundle.options`.

    :raises OptionError: an option, or a combination of them, cannot work.
    :raises CacheError: AWS said no.
    """

    alias = ALIAS

    OPT_NAMES = EMRJobRunner.OPT_NAMES | set(options.RUNNER_OPTS)

    def __init__(self, **kwargs: Any) -> None:
        self._bootstrap_action: dict[str, Any] | None = None
        self._programs: Programs | None = None
        self._hit: Hit | None = None
        self._told: set[str] = set()
        self._brought: list[str] = []
        self._times = Times()
        self._look_up: Future[Hit | None] | None = None
        #: puts the bootstrap script into S3, and its first try
        self._send: Callable[[], S3Uri] | None = None
        self._sent: Future[S3Uri] | None = None
        self._output_is_checked = False
        #: of the job's cluster, which EMR tells with its answers
        self._place: Place | None = None
        with _explained("preparing the job"):
            with _options_of_mrjob():
                super().__init__(**kwargs)
            self._extra_args: list[Any] = _with_runner_that_nodes_know(self._extra_args)
            self._pybundle = options.from_mrjob(self._opts)
            if not self._pybundle.fast_tasks:
                self._opts["cmdenv"] = {options.FAST_TASKS_VARIABLE: "off", **self._opts["cmdenv"]}
            #: the team's cache, and how AWS is reached
            self.context = Context.of(self._opts)
            self._check_options()

    # options

    @classmethod
    def _default_opts(cls) -> dict[str, Any]:
        return {
            **super()._default_opts(),
            **options.DEFAULTS,
            # S3 has been consistent since December 2020.
            "cloud_fs_sync_secs": 0.0,
            "image_version": emr_releases.DEFAULT_IMAGE_VERSION,
        }

    def _bootstrap_mrjob(self) -> bool:
        """The bundle has mrjob in it; a Python that the job has named need not."""
        wanted = self._opts["bootstrap_mrjob"]
        return self._runs_on_another_python() if wanted is None else bool(wanted)

    def _runs_on_another_python(self) -> bool:
        of_spark = self._has_pyspark_steps() and any(map(named_by, (self._opts, *self._get_steps())))
        return bool(self._names_python_of_tasks() or of_spark)

    def _names_python_of_tasks(self) -> bool:
        return bool(self._opts["python_bin"] or self._opts["task_python_bin"])

    def _fix_opt(self, opt_key: str, opt_value: Any, source: str) -> Any:
        check_value(opt_key, opt_value, source)
        try:
            return super()._fix_opt(opt_key, opt_value, source)
        except (TypeError, ValueError) as error:
            raise OptionError(f"{opt_key} (from {source}): {error}") from error

    def _combine_opts(self, opt_list: list[dict[str, Any]]) -> dict[str, Any]:
        opts: dict[str, Any] = super()._combine_opts(opt_list)
        label = opts["release_label"] or ""
        if label.startswith("emr-spark-"):
            emr_releases.release(label)  # mrjob cannot even read its version
        return opts

    def _check_options(self) -> None:
        """Refuse what cannot work, as far as that can be told without a request and without reading files."""
        options.tmp_dir(self._opts)
        if self._opts["docker_image"]:
            raise OptionError(
                "docker_image does not go with -r pybundle-emr: tasks in a container don't see the bundle."
                " Use -r emr for Docker."
            )
        for name in ("python_bin", "task_python_bin"):
            if self._opts[name]:
                log.warning("%s is set: steps run on %s, not on the bundle's Python", name, " ".join(self._opts[name]))
        if self._has_pyspark_steps():
            self._tell_of_other_pythons_for_spark()
        if not self._opts["cluster_id"]:
            self._check_machines()
        if "://" in (self._pybundle.python_source or "://"):
            find_source(self._pybundle.python_version, self._pybundle.python_source, self._pybundle.python_sha256)
        if not self._opts["cluster_id"]:
            self._check_bootstrap_actions(is_to_stay=self._opts["pool_clusters"])

    def _check_machines(self) -> None:
        """Whether they can have this Python. Of a cluster that exists, EMR knows: it is asked when the job runs."""
        version = self._pybundle.python_version
        emr_releases.common_architecture(list(self._machines.instance_types))
        if not self._machines.image_id:
            emr_releases.check_python(version, self._release.os_family)
        if self._has_pyspark_steps():
            emr_releases.check_python_for_spark(version, self._release)

    def _tell_of_other_pythons_for_spark(self) -> None:
        said = [named_by(opts) for opts in (self._opts, *self._get_steps())]
        for name, value in {name: value for named in said for name, value in named.items()}.items():
            log.warning("%s is set: Spark steps run on %s, not on the bundle's Python", name, value)
        for name in named_by_cluster(self._opts["emr_configurations"]):
            log.info("%s in emr_configurations is not for this job: its steps run on the bundle's Python", name)

    def _check_bootstrap_actions(self, *, is_to_stay: bool) -> None:
        """Whether EMR runs so many: the bundle's, its author's, and what mrjob makes of other options.

        A cluster that is to stay ends when it has been idle, by one more.
        """
        theirs = len(self._bootstrap_actions()) + len(self._extra_bootstrap_actions())
        if 1 + theirs + bool(self._bootstrap) + bool(is_to_stay) > options.MAX_BOOTSTRAP_ACTIONS:
            raise OptionError(
                f"EMR runs at most {options.MAX_BOOTSTRAP_ACTIONS} bootstrap actions, and one of them is the bundle's."
            )

    def _extra_bootstrap_actions(self) -> list[Any]:
        extra = self._opts["extra_cluster_params"].get("BootstrapActions") or []
        if not isinstance(extra, (list, tuple)):
            raise OptionError(f"extra_cluster_params: BootstrapActions is {extra!r}, and no list")
        return list(extra)

    @cached_property
    def _release(self) -> emr_releases.Release:
        return emr_releases.release(self._machines.release_label)

    @cached_property
    def _machines(self) -> Machines:
        """What the job runs on. A cluster that exists is what it is, whatever the options say."""
        if self._existing_cluster:
            return self._existing_cluster.machines
        return self._wanted.machines

    @cached_property
    def _wanted(self) -> Wanted:
        """What a cluster for this job is to be, after extra_cluster_params. Nothing is asked, nothing created."""
        return wanted_by(self._with_extra_cluster_params(self._params_by_options()))

    @cached_property
    def _existing_cluster(self) -> ExistingCluster | None:
        cluster_id = self._opts["cluster_id"]
        return self.context.emr.existing_cluster(cluster_id) if cluster_id else None

    # specification

    @cached_property
    def bundle_spec(self) -> BundleSpec:
        """Everything that changes the bytes of this job's bundle; its keys name the bundle in the cache."""
        ours = self._pybundle
        self._check_machines()
        return self.inputs.spec(
            PythonSpec(
                version=ours.python_version,
                source_sha256=self._source.sha256_for_key,
                configure_args=ours.configure_args,
                optimize=ours.optimize,
                arch=emr_releases.common_architecture(list(self._machines.instance_types)),
                os_family=self._machines.image_id or self._release.os_family,
            )
        )

    @cached_property
    def inputs(self) -> Inputs:
        """All that the bundle is made of, as it is when its keys are first asked for: when the job runs.

        Keys stay what they are from then on. A file that is edited later is noticed when it is packed for a build.
        """
        return read_inputs(self._source, self._pybundle.venv_build, self._pybundle.build_files)

    @cached_property
    def _source(self) -> Source:
        ours = self._pybundle
        return find_source(ours.python_version, ours.python_source, ours.python_sha256)

    # cache and build

    @property
    def cache(self) -> Cache:
        """The team's cache."""
        return self.context.cache

    def _prepare_bundle(self, *, for_a_job: bool = False) -> None:
        """Have the bundle in the cache, and in S3 what brings it onto the nodes."""
        if self._programs is not None:
            return
        self._tell_of_packages_that_no_task_sees()
        hit = self._find_or_build(for_a_job=for_a_job)
        bundle = hit.bundle
        log.info("Using bundle %s: CPython %s from %s", bundle.id, self.bundle_spec.python.version, self.cache.root)
        self._hit = hit
        self._programs = self._provide(bundle)
        self._tell_of_buckets_elsewhere()

    def _tell_of_packages_that_no_task_sees(self) -> None:
        if self._existing_cluster or self._names_python_of_tasks():
            return
        lines = lines_that_install_python(self._opts["bootstrap"])
        if lines:
            log.warning(
                "bootstrap installs Python packages on each node, where no task sees them: tasks run on the bundle's"
                " Python. Move this to your venv-build.sh (docs/moving.md says how):"
            )
        for line in lines:
            log.warning("    %s", line)

    def _tell_of_buckets_elsewhere(self) -> None:
        """Warn of buckets in other regions, as far as S3 has told of them. It is not asked for that."""
        for text in buckets_elsewhere(self.context, self._tmp_dir.bucket, self._opts["region"]):
            if text not in self._told:
                log.warning("%s", text)
            self._told.add(text)

    def _provide(self, bundle: Bundle) -> Programs:
        script, cluster = bootstrap_script(bundle), self._existing_cluster
        if self._is_awaited_by_cluster():
            return self._bring_along(bundle)
        if cluster is None:
            region = self.context.region_of(self.cache.root.bucket)
            uri = script_uri("bootstrap", script, self._tmp_dir)
            self._send = partial(upload_script, "bootstrap", script, self._tmp_dir, self.context.s3)
            self._sent = self._beside.submit(self._send)
            self._bootstrap_action = {"path": str(uri), "args": bootstrap_arguments(bundle, self.cache, region)}
        elif bootstrap_script_name(script) not in cluster.script_names:
            self._check_can_bring_along(cluster)
            log.info("Cluster %s was not created with this bundle: the job brings it along", cluster.id)
            return self._bring_along(bundle)
        return NodePaths(bundle.id)

    def _bring_along(self, bundle: Bundle) -> Programs:
        carried = Carried(bundle, self.cache)
        try:
            carried.upload(self._tmp_dir, self.context.s3)
        except NoSuchBucketError:  # mrjob makes it, but later
            self.fs.mkdir(self._opts["cloud_tmp_dir"])
            carried.upload(self._tmp_dir, self.context.s3)
        return self._add_carried(carried)

    def _add_carried(self, carried: Carried) -> Programs:
        files = {name: str(uri) for name, uri in carried.uris(self._tmp_dir).items()}
        for name, uri in files.items():
            self._working_dir_mgr.add("file", uri, name)
        self._brought = [f"{uri}#{name}" for name, uri in files.items()]
        return carried.paths

    def _check_steps_before_build(self) -> None:
        """Refuse a step that EMR would not take before its bundle is built, which costs money.

        A cluster that is there already does not have what is still to be built.
        """
        self._rehearse_with_bundle(is_carried=self._existing_cluster is not None)

    def _rehearse_with_bundle(self, *, is_carried: bool) -> None:
        bundle, rehearsal = self.bundle_spec.stand_in, self._rehearsal()
        carried = Carried(bundle, self.cache) if is_carried else None
        rehearsal._programs = rehearsal._add_carried(carried) if carried else NodePaths(bundle.id)
        rehearsal._rehearse()

    def _brought_along(self) -> Collection[str]:
        return self._brought

    def _check_can_bring_along(self, cluster: ExistingCluster) -> None:
        check_can_be_carried(cluster.id, self.cache, self._tmp_dir)
        if self._has_driver_on_master():
            raise OptionError(
                f"Cluster {cluster.id} was not created with this job's bundle, so its master does not have it."
                " Leave out --deploy-mode client: in cluster mode, Spark's driver gets the bundle as executors do."
            )

    def _has_driver_on_master(self) -> bool:
        return any(
            self._step_type_uses_pyspark(step["type"]) and is_in_client_mode(self._opts["spark_args"], step)
            for step in self._get_steps()
        )

    @property
    def _tmp_dir(self) -> S3Uri:
        return options.tmp_dir(self._opts)

    def build_bundle(self) -> tuple[Bundle, bool]:
        """Have the bundle in the cache, as a job would. The result says whether it was built for that.

        :raises BuildError: the build failed.
        :raises CacheError: AWS said no.
        """
        with _explained("building the bundle"):
            found = None if self._pybundle.rebuild else self.cache.bundles.find(self.bundle_spec)
            if found:
                return found, False
            bundle = self._build_bundle()
            self._tell_times()
            return bundle, True

    def check_spark(self, why: str) -> None:
        """Check that the Spark of the cluster's release runs the bundle's Python; *why* says what needs it to.

        :raises OptionError: it doesn't.
        """
        emr_releases.check_python_for_spark(self._pybundle.python_version, self._release, why)

    def _find_or_build(self, *, for_a_job: bool) -> Hit:
        self._look_up_bundle()
        hit = self._look_up.result() if self._look_up else None
        if hit is not None:
            last_build.note_success(self.cache.root)
        return hit or Hit(self._build_bundle(for_a_job=for_a_job))

    @cached_property
    def _beside(self) -> Executor:
        """What is asked of S3 while mrjob does something else."""
        return ThreadPoolExecutor(1)

    def _look_up_bundle(self) -> None:
        """Ask for it, and do not wait."""
        if self._look_up is None and not self._pybundle.rebuild:
            self._look_up = self._beside.submit(self.cache.bundles.look_up, self.bundle_spec)

    def _note_use(self) -> None:
        """Note where the bundle is used, for the housekeeping, unless that has been noted lately."""
        key, place = self.bundle_spec.key, self._place
        noted = self._hit.uses.get(layout.used(key, place)) if self._hit else None
        if noted is not None and time.time() - noted < _USE_IS_NOTED_EVERY_SECONDS:
            return
        consequence = "mrjob-pybundle gc may take it for unused"
        try:
            if not self.cache.bundles.note_use(key, self.context.owner, place):
                log.info("may not note in the cache that this bundle is used: %s", consequence)
        except CacheError as error:  # no reason for a job that has its bundle to fail
            log.warning("could not note in the cache that this bundle is used: %s. %s", error, consequence)

    def _build_bundle(self, *, for_a_job: bool = False) -> Bundle:
        order = self._order()
        if self._existing_cluster:
            self._check_can_bring_along(self._existing_cluster)
        else:
            self._check_request()
        self._examine_inputs()
        if for_a_job:
            self._check_steps_before_build()
        self._check_output_not_exists()  # which mrjob does later, too, but by then a build would have cost money
        self.fs.mkdir(self._opts["cloud_tmp_dir"])  # mrjob makes its bucket where there is none
        self.context.find_bucket(self._tmp_dir.bucket)
        self._tell_of_buckets_elsewhere()
        log.info("No bundle of these inputs in %s yet (key %s)", self.cache.root, self.bundle_spec.key[:12])
        if not (for_a_job and self._may_start_ahead()):
            return self._built(order)
        waiting = self._waiting_for(order)
        ahead = replace(order, when_python_is_there=lambda: self._launch_ahead(waiting))
        try:
            return self._built(ahead)
        except BaseException:
            if self._end_cluster_ahead():
                log.warning(
                    "Its nodes were paid for in vain. mrjob-pybundle build first, then the job, goes without that."
                )
            raise

    def _built(self, order: Order) -> Bundle:
        from mrjob_pybundle.build import build_bundle

        self._output_is_checked = False
        try:
            bundle = build_bundle(order, self.context)
        except BuildError:
            last_build.note_failure(self.cache.root)
            raise
        last_build.note_success(self.cache.root)
        return bundle

    # a cluster that starts while the bundle is being built

    def _may_start_ahead(self) -> bool:
        """Whether the job's cluster is to start beside the build. Where it is not, a line says why."""
        wish = self._pybundle.overlap
        if wish is False:
            return False
        request = self._with_extra_cluster_params(self._params_by_options())
        why = obstacle(self._opts, request, repr((self._opts, self._get_steps(), self._extra_args)))
        why = why or why_not_carried(self.cache, self._tmp_dir)
        cache_region = self.context.region_of(self.cache.root.bucket)
        if why is None and cache_region not in ("", self._opts["region"]):
            why = f"Hadoop may not find the cache, which is in {cache_region}"
        if why is None and self._has_driver_on_master():
            why = "the master, on which Spark's driver is to run in client mode, would not have the bundle"
        if why is None and not self._fit_steps_with_carried_bundle():
            why = "with the bundle's files, the arguments of a step would be longer than EMR takes"
        if why:
            log.log(logging.WARNING if wish else logging.INFO, "The job's cluster starts after the build: %s", why)
            return False
        if wish:
            return True
        instances = count_instances(request)
        if instances > MOST_INSTANCES:
            why = f"it has {instances} instances, which would wait for the rest of the build"
        elif last_build.has_failed(self.cache.root):
            why = "the latest build has failed, and this one may, too"
        if why:
            log.info(
                "The job's cluster starts after the build: %s. pybundle_overlap: true has it start meanwhile,"
                " which saves the time of its start",
                why,
            )
        return why is None

    def _fit_steps_with_carried_bundle(self) -> bool:
        try:
            self._rehearse_with_bundle(is_carried=True)
        except OptionError:
            return False
        return True

    def _waiting_for(self, order: Order) -> Waiting:
        return Waiting(
            uri=S3Uri.parse(self._cloud_tmp_dir) / "submitter",
            region=self.context.region_of(self._tmp_dir.bucket),
            silence=self._pybundle.overlap_patience_seconds,
            limit=order.longest_seconds,
        )

    def _examine_inputs(self) -> None:
        """Those of the doctor's checks that send no request, and that nobody has made by now."""
        script, region = self.inputs.venv_build, self.context.credentials.region
        if region and not is_known_to_have_emr(region):
            log.warning("region: the installed boto3 does not know %s to have EMR", region)
        if script is not None:
            for warning in examine(script.path, script.read(), self.inputs.build_files).warnings:
                log.warning("%s", warning)

    def why(self) -> Explanation | None:
        """How this job's bundle differs from the cached one that is most like it; ``None`` if none is cached."""
        from mrjob_pybundle.cache.inventory import take_inventory
        from mrjob_pybundle.cache.why import explain_miss

        build_files = {name: file.path for name, file in self.inputs.build_files.items()}
        return explain_miss(
            self.bundle_spec, self._pybundle.venv_build, build_files, take_inventory(self.cache), self.cache
        )

    def _order(self) -> Order:
        from mrjob_pybundle.build import Order

        ours, arch = self._pybundle, self.bundle_spec.python.arch
        instance_type = ours.build_instance_type or emr_releases.build_instance_type(arch)
        emr_releases.check_build_instance_type(instance_type, arch)
        return Order(
            spec=self.bundle_spec,
            inputs=self.inputs,
            owner=self.context.owner,
            timeout_minutes=ours.build_timeout_minutes,
            rebuild=ours.rebuild,
            cluster=self._params_for_build,
            wanted=Wanted(
                Machines(self._machines.release_label, self._machines.image_id, (instance_type,)),
                ours.build_iam_instance_profile or self._wanted.instance_profile,
                self._wanted.service_role,
            ),
            instance_type=instance_type,
            bootstrap_actions=ours.build_bootstrap_actions,
            tags=self._opts["tags"],
            times=self._times,
        )

    def _params_for_build(self) -> dict[str, Any]:
        """RunJobFlow's parameters for a build cluster, as far as it shares them with the job's cluster."""
        roles = {
            "JobFlowRole": self._pybundle.build_iam_instance_profile or self._instance_profile(),
            "ServiceRole": self._service_role(),
        }
        jobs = self._with_extra_cluster_params({**self._params_by_options(), **roles})
        profile = self._pybundle.build_iam_instance_profile or jobs.get("JobFlowRole")
        return shared_with_build(jobs, Wanted(self._machines, profile, jobs.get("ServiceRole")))

    # what clusters are asked to be

    def _params_by_options(self) -> dict[str, Any]:
        """RunJobFlow's parameters for the job's cluster as mrjob has them before extra_cluster_params.

        In part: all that decides on the bundle, and all that a build cluster may share. What mrjob fills in later is
        there, for its names in extra_cluster_params to mean the same.
        """
        opts = self._opts
        instances = {
            "Ec2KeyName": opts["ec2_key_pair"],
            "Placement": {"AvailabilityZone": opts["zone"]} if opts["zone"] else None,
            "Ec2SubnetIds" if isinstance(opts["subnet"], list) else "Ec2SubnetId": opts["subnet"],
            "InstanceFleets": opts["instance_fleets"],
            "InstanceGroups": None if opts["instance_fleets"] else self._instance_groups(),
        }
        params = {
            "LogUri": opts["cloud_log_dir"],
            "ReleaseLabel": opts["release_label"] or f"emr-{opts['image_version']}",
            "CustomAmiId": opts["image_id"],
            "EbsRootVolumeSize": opts["ebs_root_volume_gb"],
            "AdditionalInfo": opts["additional_emr_info"],
            "JobFlowRole": opts["iam_instance_profile"],
            "ServiceRole": opts["iam_service_role"],
            "Instances": {name: value for name, value in instances.items() if value},
        }
        later = {"Name": self._job_key, "Applications": [], "BootstrapActions": [], "Configurations": [], "Steps": []}
        return {**later, **{name: value for name, value in params.items() if value}}

    def _with_extra_cluster_params(self, params: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._add_extra_cluster_params(params)
        except TypeError as error:
            raise OptionError(
                f"extra_cluster_params: {self._opts['extra_cluster_params']!r} is not what EMR's RunJobFlow takes"
                f" ({error})"
            ) from error

    def _check_request(self) -> None:
        """Whether EMR can be asked for the job's cluster; it is not asked."""
        self.context.emr.check_request(self._with_extra_cluster_params(self._params_by_options()))

    def _cluster_kwargs(self, persistent: bool = False) -> dict[str, Any]:
        """Like mrjob's, whose last word before RunJobFlow it is."""
        request: dict[str, Any] = super()._cluster_kwargs(persistent=persistent)
        check_asks_for(request, self._wanted, "the job's cluster")
        return request

    def _instance_profile(self) -> str:
        """Like mrjob's, which finds or makes one even where extra_cluster_params name another."""
        return self._wanted.instance_profile or str(super()._instance_profile())

    def _service_role(self) -> str:
        return self._wanted.service_role or str(super()._service_role())

    # bootstrap action and cluster

    def _prepare_for_launch(self) -> None:
        self._look_up_bundle()
        self._check_output_not_exists()
        self._prepare_bundle(for_a_job=True)
        super()._prepare_for_launch()

    def _check_output_not_exists(self) -> None:
        """Like mrjob's, but not again where nothing has taken its time since."""
        if not self._output_is_checked:
            super()._check_output_not_exists()
        self._output_is_checked = True

    def _upload_local_files(self) -> None:
        super()._upload_local_files()
        if self._send is not None and self._sent is not None:
            try:
                self._sent.result()
            except NoSuchBucketError:  # mrjob has just made it
                self._send()
            self._tell_of_buckets_elsewhere()  # S3 has told by now where that went

    def _add_bootstrap_files_for_upload(self, persistent: bool = False) -> None:
        self._prepare_bundle()  # make_persistent_cluster() comes only here
        super()._add_bootstrap_files_for_upload(persistent=persistent)

    def _bootstrap_actions(self, add_spark: bool = True) -> list[dict[str, Any]]:
        theirs: list[dict[str, Any]] = super()._bootstrap_actions(add_spark=add_spark)
        return theirs if self._bootstrap_action is None else [self._bootstrap_action, *theirs]

    def _pool_hash_dict(self) -> dict[str, Any]:
        """Like mrjob's, but the bundle's bootstrap script is known by its name, which has its digest.

        Its directory is the submitter's own (``cloud_tmp_dir``), and authors of a team are to share clusters. Release
        and AMI are those that clusters really get.
        """
        wanted: dict[str, Any] = super()._pool_hash_dict()
        if self._bootstrap_action is None:
            return wanted
        ours, *theirs = wanted["bootstrap_actions"]
        return {
            **wanted,
            "bootstrap_actions": [{**ours, "path": ours["path"].split("/")[-1]}, *theirs],
            "image_id": self._machines.image_id,
            "release_label": self._machines.release_label,
        }

    def _add_extra_cluster_params(self, params: dict[str, Any]) -> dict[str, Any]:
        """Like mrjob's, but ``BootstrapActions`` are added to those that are there, and don't take their place.

        Tags are in the request, too: ``AmazonEMRServicePolicy_v2`` lets nothing untagged be launched.
        """
        tags = [{"Key": key, "Value": value} for key, value in sorted(self._opts["tags"].items())]
        patched: dict[str, Any] = super()._add_extra_cluster_params({**params, "Tags": tags} if tags else params)
        patched["BootstrapActions"] = params.get("BootstrapActions", []) + self._extra_bootstrap_actions()
        return patched

    # steps

    def _programs_of_bundle(self) -> Programs:
        assert self._programs is not None, "steps are rendered after the bundle is there"
        return self._programs

    def _default_python_bin(self, local: bool = False) -> list[str]:
        if local or self._programs is None:
            local_bin: list[str] = super()._default_python_bin(local=local)
            return local_bin
        return [self._programs.jobrunner]

    def _substep_args(self, step_num: int, mrc: str) -> list[str]:
        args: list[str] = super()._substep_args(step_num, mrc)
        substep = self._get_step(step_num)[mrc]
        if substep["type"] == "command":
            is_for_bundle = not (len(args) == 1 and _STREAMING_BUILT_IN.fullmatch(args[0]))
        else:
            is_for_bundle = "pre_filter" in substep and not self._names_python_of_tasks()
        return [self._programs_of_bundle().venv_exec, *args] if is_for_bundle else args

    def _jobconf_for_step(self, step_num: int) -> dict[str, Any]:
        """mrjob's, with what it does not think of.

        Hadoop 3 writes its job history in a binary format, unless told otherwise. mrjob reads it as JSON, to learn
        which container's logs have the cause of a failure.

        mrjob names Spark's Python where Spark looks last, and only a driver in cluster mode finds it there.
        """
        jobconf: dict[str, Any] = super()._jobconf_for_step(step_num)
        step = self._get_step(step_num)
        if step["type"] == "streaming":
            jobconf.setdefault("mapreduce.jobhistory.jhist.format", "json")
        elif self._step_type_uses_pyspark(step["type"]):
            said = {**named_by(self._opts), **named_by(step)}
            in_client_mode = is_in_client_mode(self._opts["spark_args"], step)
            driver_python = shlex.join(self._python_bin()) if in_client_mode else None
            jobconf.update(settings_of_step(said, self._spark_cmdenv(step_num), driver_python))
        return jobconf

    def _setup_cmd_content(self, setup: list[Any]) -> list[str]:
        """Setup commands run in the bundle's environment, as the task after them does, unless it has another Python."""
        lines: list[str] = super()._setup_cmd_content(setup)
        if self._names_python_of_tasks():
            return lines
        return [f". {shlex.quote(self._programs_of_bundle().activate)}", "", *lines]

    # running

    def run(self) -> None:
        with _explained("running the job"):
            self._look_up, self._output_is_checked = None, False
            try:
                super().run()
            finally:
                self._tell_times()

    def _tell_times(self) -> None:
        """Say where the time went, if it went into a build: what that costs again after an edit."""
        if self._times.waited_for_build:
            tell_times(self._times.table(self._step_ids, is_carried=bool(self._brought)))

    def cat_output(self) -> Iterator[bytes]:
        with _explained("reading the job's output"):
            yield from super().cat_output()

    def cleanup(self, mode: list[str] | None = None) -> None:
        with _explained("cleaning up"), _logged_in_one_line("cleaning up"):
            super().cleanup(mode=mode)

    @cached_property
    def _emr_client(self) -> Any:
        client = super()._emr_client
        refuse_incomplete_answers(client)
        client.meta.events.register("after-call.emr", self._learn_place)
        return client

    def _learn_place(self, parsed: dict[str, Any], **_: Any) -> None:
        self._times.heard(parsed)
        arn = parsed.get("ClusterArn") or parsed.get("Cluster", {}).get("ClusterArn")
        self._place = Place.of(arn) or self._place

    def _note_launch(self, launched: Launched) -> None:
        self._times.launched(launched.id)
        self._place = launched.place or self._place

    def _launch_emr_job(self) -> None:
        super()._launch_emr_job()
        self._note_use()

    def make_persistent_cluster(self) -> str:
        if self._opts["cluster_id"]:
            raise OptionError("cluster_id names a cluster that exists: leave it out to create one.")
        with _explained("creating a cluster"):
            self._check_bootstrap_actions(is_to_stay=True)
            cluster_id = str(super().make_persistent_cluster())
            self._note_use()
            self._tell_times()
            return cluster_id


@contextmanager
def _options_of_mrjob() -> Iterator[None]:
    """mrjob says by exceptions of every kind that it cannot work with what it was given."""
    try:
        yield
    except PyBundleError:
        raise
    except (OSError, TypeError, ValueError) as error:
        if isinstance(error, _AWS_ERRORS):
            raise
        error_class = OptionFileError if isinstance(error, OSError) else OptionError
        raise error_class(f"An option, or a combination of them, cannot work: {error}") from error


_AWS_ERRORS = (BotoCoreError, ClientError, Boto3Error)


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    """The door of the runner: what AWS says to mrjob's own requests is one clear line, too; see :func:`left_runner`."""
    try:
        yield
    except PyBundleError as error:
        left_runner(error)
        raise
    except (*_AWS_ERRORS, OSError, RuntimeError, ValueError) as error:
        explained = _as_ours(error, doing)
        if explained is not None:
            left_runner(explained)
            raise explained from error
        # A file that is not there, an output that is: mrjob's words, which programs may expect to catch.
        if isinstance(error, OSError) or (isinstance(error, ValueError) and _was_raised_by_mrjob(error)):
            left_runner(error)
        raise


def _was_raised_by_mrjob(error: Exception) -> bool:
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).partition(".")[0] == "mrjob"


def _as_ours(error: Exception, doing: str) -> PyBundleError | None:
    """What a person is told of an error of AWS, or of botocore in its place; ``None``: it is another's."""
    if isinstance(error, _AWS_ERRORS):
        operation = getattr(error, "operation_name", None)
        return explain(error, f"{doing}: {operation}" if operation else doing)
    return expired(doing) if isinstance(error, RuntimeError) and are_stale_credentials(error) else None


@contextmanager
def _logged_in_one_line(doing: str) -> Iterator[None]:
    """mrjob goes on when AWS says no to its cleaning up, but logs that as a traceback: here only with ``-v``.

    Other runners of the program, perhaps in other threads, log as ever.
    """
    here = threading.get_ident()

    def explain_logged(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        explained = _as_ours(error, doing) if isinstance(error, Exception) else None
        if record.thread == here and explained is not None:
            record.msg, record.args = str(explained), ()
            if not log.isEnabledFor(logging.DEBUG):
                record.exc_info = None
        return True

    mrjob_log = logging.getLogger("mrjob.emr")
    mrjob_log.addFilter(explain_logged)
    try:
        yield
    finally:
        mrjob_log.removeFilter(explain_logged)


def _with_runner_that_nodes_know(args: list[Any]) -> list[Any]:
    """*args* for tasks, in which a passed-through ``--runner`` says ``emr``: nodes don't know our alias."""
    result: list[Any] = []
    for arg in args:
        follows_switch = bool(result) and result[-1] in ("-r", "--runner")
        if follows_switch and arg == ALIAS:
            result.append("emr")
        elif arg == f"--runner={ALIAS}":
            result.append("--runner=emr")
        else:
            result.append(arg)
    return result
