"""A job whose cluster may start ahead of its steps. How the cluster waits for them is in ``waiting.py``."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from mrjob.step import StepFailedException

from mrjob_pybundle.aws.emr import Life
from mrjob_pybundle.aws.errors import explain
from mrjob_pybundle.errors import CacheError, PyBundleError
from mrjob_pybundle.job.steps import EMRStepsRunner
from mrjob_pybundle.job.waiting import STEP_NAME, SignsOfLife, Waiting

log = logging.getLogger("mrjob.pybundle")


class ClusterAheadRunner(EMRStepsRunner):
    """Can launch the job's cluster before its steps are known, and goes on with another if that one is lost."""

    def __init__(self, **kwargs: Any) -> None:
        #: how the cluster is to wait that is being launched
        self._waiting: Waiting | None = None
        self._was_launched_ahead = False
        #: of us, to the cluster that was launched ahead
        self._signs: SignsOfLife | None = None
        super().__init__(**kwargs)

    def _launch_ahead(self, waiting: Waiting) -> None:
        """Launch the job's cluster, once, and have it wait for its steps.

        What AWS has against that is no reason to give up the build.
        """
        if self._was_launched_ahead:
            return
        self._was_launched_ahead = True
        self._signs = signs = SignsOfLife(waiting, self.context.s3)
        try:
            signs.start()
            self._upload_bootstrap_files()
            self._waiting = waiting
            self._cluster_id = self._create_cluster()
        except (BotoCoreError, ClientError, Boto3Error, PyBundleError, OSError) as error:
            self._end_cluster_ahead()
            is_told = isinstance(error, (PyBundleError, OSError))
            reason = error if is_told else explain(error, "launching the job's cluster")
            log.warning("The job's cluster does not start yet, but when the bundle is there. %s", reason)
            return
        self._waiting = None
        self._created_cluster = True
        log.info("The job's cluster %s starts while the bundle is being built", self._cluster_id)

    def _upload_bootstrap_files(self) -> None:
        """Put into S3 what the cluster's bootstrap actions are, and nothing else of the job's: that may be much."""
        super()._add_bootstrap_files_for_upload()
        wanted = {*self._bootstrap_dir_mgr.paths(), self._master_bootstrap_script_path}
        wanted.update(action["path"] for action in self._bootstrap_actions())
        files = {path: uri for path, uri in self._upload_mgr.path_to_uri().items() if path in wanted}
        if files:
            self.fs.mkdir(self._upload_mgr.prefix)
            with self.fs.s3.side_by_side():
                for path, uri in files.items():
                    self.fs.put(path, uri)

    def _add_tags(self, tags: dict[str, str], cluster_id: str) -> None:
        if self._waiting is not None:  # mrjob notes it later, but whatever happens now, it is to be ended
            self._cluster_id = cluster_id
        super()._add_tags(tags, cluster_id)

    def _cluster_kwargs(self, persistent: bool = False) -> dict[str, Any]:
        request: dict[str, Any] = super()._cluster_kwargs(persistent=persistent)
        if self._waiting is not None:
            request["Steps"] = [*request.get("Steps", ()), self._waiting.step()]
        return request

    def _is_awaited_by_cluster(self) -> bool:
        """Whether a cluster was launched ahead and takes the job's steps. One that doesn't is ended, and forgotten."""
        if self._signs is None:
            return False
        cluster = self._patience_with_emr.ask(partial(self.context.emr.cluster, str(self._cluster_id)))
        if cluster.life is Life.LIVING and not self._signs.may_have_lapsed:
            return True
        is_living = cluster.life is Life.LIVING
        why = "may have given up waiting" if is_living else f"is {cluster.state} ({cluster.reason})"
        log.info("The job's cluster %s %s: it gets another one", cluster.id, why)
        self._end_cluster_ahead()
        return False

    def _end_cluster_ahead(self) -> bool:
        """End the cluster that was launched ahead, and forget it. The result says whether there was one."""
        if self._signs is None:
            return False
        self._signs.stop()
        cluster_id, was_asked_for = self._cluster_id, self._waiting is not None
        if cluster_id is not None:
            self._end(cluster_id)
        elif was_asked_for:
            log.info("Should EMR have launched the job's cluster, it ends by itself: nobody tells it to go on")
        # Not before: who interrupts this has mrjob end the cluster that is still noted.
        self._cluster_id, self._created_cluster, self._signs, self._waiting = None, False, None, None
        return cluster_id is not None

    def _end(self, cluster_id: str) -> None:
        try:
            if self.context.emr.cluster(cluster_id).life is Life.LIVING:
                self.context.emr.terminate(cluster_id)
                log.info("Ended the job's cluster %s, of which no step of the job's has begun", cluster_id)
        except CacheError as error:
            log.warning("%s. It ends by itself, as nobody tells it to go on.", str(error).rstrip("."))

    def _room_for_steps(self) -> int:
        return super()._room_for_steps() - (self._signs is not None)

    def _run(self) -> None:
        try:
            super()._run()
        finally:  # a cluster that waits for a job that has ended ends, too
            if self._signs is not None:
                self._signs.stop()

    def _launch_emr_job(self) -> None:
        signs = self._signs
        try:
            super()._launch_emr_job()
        except ClientError:
            if signs is None or self._cluster_id is None or self._life(self._cluster_id) is not Life.ENDED:
                raise
            self._relaunch_without_waiting()
            return
        if signs is not None:
            self._patience("S3").ask(signs.go)

    def _finish_run(self) -> None:
        try:
            super()._finish_run()
        except StepFailedException:
            if self._signs is None or not self._has_given_up():
                raise
            self._relaunch_without_waiting()
            super()._finish_run()

    def _has_given_up(self) -> bool:
        """Whether the cluster that was launched ahead has not waited until our steps were there."""
        try:
            steps = self._patience_with_emr.ask(partial(self.context.emr.steps, str(self._cluster_id)))
        except CacheError as error:  # what the job's own step has failed of is what to say then
            log.debug("could not look whether the cluster has waited: %s", error)
            return False
        return any(step["Name"] == STEP_NAME and step["Status"]["State"] == "FAILED" for step in steps)

    def _relaunch_without_waiting(self) -> None:
        log.info("Cluster %s had given up waiting for the job's steps: it gets another one", self._cluster_id)
        if self._signs is not None:
            self._signs.stop()
        self._signs = None
        self._end(str(self._cluster_id))
        self._relaunch()

    def _life(self, cluster_id: str) -> Life:
        return self._patience_with_emr.ask(partial(self.context.emr.cluster, cluster_id)).life
