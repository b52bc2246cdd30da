"""A job's steps on EMR: how many are sent at a time, how they are awaited, and when their logs are read.

Bundles play no part in it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from copy import copy, deepcopy
from functools import cached_property, partial
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from mrjob.emr import EMRJobRunner
from mrjob.step import StepFailedException

from mrjob_pybundle.aws.emr import Launched, LaunchUnclearError, was_refused
from mrjob_pybundle.aws.errors import are_stale_credentials, expired, explain, was_throttled
from mrjob_pybundle.aws.patience import Patience
from mrjob_pybundle.aws.requests import check_step_fits
from mrjob_pybundle.context import Context
from mrjob_pybundle.errors import CacheError
from mrjob_pybundle.job import step_logs
from mrjob_pybundle.job.s3_files import S3Files
from mrjob_pybundle.job.step_logs import StepLog, unreadable_logs_told, wait_for_log
from mrjob_pybundle.job.waiting import steps_at_once

log = logging.getLogger("mrjob.pybundle")

#: So many steps of a cluster may be pending or running (EMR Management Guide, "Submit work to a cluster").
_MAX_ACTIVE_STEPS = 256


#: So often EMR is asked for a cluster, or steps, of which it does not say whether they are there, and lists none.
_TRIES = 3

_ENDS_BY_ITSELF = "If it has, the cluster ends as soon as it is up and has no steps, unless it was to stay."

#: Of all EMR releases that we take; in steps, mrjob makes no difference between that and newer ones.
_OLDEST_HADOOP = "2.8"

#: So long (seconds) a job that has a cluster waits for AWS to answer: as long as mrjob does while AWS throttles.
_A_DAY = 24 * 3600.0
_Runner = TypeVar("_Runner", bound="EMRStepsRunner")


class EMRStepsRunner(EMRJobRunner):
    """mrjob's EMR runner, whose jobs may have any number of steps, and wait for no log longer than it takes.

    Once it has a cluster, it waits for the network as long as for that.
    """

    #: how AWS is reached
    context: Context

    def __init__(self, **kwargs: Any) -> None:
        #: of a batch, what did not fit into the cluster yet
        self._steps_to_come: list[dict[str, Any]] = []
        self._awaited_logs: set[str] = set()
        #: whether nothing of the job goes on, as far as anybody has seen
        self._steps_have_ended = False
        #: ids of those that this job has had launched
        self._launched_clusters: list[str] = []
        #: whether EMR may have launched one of which it has not said so
        self._may_have_another_cluster = False
        super().__init__(**kwargs)

    # files

    @property
    def fs(self) -> Any:
        """Like mrjob's, but for how S3 is asked."""
        is_new, files = self._fs is None, super().fs
        if is_new:
            files.s3 = S3Files(files.s3)
        return files

    def _upload_local_files(self) -> None:
        with self.fs.s3.side_by_side():
            super()._upload_local_files()
            # for what comes next; that takes as long as files take to arrive
            self.make_emr_client()
            self.context.emr.prepare_to_launch()

    # a network that is gone for a while

    @cached_property
    def _patience_with_emr(self) -> Patience:
        return self._patience("EMR")

    @cached_property
    def _patience_with_logs(self) -> Patience:
        return self._patience("S3", step_logs.LOG_WAIT_SECONDS)

    def _patience(self, service: str, limit: float = _A_DAY) -> Patience:
        return Patience(service, limit, self._opts["check_cluster_every"], partial(log.info, "  %s"))

    @cached_property
    def _emr_client(self) -> Any:
        return super().make_emr_client()

    def make_emr_client(self) -> Any:
        """Like mrjob's, which makes a new one for each request, but for what must not be carried out twice."""
        patience = self._patience_with_emr if self._cluster_id else None
        return _Client(self._emr_client, patience, self._run_job_flow, self._send_steps, self._terminate)

    def _run_job_flow(self, **request: Any) -> dict[str, Any]:
        """RunJobFlow, which has no idempotency token."""
        name = request["Name"]
        try:
            launched = self._launch_once(request)
        except LaunchUnclearError as error:
            self._may_have_another_cluster = True
            raise CacheError(
                f"EMR did not say whether it has launched the cluster {name}, and lists none that must be it ({error})."
                f" {_ENDS_BY_ITSELF}"
            ) from error
        except KeyboardInterrupt:
            log.warning("EMR may have launched the cluster %s. %s", name, _ENDS_BY_ITSELF)
            raise
        self._launched_clusters.append(launched.id)
        self._note_launch(launched)
        return {"JobFlowId": launched.id}

    def _launch_once(self, request: dict[str, Any]) -> Launched:
        """Launch a cluster. What EMR does not list, once it has had its time, it has not launched, and is asked again.

        :raises LaunchUnclearError: EMR did not say, and it cannot be told from the list.
        """
        emr, name = self.context.emr, request["Name"]
        # The job's key is nobody else's. extra_cluster_params may have another name.
        is_ours_alone = name.startswith(self._job_key) and not self._may_have_another_cluster
        launch = partial(emr.launch, request, "the job's cluster")
        for attempt in range(1, _TRIES + 1):
            try:
                return self._patience_with_emr.ask(launch, was_throttled)
            except LaunchUnclearError as error:
                if not is_ours_alone:
                    raise
                try:
                    found = emr.find_launched(name, self._patience_with_emr.ask, self._launched_clusters)
                except CacheError as failure:
                    raise LaunchUnclearError(f"{error}; {failure}") from failure
                if found is not None:
                    return found
                if attempt == _TRIES:
                    raise
        raise AssertionError("unreachable")

    def _note_launch(self, launched: Launched) -> None:
        """The job's cluster is *launched*: for whoever needs to know."""

    def _send_steps(self, **request: Any) -> dict[str, Any]:
        """AddJobFlowSteps. Names of a job's steps begin with its key, so no other step has them."""
        cluster_id, steps = request["JobFlowId"], request["Steps"]
        add = partial(self.context.emr.add_steps, cluster_id, steps)
        find = partial(self.context.emr.find_added, cluster_id, [step["Name"] for step in steps])
        for attempt in range(1, _TRIES + 1):
            try:
                return {"StepIds": self._patience_with_emr.ask(add, was_refused)}
            except (BotoCoreError, ClientError) as error:
                if was_refused(error):
                    raise
                log.info("EMR's answer to AddJobFlowSteps got lost: looking for the steps in cluster %s", cluster_id)
                added = self._patience_with_emr.ask(find)
                if added:
                    return {"StepIds": added}
                if attempt == _TRIES:
                    raise
        raise AssertionError("unreachable")

    def _add_tags(self, tags: dict[str, str], cluster_id: str) -> None:
        """Like mrjob's, but a cluster that has just been launched is not given up because it has no tags yet."""
        self._patience_with_emr.ask(partial(super()._add_tags, tags, cluster_id))

    # ending

    def _finish_run(self) -> None:
        self._steps_have_ended = False  # after another cluster's, perhaps
        try:
            super()._finish_run()
        except StepFailedException:
            self._steps_have_ended = True
            raise
        self._steps_have_ended = True

    def _terminate(self, **request: Any) -> Any:
        """TerminateJobFlows, for which nobody waits: a cluster whose job is done ends by itself, too."""
        try:
            return self._emr_client.terminate_job_flows(**request)
        except Exception:  # mrjob logs it, and goes on
            if not self._steps_have_ended:
                log.warning(
                    "Cluster %s was not ended, and goes on with the job's steps, if it has any. This ends it:"
                    " aws emr terminate-clusters --region %s --cluster-ids %s",
                    *(self._cluster_id, self.context.emr.region, self._cluster_id),
                )
            raise

    # sending

    @cached_property
    def _steps_for_emr(self) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = super()._steps_to_submit()
        return steps

    def _steps_to_submit(self) -> list[dict[str, Any]]:
        """Like mrjob's, which makes them, and warns of what is in them, each time."""
        return self._steps_for_emr

    def get_image_version(self) -> Any:
        """Like mrjob's, which knows none before there is a cluster: steps are to be made by then."""
        if self._cluster_id:
            return super().get_image_version()
        return self._opts["release_label"].removeprefix("emr-")

    def get_hadoop_version(self) -> Any:
        return super().get_hadoop_version() if self._cluster_id else _OLDEST_HADOOP

    def _add_job_files_for_upload(self) -> None:
        """Like mrjob's, after which it is known what each step is to be, and nothing is launched yet."""
        super()._add_job_files_for_upload()
        for step in self._steps_to_submit():
            check_step_fits(step, self._brought_along())

    def _rehearsal(self: _Runner) -> _Runner:
        """A copy of this runner, to :meth:`_rehearse`: what it adds to the job's files is not added to ours."""
        self._get_local_tmp_dir()  # both write there, and we remove it
        copied = copy(self)
        for manager in ("_working_dir_mgr", "_master_node_setup_mgr", "_upload_mgr"):
            setattr(copied, manager, deepcopy(getattr(self, manager)))
        copied._cluster_id = None  # nobody is asked which version it has: to steps, all are alike
        return copied

    def _rehearse(self) -> None:
        """Prepare the job until it is known that EMR takes its steps. Nothing is sent.

        :raises OptionError: it would not take one.
        """
        with _unsaid("mrjob.compat"):  # of the steps, it is said when they are made in earnest
            self._create_setup_wrapper_scripts()
            self._add_master_node_setup_files_for_upload()
            self._add_job_files_for_upload()

    def _brought_along(self) -> Collection[str]:
        """URIs in all steps that are not of the job's own files."""
        return ()

    def _add_steps_in_batch(self) -> bool:
        """All at once where mrjob would add them one by one to a cluster that ends when it has none left.

        Not where a cluster would run them at the same time, or go on with them after one has failed. And not to a
        cluster that others use as well: there, mrjob has a batch's steps cancel all that waits after one has failed
        (``CANCEL_AND_WAIT``), also others' steps.
        """
        is_ours_alone = not (self._opts["cluster_id"] or self._opts["pool_clusters"])
        goes_on_after_failure = self._opts["emr_action_on_failure"] == "CONTINUE"
        is_one_after_the_other = (
            steps_at_once(self._opts, self._opts["extra_cluster_params"]) == 1 and not goes_on_after_failure
        )
        if self._opts["add_steps_in_batch"] is None and is_ours_alone and is_one_after_the_other:
            return True
        return bool(super()._add_steps_in_batch())

    def _add_steps_to_cluster(self, steps: list[dict[str, Any]]) -> None:
        """Like mrjob's, but no more at once than EMR takes. The others follow one by one, as steps end."""
        batch = steps[: max(1, self._room_for_steps())]
        while True:
            try:
                super()._add_steps_to_cluster(batch)
            except ClientError as error:
                if not _is_refused_by_full_cluster(error):
                    raise
                if len(batch) == 1:
                    log.info("Cluster %s has as many steps as EMR takes: waiting for one to end", self._cluster_id)
                    time.sleep(self._opts["check_cluster_every"])
                batch = batch[: max(1, len(batch) // 2)]
            else:
                self._steps_to_come = steps[len(batch) :]
                return

    def _room_for_steps(self) -> int:
        """How many more steps EMR takes, as far as we know: others may use the cluster, too."""
        theirs = self._opts["extra_cluster_params"].get("Steps") or ()
        # mrjob makes one of these for each step that it has waited for
        ended = len(self._log_interpretations) + (self._mns_log_interpretation is not None)
        return _MAX_ACTIVE_STEPS - len(theirs) - max(0, len(self._step_ids) - ended)

    def _wait_for_step_to_complete(self, step_id: str, step_num: int | None = None) -> None:
        if self._steps_to_come and self._room_for_steps() > 0:
            self._add_steps_before_the_cluster_runs_out()
        super()._wait_for_step_to_complete(step_id, step_num)

    def _add_steps_before_the_cluster_runs_out(self) -> None:
        try:
            self._add_steps_to_cluster(self._steps_to_come)
        except ClientError:
            # A step that we have not looked at yet may have failed: that is what there is to say then.
            if self._cluster_goes_on():
                raise

    # logs of steps

    def _s3_log_dir(self) -> str | None:
        """Like mrjob's, which asks EMR even where the job has no cluster yet, as after a build that has failed."""
        return super()._s3_log_dir() if self._cluster_id else None

    def _wait_for_logs_on_s3(self) -> None:
        """Like mrjob's, but a step that has succeeded is not waited for longer than its whole log takes to appear.

        mrjob sleeps ten minutes between two steps (EMR copies logs every five), just to print counters. So long we
        wait at most, once for each step: a cluster's role may not be allowed to write logs.
        """
        log_dir = self._s3_log_dir()
        if not log_dir:
            return  # this cluster writes none
        step = self._step_that_was_waited_for()
        if step is None or step["Status"]["State"] != "COMPLETED" or not self._cluster_goes_on():
            super()._wait_for_logs_on_s3()
            return
        if step["Id"] in self._awaited_logs:
            return
        self._awaited_logs.add(step["Id"])
        step_log = StepLog(f"{log_dir}steps/{step['Id']}/", step["Status"]["Timeline"]["EndDateTime"])
        try:
            log.info("Waiting for the log of step %s to appear on S3 (ctrl-c to skip)...", step["Id"])
            pause = self._opts["check_cluster_every"]
            look = partial(wait_for_log, step_log, self.context.s3, pause, self._cluster_goes_on)
            has_come = False
            with unreadable_logs_told(f"log of step {step['Id']}"):
                has_come = self._patience_with_logs.ask(look)
        except KeyboardInterrupt:
            log.info("not waiting for it")
            return
        if not self._cluster_goes_on():
            super()._wait_for_logs_on_s3()
        elif not has_come:
            log.warning("the log of step %s has not come: its counters may be missing", step["Id"])

    def _cleanup_logs(self) -> None:
        """Like mrjob's, which goes on where EMR or S3 says no to its cleaning up, but for this one question."""
        try:
            super()._cleanup_logs()
        except (BotoCoreError, ClientError) as error:
            log.error("%s", explain(error, "cleaning up logs"))
        except RuntimeError as error:
            if not are_stale_credentials(error):
                raise
            log.error("%s", expired("cleaning up logs"))

    def _log_counters(self, log_interpretation: Any, step_num: int) -> None:
        with unreadable_logs_told("counters"):
            self._patience_with_logs.ask(partial(super()._log_counters, log_interpretation, step_num))

    def _pick_error(self, log_interpretation: Any, step_type: str) -> Any:
        with unreadable_logs_told("cause of the failure"):
            return self._patience_with_logs.ask(partial(super()._pick_error, log_interpretation, step_type))
        return None

    def _step_that_was_waited_for(self) -> Any:
        """EMR's description of the step whose logs mrjob is about to read; ``None`` if it is none of the job's own."""
        if not self._log_interpretations:
            return None
        step_id = self._log_interpretations[-1]["step_id"]
        return self.make_emr_client().describe_step(ClusterId=self._cluster_id, StepId=step_id)["Step"]

    def _cluster_goes_on(self) -> bool:
        """Whether the cluster runs, or waits for more: one that ends copies its logs as it does."""
        return self._describe_cluster()["Status"]["State"] in ("RUNNING", "WAITING")


@contextmanager
def _unsaid(logger: str) -> Iterator[None]:
    """What this thread logs there is not logged."""
    here = threading.get_ident()

    def is_of_others(record: logging.LogRecord) -> bool:
        return record.thread != here

    logging.getLogger(logger).addFilter(is_of_others)
    try:
        yield
    finally:
        logging.getLogger(logger).removeFilter(is_of_others)


class _Client:
    """A boto3 client, as mrjob wraps it, that is asked again while nobody answers, if there is *patience*."""

    def __init__(
        self,
        client: Any,
        patience: Patience | None,
        run_job_flow: Callable[..., dict[str, Any]],
        add_job_flow_steps: Callable[..., dict[str, Any]],
        terminate_job_flows: Callable[..., Any],
    ) -> None:
        self._client = client
        self._patience = patience
        self.run_job_flow = run_job_flow
        self.add_job_flow_steps = add_job_flow_steps
        self.terminate_job_flows = terminate_job_flows

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if self._patience is None:
            return found
        if name == "get_paginator":  # of mrjob's wrapper; its pages are asked of us
            return partial(found.func, self)
        return partial(self._ask, self._patience, found) if callable(found) else found

    def _ask(self, patience: Patience, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return patience.ask(partial(operation, *args, **kwargs))


def _is_refused_by_full_cluster(error: ClientError) -> bool:
    return "Maximum number of active steps" in str(error)
