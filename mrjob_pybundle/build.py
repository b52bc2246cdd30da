"""Building a bundle: one author of many launches a cluster for it, all watch, and each gets bundle or failure.

A build belongs to its cluster: the master publishes the bundle, enforces the time limit, and the cluster ends by
itself, whether or not anyone is watching. What a submitter does here is launch and look.

Authors agree by a claim in the cache, which only one of them can write. Whether a claim is worth anything is not
for the clock to say: while its author prepares the build, they renew it; from then on its cluster tells.
"""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, NoReturn

import mrjob_pybundle
from mrjob_pybundle.aws.emr import Cluster, Launched, LaunchUnclearError, Life
from mrjob_pybundle.aws.emr_log import read_emr_log
from mrjob_pybundle.aws.patience import Patience
from mrjob_pybundle.aws.releases import FAMILIES
from mrjob_pybundle.aws.requests import Wanted, check_asks_for
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.inputs import Inputs
from mrjob_pybundle.bundle.spec import Archive, Bundle, BundleSpec, canonical_json
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.builds import Status, began, cluster_name, new_build_id
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.cache.claims import Claim
from mrjob_pybundle.cache.earlier import latest_like
from mrjob_pybundle.context import Context
from mrjob_pybundle.errors import BuildError, CacheError, PyBundleError, TransientError
from mrjob_pybundle.job.times import Times
from mrjob_pybundle.master.cluster import cluster_request
from mrjob_pybundle.master.inputs import pack
from mrjob_pybundle.master.stages import WAITING, Forecast
from mrjob_pybundle.options import DEFAULT_BUILD_TIMEOUT_MINUTES, BootstrapAction
from mrjob_pybundle.progress import BuildProgress
from mrjob_pybundle.templates import render

log = logging.getLogger("mrjob.pybundle")

#: How often a claim is renewed while its build is being prepared, and how old one without a cluster must be to
#: belong to nobody.
_BEAT_SECONDS = 30
_CLAIM_GRACE_SECONDS = 120

#: A master reports every half minute at least: see build-binaries.sh. After this long a silence, EMR is asked.
_SILENCE_SECONDS = 100
_LONGEST_SILENCE_POLL_SECONDS = 300

#: A cluster that EMR here does not know may live in another region or account. When nobody has heard of its build for
#: this long, it does not: until its master says its first word, it takes less than ten minutes.
_UNKNOWN_SILENCE_SECONDS = 15 * 60

#: What a build takes besides its time limit: its cluster has to start, and to end.
_AROUND_THE_BUILD_SECONDS = 30 * 60

#: Stages of build-binaries.sh after which the python archive is in the cache.
_PYTHON_IS_CACHED = frozenset({"python-archive", "fetch-python"})

_CANNOT_LOOK = (
    "No cluster of it is known, and none can be looked for in %s (%s). If nothing is heard of it until %d minutes after"
    " it was claimed, another build starts"
)

_LOG_LINES_SHOWN = 20


@dataclass(frozen=True)
class Order:
    """What is to be built, and how."""

    spec: BundleSpec
    #: what *spec* was made from
    inputs: Inputs
    owner: str
    timeout_minutes: int
    rebuild: bool
    #: gives RunJobFlow's parameters that a build cluster shares with the job's; called only for a build
    cluster: Callable[[], Mapping[str, Any]]
    #: what the build cluster must then be asked to be
    wanted: Wanted
    instance_type: str
    #: run on the build cluster before the build, and are in no key
    bootstrap_actions: tuple[BootstrapAction, ...]
    #: of the cluster, in RunJobFlow itself
    tags: Mapping[str, str]
    #: is told when the build began and how it went
    times: Times
    #: called once in a build that goes on, as soon as its Python is in the cache
    when_python_is_there: Callable[[], None] | None = None

    @property
    def longest_seconds(self) -> float:
        """How long the build takes at most, from its cluster's launch on."""
        return longest_seconds(self.timeout_minutes)


@dataclass(frozen=True)
class _Turn:
    """Who is to build, as a claim says."""

    claim: Claim
    #: does this claim stand for an attempt of ours that is still to be made?
    is_ours: bool


def build_bundle(order: Order, context: Context) -> Bundle:
    """The bundle of *order*, which was not in the cache: built by us, or by whoever is already building it.

    :raises BuildError: the build failed, and the message has the stage and the end of the log; or a file has changed
        since the key was made from it, and nothing was launched.
    :raises CacheError: AWS said no.
    :raises OptionError: there is no such CPython source.
    """
    # Looked at first: who may only use the cache can still wait for somebody else's build.
    theirs = context.cache.claims.read(order.spec.key)
    turn = _Turn(theirs, is_ours=False) if theirs else _claim(order, context)
    while True:
        if turn.is_ours:
            outcome = _build(turn.claim, order, context)
        elif _has_ended(turn.claim, order, context):
            outcome = _take_over(turn.claim, order, context)
        else:
            outcome = _join(turn.claim, order, context)
        if isinstance(outcome, Bundle):
            return outcome
        turn = outcome


def _claim(order: Order, context: Context, instead_of: Claim | None = None) -> _Turn:
    """Claim the bundle for one attempt to build it, whose id nothing else has, or learn who was first.

    *instead_of* is a claim that nobody serves any more.
    """
    mine = Claim(
        build_id=new_build_id(),
        owner=order.owner,
        since=time.time(),
        region=context.emr.region,
        rebuild=order.rebuild,
    )
    claim = context.cache.claims.replace(order.spec.key, instead_of, mine) if instead_of else None
    claim = claim or context.cache.claims.stake(order.spec.key, mine)
    return _Turn(claim, is_ours=claim.build_id == mine.build_id)


# building


def _build(claim: Claim, order: Order, context: Context) -> Bundle | _Turn:
    """Launch a build for our *claim*, and follow it. The result is a turn if the claim got lost meanwhile."""
    key = order.spec.key
    try:
        # Whoever had the claim before us may have published since we looked.
        bundle = None if order.rebuild else context.cache.bundles.find(order.spec)
        if bundle is not None:
            _give_back(claim, key, context)
            return bundle
        with _Renewed(claim, key, context.cache) as renewed:
            python = None if order.rebuild else context.cache.bundles.find_python(order.spec.python)
            request = _prepare(claim.build_id, python, order, context)
        # The last word before it costs money: does everybody still leave it to us?
        confirmed = context.cache.claims.replace(
            key, renewed.claim, replace(renewed.claim, beat=renewed.claim.beat + 1)
        )
    except BaseException:
        _give_back(claim, key, context)
        raise
    if confirmed is None:
        return _claim(order, context)
    try:
        with _may_go_on_without_us(claim):
            cluster = _launch(request, context)
    except LaunchUnclearError as error:
        # The claim stays: whoever comes next looks for that cluster once more.
        raise CacheError(
            f"EMR did not say whether it has launched the cluster of build {claim.build_id}, and does not list it"
            f" ({error}). Run the job again in a few minutes: it joins that build if it runs by then, and starts one"
            " if not."
        ) from error
    except PyBundleError as error:
        _give_back(claim, key, context)
        raise type(error)(_advised(str(error))) from error
    log.info("Build %s: launched cluster %s (one %s)", claim.build_id, cluster.id, order.instance_type)
    order.times.build_launched(claim.build_id)
    noted = with_cluster(confirmed, cluster)
    with _goes_on_without_us(noted):
        launched = _patience("S3", context, order.longest_seconds).ask(
            partial(context.cache.claims.replace, key, confirmed, noted)
        )
    if launched is None:
        log.info("Another author has taken over in the meantime: ending cluster %s", cluster.id)
        context.emr.terminate(cluster.id)
        return _claim(order, context)
    has_python = python is not None
    status = follow(launched, context, order.longest_seconds, leading=True, order=order, has_python=has_python)
    _give_back(launched, key, context, _patience("S3", context, order.longest_seconds))
    return _bundle_of(status, launched, order, context)


def _launch(request: Mapping[str, Any], context: Context) -> Launched:
    """Launch a build cluster, once.

    :raises LaunchUnclearError: EMR did not say, and lists no such cluster.
    """

    def ask(question: Callable[[], Launched | None]) -> Launched | None:
        try:
            return question()
        except CacheError as failure:
            log.debug("could not look for the cluster: %s", failure)
            return None

    try:
        return context.emr.launch(request, "a build cluster")
    except LaunchUnclearError:
        # No other cluster has the name: it has the build's id.
        found = context.emr.find_launched(request["Name"], ask)
        if found is None:
            raise
        return found


def with_cluster(claim: Claim, cluster: Launched) -> Claim:
    """*claim*, naming the cluster that was launched for it. Whoever notes that writes the same."""
    place = cluster.place
    region, account = (place.region, place.account) if place else (claim.region, None)
    return replace(claim, cluster_id=cluster.id, region=region, account=account)


def _give_back(claim: Claim, key: str, context: Context, s3: Patience | None = None) -> None:
    """Release *claim*, if that works. How the attempt has ended is what counts."""
    release = partial(context.cache.claims.release, key, claim.build_id)
    try:
        s3.ask(release) if s3 else release()
    except CacheError as error:
        log.warning("could not give back the claim on this bundle: %s. Whoever needs it next takes it over", error)


class _Renewed:
    """Keeps a claim young while its build is being prepared, which takes as long as the submitter's line does.

    :attr:`claim` is the claim as it was last written; after ``with``, nobody writes it any more.
    """

    def __init__(self, claim: Claim, key: str, cache: Cache) -> None:
        self.claim = claim
        self._key = key
        self._cache = cache
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="claim", daemon=True)

    def __enter__(self) -> _Renewed:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._done.wait(_BEAT_SECONDS):
            try:
                renewed = self._cache.claims.replace(
                    self._key, self.claim, replace(self.claim, beat=self.claim.beat + 1)
                )
            except CacheError as error:
                # The next time may be better. If it isn't, that shows before the launch, where it matters.
                log.debug("could not renew the claim: %s", error)
                continue
            if renewed is None:
                return
            self.claim = renewed


def _prepare(build_id: str, python: Archive | None, order: Order, context: Context) -> dict[str, Any]:
    """Put all that the build needs into S3, and say what cluster to launch. *python* is what is cached.

    :raises BuildError: a file is another one than the key was made from, or cannot be read any more.
    :raises OptionError: it would be another cluster than the key was made for.
    """
    cache = context.cache
    family = FAMILIES.get(order.spec.python.os_family)
    source_uri, source_sha256 = ("", "") if python else cache.sources.stage(order.inputs.source, context.s3)
    with tempfile.TemporaryFile() as inputs:
        inputs_sha256 = pack(order.inputs, inputs)
        inputs.seek(0)
        cache.builds.put(build_id, layout.INPUTS, inputs)
    region = context.region_of(cache.root.bucket)
    script = render(
        "master/build-binaries.sh.tmpl",
        {
            "BUILD_ID": build_id,
            "INPUTS_SHA256": inputs_sha256,
            "OWNER": order.owner,
            "PYBUNDLE_VERSION": mrjob_pybundle.__version__,
            "BUILD_URI": str(cache.builds.uri(build_id)),
            "CACHE_REGION": region,
            "PYTHON_DIRECTORY": str(cache.bundles.directory(layout.PYTHON, order.spec.python.key)),
            "VENV_DIRECTORY": str(cache.bundles.directory(layout.VENV, order.spec.key)),
            "CLAIM_URI": str(cache.claims.uri(order.spec.key)),
            "PYTHON_KEY": order.spec.python.key,
            "VENV_KEY": order.spec.key,
            "PYTHON_VERSION": order.spec.python.version,
            "SOURCE_URI": str(source_uri),
            "SOURCE_SHA256": source_sha256,
            "CONFIGURE_ARGS": order.spec.python.configure_args,
            "OPTIMIZE": "yes" if order.spec.python.optimize else "no",
            "OS_FAMILY": order.spec.python.os_family,
            "OLDEST_GLIBC": family.oldest_glibc if family else "",
            "ARCH": order.spec.python.arch,
            "PYTHON_ARCHIVE_URI": str(cache.bundles.archive_uri(layout.PYTHON, python)) if python else "",
            "PYTHON_ARCHIVE_SHA256": python.sha256 if python else "",
            "PYTHON_ARCHIVE_SIZE": str(python.size) if python else "",
            "TIMEOUT_MINUTES": str(order.timeout_minutes),
            "PYTHON_INPUTS": canonical_json(order.spec.python.inputs()),
            "VENV_INPUTS": canonical_json(order.spec.inputs()),
            "REBUILD": "yes" if order.rebuild else "no",
            "BUCKET_OWNER": cache.store.bucket_owner or "",
        },
    )
    content = script.encode("utf-8")
    script_uri = cache.builds.put(build_id, layout.SCRIPT, content)
    request = cluster_request(
        order.cluster(),
        build_id,
        [str(script_uri), hashlib.sha256(content).hexdigest(), *([region] if region else [])],
        instance_type=order.instance_type,
        owner=order.owner,
        tags=order.tags,
        bootstrap_actions=[
            (_uri_of_program(number, action, build_id, cache), action.arguments)
            for number, action in enumerate(order.bootstrap_actions, start=1)
        ],
    )
    check_asks_for(request, order.wanted, "the build cluster")
    return request


def _uri_of_program(number: int, action: BootstrapAction, build_id: str, cache: Cache) -> str:
    """Where EMR finds what a bootstrap action runs. A file of the submitter's is put beside the build's script."""
    if isinstance(action.program, str):
        return action.program
    try:
        content = action.program.read_bytes()
    except OSError as error:
        raise BuildError(f"pybundle_build_bootstrap_actions: cannot read {action.program}: {error.strerror}") from error
    return str(cache.builds.put(build_id, layout.bootstrap_action(number), content))


# joining


def _has_ended(claim: Claim, order: Order, context: Context) -> bool:
    """Had that build ended before we came? Then its outcome is not ours, and we try again."""
    status = _patience("S3", context, order.longest_seconds).ask(partial(context.cache.builds.status, claim.build_id))
    if status is not None and status.state != "RUNNING":
        return True
    if claim.cluster_id is None:
        return False
    cluster = _not_asked(claim, context)
    if cluster is None:
        try:
            cluster = context.emr.cluster(claim.cluster_id)
        except CacheError as error:
            # Who waits asks again, if the master falls silent.
            if isinstance(error, TransientError) or (status is not None and status.age < _SILENCE_SECONDS):
                return False
            raise
    return _is_gone(cluster, status.age if status else claim.age)


def _is_gone(cluster: Cluster, silence: float) -> bool:
    """Has a build's cluster ended, of which nobody has heard for *silence* seconds?"""
    if cluster.life is Life.UNKNOWN:
        return silence >= _UNKNOWN_SILENCE_SECONDS
    return cluster.life is Life.ENDED


def _not_asked(claim: Claim, context: Context) -> Cluster | None:
    """What there is to say of a cluster that only S3 can tell about; ``None`` if our EMR is to be asked."""
    here = context.emr.region
    if claim.cluster_id is None:
        return Cluster("", Life.UNKNOWN, "whose id nobody has noted", "nobody has noted its id")
    if claim.region in (None, here):
        return None
    return Cluster(
        claim.cluster_id, Life.UNKNOWN, f"in {claim.region}", f"EMR in {here} cannot know it: it is in {claim.region}"
    )


def _take_over(claim: Claim, order: Order, context: Context) -> Bundle | _Turn:
    """Claim the bundle in the place of a claim that nobody serves any more, unless it has been published."""
    bundle = None if order.rebuild else context.cache.bundles.find(order.spec)
    if bundle is not None:
        return bundle
    log.info("Build %s of %s has ended without a bundle: starting another", claim.build_id, claim.owner)
    return _claim(order, context, instead_of=claim)


def _join(claim: Claim, order: Order, context: Context) -> Bundle | _Turn:
    """Wait for another author's build. The result is a turn if that build never came to be."""
    log.info("%s is already building this bundle (build %s): waiting for it", claim.owner, claim.build_id)
    with _goes_on_without_us(claim):
        go_on = _wait_for_cluster(claim, order, context)
    return go_on()


def _wait_for_cluster(claim: Claim, order: Order, context: Context) -> Callable[[], Bundle | _Turn]:
    """Wait until the author of *claim* has launched a cluster. The result is what to do then, or instead."""
    s3, emr = (_patience(service, context, order.longest_seconds) for service in ("S3", "EMR"))
    look = partial(find_cluster, claim, context)
    is_foreign = claim.region not in (None, context.emr.region)
    may_look = True
    while claim.cluster_id is None:
        if claim.age > (_CLAIM_GRACE_SECONDS if may_look else _UNKNOWN_SILENCE_SECONDS):
            # Its author died right after claiming. Before RunJobFlow, or after?
            cluster = None
            if not is_foreign:
                cluster = emr.ask(look)
            elif may_look:
                try:
                    cluster = look()
                except CacheError as error:
                    log.info(_CANNOT_LOOK, claim.region, error, _UNKNOWN_SILENCE_SECONDS // 60)
                    may_look = False
                    continue
            if cluster is not None:
                claim = with_cluster(claim, cluster)
                break
            status = s3.ask(partial(context.cache.builds.status, claim.build_id))
            if status is not None and status.age < _UNKNOWN_SILENCE_SECONDS:
                break  # another account's cluster
            return partial(_take_over, claim, order, context)
        time.sleep(context.s3_poll_seconds)
        current = s3.ask(partial(context.cache.claims.read, order.spec.key))
        if current is None or current.build_id != claim.build_id:
            return partial(_look_again, current, order, context)
        claim = current
    return partial(_follow_to_the_end, claim, order, context)


def _look_again(claim: Claim | None, order: Order, context: Context) -> Bundle | _Turn:
    """What there is now that the claim that was waited for is gone, with *claim* in its place."""
    s3 = _patience("S3", context, order.longest_seconds)
    bundle = None if order.rebuild else s3.ask(partial(context.cache.bundles.find, order.spec))
    return bundle or (_Turn(claim, is_ours=False) if claim else _claim(order, context))


def _follow_to_the_end(claim: Claim, order: Order, context: Context) -> Bundle | _Turn:
    s3 = _patience("S3", context, order.longest_seconds)
    asks = order.when_python_is_there is not None and not order.rebuild
    python = s3.ask(partial(context.cache.bundles.find_python, order.spec.python)) if asks else None
    # A rebuild still has to come after a build that is none.
    theirs = replace(order, when_python_is_there=None) if order.rebuild and not claim.rebuild else order
    status = follow(claim, context, order.longest_seconds, order=theirs, has_python=python is not None)
    if order.rebuild and not claim.rebuild:
        log.info("Build %s was no rebuild: now comes the one that is", claim.build_id)
        return _claim(order, context, instead_of=claim)
    return _bundle_of(status, claim, order, context)


def find_cluster(claim: Claim, context: Context) -> Launched | None:
    """The cluster that was launched for a build, which nobody may have noted, in the claim's region."""
    return context.emr_in(claim.region).find(cluster_name(claim.build_id), since=began(claim.build_id))


# watching


def longest_seconds(timeout_minutes: int) -> float:
    """How long a build with that time limit takes at most, from its cluster's launch on."""
    return timeout_minutes * 60 + _AROUND_THE_BUILD_SECONDS


def follow(
    claim: Claim,
    context: Context,
    longest: float = longest_seconds(DEFAULT_BUILD_TIMEOUT_MINUTES),
    *,
    leading: bool = False,
    order: Order | None = None,
    has_python: bool = False,
) -> Status:
    """Show what the master says until the build has ended, and return its last word.

    Who is *leading*, having launched the cluster, asks EMR for its state, and says in the master's place that it
    is gone. All others ask S3, and EMR only when the master has been silent for too long. Clusters of other regions,
    and those whose id is not known, are told of by S3 alone. Who has an *order* for that bundle is shown how much is
    left, if builds that were like it are known, and told once when its Python is in the cache, which it has been since
    before if the build *has_python*.

    While AWS does not answer, it is asked again for as long as a build takes, *longest* (seconds).

    :raises TransientError: it did not answer for so long.
    :raises CacheError: it said no.
    """
    shown = 0
    cluster = _not_asked(claim, context)
    asks_emr = cluster is None
    cluster = cluster or Cluster(str(claim.cluster_id), Life.LIVING, "STARTING")
    joined = time.monotonic()
    asked_emr, pause = joined, context.emr_poll_seconds if leading else _SILENCE_SECONDS
    log_uri = str(_log_uri(claim, context.cache))
    builds = context.cache.builds
    when_python_is_there = order.when_python_is_there if order else None
    with (
        _goes_on_without_us(claim),
        BuildProgress(
            claim.build_id, claim.cluster_id, log_uri, _forecast(order, context.cache), claim.age
        ) as progress,
    ):
        s3, emr = (_patience(service, context, longest, progress.say) for service in ("S3", "EMR"))
        while True:
            status = s3.ask(partial(builds.status, claim.build_id))
            if status is not None:
                news = s3.ask(partial(builds.read_log, claim.build_id, shown, status.log_size))
                shown += len(news)
                progress.show(status, news)
                if status.state != "RUNNING":
                    return status
            else:
                progress.waiting_for_cluster(cluster.state)
            is_cached = has_python or (status is not None and not _PYTHON_IS_CACHED.isdisjoint(status.stages))
            if when_python_is_there is not None and is_cached:
                with progress.paused():
                    when_python_is_there()
                when_python_is_there = None
            if _is_gone(cluster, status.age if status else claim.age + time.monotonic() - joined):
                break
            is_silent = status is None or status.age >= _SILENCE_SECONDS
            if asks_emr and time.monotonic() - asked_emr >= pause and (leading or is_silent):
                # Looked at before the next status is read: a cluster that has ended says nothing more.
                answer = emr.ask_once(partial(context.emr.cluster, cluster.id))
                asked_emr = time.monotonic()
                if answer is not None:
                    cluster = answer
                    if not leading:
                        pause = min(2 * pause, _LONGEST_SILENCE_POLL_SECONDS)
                    continue
            time.sleep(context.s3_poll_seconds)
    gone = _gone(status, cluster)
    if leading:
        try:
            _patience("S3", context, longest).ask(partial(builds.put_status, claim.build_id, gone))
        except CacheError as error:
            log.warning("could not tell others that the build has ended: %s", error)
    return gone


def _forecast(order: Order | None, cache: Cache) -> Forecast | None:
    """How long a build of *order* takes, ``None`` if nothing tells. It is a comfort: nobody fails for want of it."""
    if order is None:
        return None
    try:
        earlier = latest_like(order.spec, cache, rebuild=order.rebuild)
    except CacheError as error:
        log.debug("could not look at earlier builds: %s", error)
        return None
    waited = {} if earlier.waited is None else {WAITING: earlier.waited}
    return Forecast({**earlier.stages, **waited}, earlier.compiles) if earlier.stages else None


@contextmanager
def _may_go_on_without_us(claim: Claim) -> Iterator[None]:
    """Who presses Ctrl-C while EMR is asked for the build's cluster is told what may come of it."""
    try:
        yield
    except KeyboardInterrupt:
        log.warning(
            "EMR may have launched the cluster of build %s, which goes on then. To watch it: mrjob-pybundle watch %s."
            " To stop it: mrjob-pybundle stop %s",
            *3 * [claim.build_id],
        )
        raise


@contextmanager
def _goes_on_without_us(claim: Claim) -> Iterator[None]:
    """Who stops waiting for a build, by Ctrl-C or by an error, is told that it goes on, and how to join it again."""
    where = f" in cluster {claim.cluster_id}" if claim.cluster_id else ""
    text = (
        f"The build goes on{where}. Run the job again to join it. To watch it: mrjob-pybundle watch {claim.build_id}."
        f" To stop it: mrjob-pybundle stop {claim.build_id}"
    )
    try:
        yield
    except KeyboardInterrupt:
        log.warning("%s", text)
        raise
    except CacheError as error:
        raise type(error)(f"{str(error).rstrip('.')}. {text}") from error


def _patience(service: str, context: Context, longest: float, tell: Callable[[str], None] | None = None) -> Patience:
    return Patience(service, longest, context.s3_poll_seconds, tell or partial(log.info, "%s"))


def _advised(reason: str) -> str:
    """*reason*, EMR's, with what to do where it is about the build's machine: its zone, or the quota, has none."""
    if re.search(r"instance types?\b|vcpus?\b", reason, re.IGNORECASE) is None:
        return reason
    return f"{reason.rstrip('.')}. pybundle_build_instance_type names another type of the build's machine."


def _gone(last: Status | None, cluster: Cluster) -> Status:
    """The status of a build whose cluster has ended without a word of success or failure."""
    message = f"its cluster {cluster.id} ended: {_advised(cluster.reason or 'EMR gives no reason')}"
    if cluster.life is Life.UNKNOWN:
        its_cluster = f"its cluster {cluster.id}".rstrip()
        message = f"nothing was heard of {its_cluster} for too long, and {cluster.reason}"
    if last is None:
        now = time.time()
        return Status("FAILED", "start of the cluster", now, now, 0, {}, None, message)
    return replace(last, state="FAILED", message=message)


def _bundle_of(status: Status, claim: Claim, order: Order, context: Context) -> Bundle:
    s3 = _patience("S3", context, order.longest_seconds)
    bundle = s3.ask(partial(context.cache.bundles.find, order.spec))
    # A master that died after publishing has not failed, though nobody heard it say so.
    if status.state != "SUCCEEDED" and (bundle is None or order.rebuild):
        _fail(status, claim, s3, context)
    if bundle is None:
        place = context.cache.root
        raise BuildError(f"Build {claim.build_id} succeeded, but its bundle is not in {place}. Was it deleted?")
    order.times.built(claim, status)
    return bundle


def _fail(status: Status, claim: Claim, s3: Patience, context: Context) -> NoReturn:
    reason = f"Building the bundle failed in stage {status.stage}: {status.reason}"
    try:
        start = max(0, status.log_size - 16384)
        tail = s3.ask(partial(context.cache.builds.read_log, claim.build_id, start, status.log_size))
        text, whole = tail.decode("utf-8", "replace"), f"The whole log: {_log_uri(claim, context.cache)}"
        if not tail:
            text, whole = _what_emr_has(claim, context)
    except PyBundleError as error:  # the other one is what a person should read
        raise BuildError(f"{reason}. Its log cannot be read: {error}") from error
    lines = text.splitlines()[-_LOG_LINES_SHOWN:]
    if not lines:
        raise BuildError(f"{reason}. {whole}")
    shown = "\n".join(f"    {line}" for line in lines)
    raise BuildError(f"{reason}. The end of its log:\n{shown}\n{whole}", line=f"{reason}. {whole}")


def _what_emr_has(claim: Claim, context: Context) -> tuple[str, str]:
    """Text of the log that EMR keeps of a build whose master has written none, and a sentence on where it is."""
    emr_log = None
    if claim.cluster_id:
        emr_log = read_emr_log(claim.cluster_id, context.emr, context.s3, context.emr_poll_seconds)
    if emr_log is None:
        return "", "There is no log of it in the cache, nor has EMR here any."
    if emr_log.text is None:
        return "", f"There is no log of it in the cache. EMR's own comes within minutes, if its step ran: {emr_log.uri}"
    return emr_log.text, f"EMR's own log, for there is none in the cache: {emr_log.uri}"


def _log_uri(claim: Claim, cache: Cache) -> S3Uri:
    return cache.builds.uri(claim.build_id, layout.LOG)
