"""Several authors, one cache: who builds, who waits, and what is left when somebody dies.

The Python is in the cache by then, so builds are short.
"""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from mrjob_pybundle.job.waiting import STEP_NAME
from tests.line.conftest import PLAIN, ROOT, Line, plain_addresses
from tests.plug import Plug

JOB = ROOT / "tests" / "jobs" / "mr_line_lengths.py"
#: All at once, of whom some only wait. Fifty take many minutes.
AUTHORS, PATIENT_AUTHORS = (50, 5) if os.environ.get("MATRIX") == "whole" else (8, 2)
DEADLINE_SECONDS = 900


def _job(*switches: object) -> list[object]:
    # A cluster of one node: all authors' share this machine.
    return [JOB, "-r", "pybundle-emr", "--num-core-instances", "0", *switches]


def _wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "venv-build.sh"
    path.write_text(text)
    return path


@pytest.mark.whole
@pytest.mark.usefixtures("plain_cache")
def test_fifty_authors_at_once(line: Line, tmp_path: Path) -> None:
    """Two (or fifty) authors need the same missing bundle at once: one builds, the others' clusters start meanwhile.

    Some more only wait: they want one cluster after the other.
    """
    script = _script(tmp_path, "echo many authors\nsleep 60\n")
    line.new_clusters()
    line.requests.clear()
    job = _job("--pybundle-venv-build", script, *plain_addresses())
    patient = ["--no-pybundle-overlap", "--pybundle-overlap-patience-seconds", "600"]
    eager = ["--pybundle-overlap", "--pybundle-overlap-patience-seconds", "600"]
    began = time.monotonic()
    authors = [
        line.submit(*job, *(eager if number < AUTHORS else patient), key_id=f"author-{number}")
        for number in range(AUTHORS + PATIENT_AUTHORS)
    ]
    results = [(*author.communicate(), author.returncode) for author in authors]
    minutes = (time.monotonic() - began) / 60
    assert {status for _, _, status in results} == {0}, [log[-2000:] for _, log, s in results if s]
    assert {output for output, _, _ in results} == {"3\t1\n"}
    clusters = line.new_clusters()
    of_jobs = [cluster["Id"] for cluster in clusters if not cluster["Name"].startswith("mrjob-pybundle build")]
    assert (len(clusters), len(of_jobs)) == (len(authors) + 1, len(authors)), "one build, and one cluster each"
    used = {re.search(r"Using bundle (\w+)", log)[1] for _, log, _ in results}  # type: ignore[index]
    assert len(used) == 1
    assert line.claims(PLAIN) == []

    ahead = [cluster_id for cluster_id in of_jobs if _waited(line, cluster_id)]
    assert len(ahead) > AUTHORS / 2, "they did come at once"
    waiting = [number for number, (_, log, _) in enumerate(results) if "is already building this bundle" in log]
    asked = {author: _requests_until_the_job_starts(line, f"author-{author}") for author in waiting}
    emr = [counts["elasticmapreduce"] for counts in asked.values()]
    s3 = [counts["s3"] for counts in asked.values()]
    signs = Counter(request.key for request in line.requests if request.key.endswith("/submitter"))
    print(
        f"{len(ahead)} of {AUTHORS} clusters started ahead of their steps, within {minutes:.1f} minutes;"
        f" requests of each waiting author until their cluster or the bundle was there:"
        f" S3 {statistics.median(s3)} (median), {max(s3)} (most); EMR {statistics.median(emr)}, {max(emr)};"
        f" about signs of life, of an author and their master, {max(signs.values())} (most)"
    )
    # Two a second at most, by check_cluster_every of 1, as long as the slowest of them took; EMR: is it still running?
    assert max(emr) <= 2
    assert max(signs.values()) <= 4 * minutes + 3, "four a minute, and the first, the last, and the master's last look"


def _waited(line: Line, cluster_id: str) -> bool:
    """Whether that cluster was there before its steps."""
    steps = line.client("emr").list_steps(ClusterId=cluster_id)["Steps"]
    return any(step["Name"] == STEP_NAME for step in steps)


def _requests_until_the_job_starts(line: Line, key_id: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for request in line.requests:
        if request.access_key_id == key_id:
            if "/bootstrap-" in request.key or request.operation == "RunJobFlow":
                break
            counts[request.service] += 1
    return counts


def test_an_author_who_is_killed_leaves_a_build_that_others_join(line: Line, tmp_path: Path) -> None:
    """The author who builds kills the job, or their laptop dies: the build goes on and publishes."""
    script = _script(tmp_path, "echo waiting for the second author\nsleep 20\necho done waiting\n")
    line.new_clusters()
    first = line.submit(*_job("--pybundle-venv-build", script))
    _wait_until(line.building)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = line.submit(*_job("--pybundle-venv-build", script))
    output, log = second.communicate()
    assert (second.returncode, output) == (0, "3\t1\n"), log
    assert "is already building this bundle" in log
    assert len(line.build_clusters()) == 1


@pytest.mark.whole
def test_a_claim_whose_cluster_has_ended(line: Line, tmp_path: Path) -> None:
    """The claim's cluster is gone without a manifest: the next author takes the claim over and builds."""
    script = _script(tmp_path, "echo taken over\nsleep 20\n")
    line.new_clusters()
    first = line.submit(*_job("--pybundle-venv-build", script))
    _wait_until(line.building)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    (cluster_id,) = line.build_clusters()
    line.client("emr").terminate_job_flows(JobFlowIds=[cluster_id])
    line.client("emr").get_waiter("cluster_terminated").wait(
        ClusterId=cluster_id, WaiterConfig={"Delay": 1, "MaxAttempts": 300}
    )
    (claim,) = line.claims()
    assert json.loads(line.read(claim))["cluster_id"] == cluster_id, "nobody was left to give it back"
    second = line.submit(*_job("--pybundle-venv-build", script))
    output, log = second.communicate()
    assert (second.returncode, output) == (0, "3\t1\n"), log
    assert re.search(r"Build \S+ of \S+ has ended without a bundle: starting another", log), log
    assert len(line.build_clusters()) == 1
    assert line.claims() == []


@pytest.mark.whole
def test_a_failing_venv_build_fails_once_for_all(line: Line, tmp_path: Path) -> None:
    """venv-build.sh fails: every waiting author gets its last lines; nothing is published; a fresh run tries again."""
    script = _script(tmp_path, "echo the last words\nsleep 15\nexit 3\n")
    line.new_clusters()
    before = line.objects().keys()
    # whatever else each of them wants to be rid of then
    modes = ["NONE", "ALL", "LOGS", "TMP,CLUSTER"]
    authors = [line.submit(*_job("--pybundle-venv-build", script, "--cleanup-on-failure", mode)) for mode in modes]
    for author in authors:
        _, log = author.communicate()
        assert author.returncode == 1
        assert "Traceback" not in log
        assert "failed in stage venv-build: venv-build.sh ended with exit status 3" in log
        assert log.count("the last words") == 2, "once as it came, once at the end"
        assert re.search(r"The whole log: s3://the-team/.*/log\.txt$", log.strip())
    assert len(line.new_clusters()) == 1, "one build, and no job's own cluster"
    new = {key.split("/v1/")[-1] for key in line.objects().keys() - before}
    left = {key.split("/")[0] for key in new if not key.endswith("/probe")}
    assert left == {"builds"}, "nothing was published, and no claim is left"
    fresh = line.submit(*_job("--pybundle-venv-build", script))
    assert "exit status 3" in fresh.communicate()[1]
    assert len(line.build_clusters()) == 1


@pytest.mark.whole
def test_ctrl_c_says_what_goes_on(line: Line, tmp_path: Path) -> None:
    """Ctrl-C while building: says that the build goes on, how to watch it and how to stop it."""
    script = _script(tmp_path, "echo interrupted\nsleep 15\n")
    line.new_clusters()
    author = line.submit(*_job("--pybundle-venv-build", script, "--cleanup-on-failure", "ALL"))
    _wait_until(line.building)
    (build_id,) = line.building()
    author.send_signal(signal.SIGINT)
    _, log = author.communicate()
    assert author.returncode != 0
    assert "ParamValidation" not in log
    (cluster_id,) = line.build_clusters()
    assert f"The build goes on in cluster {cluster_id}" in log
    assert f"mrjob-pybundle watch {build_id}" in log
    assert f"mrjob-pybundle stop {build_id}" in log
    output, log = line.submit(*_job("--pybundle-venv-build", script)).communicate()
    assert output == "3\t1\n", log
    assert line.build_clusters() == []


@pytest.mark.whole
def test_the_plug_is_pulled(line: Line, tmp_path: Path) -> None:
    """Of the submitter alone, twice: while a build is awaited, and while a cluster and its step are."""
    script = _script(tmp_path, "echo unplugged\nsleep 20\n")
    line.new_clusters()
    with Plug(line.environment["AWS_ENDPOINT_URL"]) as plug:
        author = line.submit(*_job("--pybundle-venv-build", script), AWS_ENDPOINT_URL=plug.endpoint)
        assert author.stderr is not None
        log: list[str] = []
        for awaited, service in (("\\| unplugged", "S3"), ("  PENDING ", "EMR")):
            for pattern in (awaited, f"no answer from {service} for 0:.*, trying again", f"{service} answers again"):
                assert any(re.search(pattern, text) for text in _noted(author.stderr, log)), log
                if pattern == awaited:
                    plug.pull()
                elif "no answer" in pattern:
                    plug.put_back()
        output, rest = author.communicate()
    assert (author.returncode, output) == (0, "3\t1\n"), "".join(log) + rest
    assert len(line.new_clusters()) == 2


def _noted(lines: Iterable[str], log: list[str]) -> Iterator[str]:
    for text in lines:
        log.append(text)
        yield text


@pytest.mark.whole
def test_a_build_that_is_stopped(line: Line, tmp_path: Path) -> None:
    """Whoever waits is told, and nobody starts it again by themselves."""
    script = _script(tmp_path, "echo stopped\nsleep 600\n")
    line.new_clusters()
    authors = [line.submit(*_job("--pybundle-venv-build", script)) for _ in range(2)]
    _wait_until(line.building)
    (cluster_id,) = line.build_clusters()
    line.client("emr").terminate_job_flows(JobFlowIds=[cluster_id])
    for author in authors:
        _, log = author.communicate()
        assert author.returncode == 1
        assert "Traceback" not in log
        assert f"failed in stage venv-build: its cluster {cluster_id} ended: Terminated by user request" in log, log
    assert line.build_clusters() == []
    assert line.claims() == []


@pytest.mark.whole
def test_a_build_takes_no_longer_than_it_may(line: Line, tmp_path: Path) -> None:
    """The limit holds on the master, whoever watches."""
    script = _script(tmp_path, "echo for ever\nsleep 100000\n")
    author = line.submit(*_job("--pybundle-venv-build", script, "--pybundle-build-timeout-minutes", "1"))
    _, log = author.communicate()
    assert author.returncode == 1
    assert "time limit of 1 minutes reached in stage venv-build" in log
    assert log.strip().splitlines()[-1].endswith("/log.txt")
