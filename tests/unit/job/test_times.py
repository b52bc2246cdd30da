"""Where the time of a run went: what is made of what AWS said to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mrjob_pybundle.cache.builds import Status
from mrjob_pybundle.cache.claims import Claim
from mrjob_pybundle.job.times import Row, Times, build_rows, clock, cluster_rows, side_by_side

START = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
#: this machine's clock is behind AWS's by so much (seconds)
BEHIND = 3600.0
CLAIM = Claim("20261129-115800-0a1b2c3d", "grace", 0.0, "j-BUILD")
STAGES = {"prepare": 2.0, "packages": 30.0, "fetch-python": 3.0, "inputs": 1.0, "venv": 2.0, "venv-build": 60.0}
STAGES |= {"finish-venv": 4.0, "venv-archive": 5.0, "publish": 3.0}
TITLES = [*("build's cluster j-BUILD", "from", "took"), *("job's cluster j-JOB", "from", "took")]


class _Clock:
    """This machine's, which stands still unless it is set. Seconds since :data:`START`."""

    seconds = 0.0

    def __call__(self) -> float:
        return START.timestamp() + self.seconds - BEHIND


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def _status(started: float, stages: dict[str, float], read_at: float) -> Status:
    moment = _at(started).timestamp()
    status = Status("SUCCEEDED", "publish", moment, moment, 0, stages, None, None)
    return replace(status, read_at=_at(read_at).timestamp(), ahead=BEHIND)


def _answer(seconds: float, **more: Any) -> dict[str, Any]:
    headers = {"date": format_datetime(_at(seconds), usegmt=True)}
    return {"ResponseMetadata": {"HTTPHeaders": headers}, **more}


def _cluster(state: str, **timeline: datetime) -> dict[str, Any]:
    return {"Id": "j-JOB", "Status": {"State": state, "Timeline": timeline}}


def _step(step_id: str, **timeline: datetime) -> dict[str, Any]:
    return {"Id": step_id, "Status": {"State": "RUNNING", "Timeline": timeline}}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("   ") if cell.strip()]


def _run() -> tuple[Times, _Clock]:
    """One that launched a build after 5 seconds, and has its bundle."""
    now = _Clock()
    times = Times(now)
    now.seconds = 5
    times.build_launched("20261129-115959-superflu")
    times.build_launched(CLAIM.build_id)
    now.seconds = 360
    assert not times.waited_for_build
    times.built(CLAIM, _status(245, STAGES, 360))
    assert times.waited_for_build
    return times, now


def test_a_build_and_then_the_job() -> None:
    times, now = _run()
    times.launched("j-JOB")
    times.heard(_answer(361, StepIds=[]))
    for now.seconds, state in ((400, "STARTING"), (500, "BOOTSTRAPPING"), (530, "BOOTSTRAPPING")):
        times.heard(_answer(now.seconds, Cluster=_cluster(state, CreationDateTime=_at(361))))
    ready = {"CreationDateTime": _at(361), "ReadyDateTime": _at(600)}
    times.heard(_answer(610, Cluster=_cluster("RUNNING", **ready)))
    times.heard(_answer(611, Cluster={**_cluster("WAITING"), "Id": "j-SOMEBODYS"}))
    times.heard(_answer(900, Step=_step("s-1", StartDateTime=_at(605), EndDateTime=_at(700))))
    times.heard(_answer(900, Step=_step("s-2", StartDateTime=_at(700), EndDateTime=_at(845))))
    times.heard(_answer(900, Step=_step("s-NOT-OURS", StartDateTime=_at(601), EndDateTime=_at(604))))
    now.seconds = 905
    header, *rows, last = times.table(["s-1", "s-2"])
    assert _cells(header) == TITLES
    assert [_cells(row) for row in rows] == [
        ["waiting for the cluster", "0:05", "4:00", "waiting for machines", "6:01", "2:19"],
        ["packages", "4:05", "0:32", "bootstrapping: bundle, Hadoop", "8:20", "1:40"],
        ["cached Python", "4:37", "0:03", "steps", "10:05", "4:00"],
        ["environment", "4:40", "1:12"],
        ["publishing", "5:52", "0:03"],
    ]
    assert last == "15:05 in all. The next edit of venv-build.sh takes about 5:50 to build."


def test_a_job_whose_cluster_started_meanwhile() -> None:
    """It was ready before the bundle was, which nodes then got in its steps."""
    times, now = _run()
    times.launched("j-JOB")
    times.heard(_answer(361, StepIds=[]))
    ready = {"CreationDateTime": _at(6), "ReadyDateTime": _at(240)}
    times.heard(_answer(410, Cluster=_cluster("RUNNING", **ready)))
    times.heard(_answer(410, Step=_step("s-1", StartDateTime=_at(358), EndDateTime=_at(400))))
    now.seconds = 410
    _, *rows, _ = times.table(["s-1"], is_carried=True)
    assert [_cells(row)[3:] for row in rows[:3]] == [
        ["waiting for the cluster", "0:06", "3:54"],
        ["waiting for the bundle", "4:00", "1:55"],
        ["steps, with unpacking", "5:58", "0:42"],
    ]


def test_a_build_without_a_job_has_half_a_table() -> None:
    times, _ = _run()
    assert [len(_cells(line)) for line in times.table()[:-1]] == [3] * 6


def test_a_step_that_has_not_ended_or_begun() -> None:
    times, now = _run()
    times.heard(_answer(400, Step=_step("s-1", StartDateTime=_at(390))))
    times.heard(_answer(400, Step=_step("s-2")))
    now.seconds = 400
    assert _cells(times.table(["s-1", "s-2"])[1])[3:] == ["steps", "6:30", "0:00"]


def test_anothers_build_began_before() -> None:
    """Its id tells when, by the clock of its author, who is grace here."""
    rows = build_rows(CLAIM, _status(100, {"prepare": 2.0, "compile": 600.0, "venv": 1.0}, 720), None)
    moment = START.timestamp()
    assert rows == [
        Row("waiting for the cluster", moment - 120, 220),
        Row("packages", moment + 100, 2),
        Row("compile", moment + 102, 600),
        Row("environment", moment + 702, 1),
    ]
    assert _cells(side_by_side(moment, ("build", rows))[1]) == ["waiting for the cluster", "-2:00", "3:40"]


moments = st.floats(0, 1e6)


@given(moments, st.none() | moments, moments)
def test_the_rows_of_a_cluster_follow_each_other(created: float, bootstrapping: float | None, ready: float) -> None:
    rows = cluster_rows(created, bootstrapping, ready)
    assert rows[0].begins == created
    assert all(row.seconds >= 0 for row in rows)
    assert abs(sum(row.seconds for row in rows) - max(ready - created, 0)) < 1e-3


@given(st.lists(st.tuples(st.text("ab c", min_size=1), st.floats(-1e4, 1e6), st.floats(0, 1e6)), min_size=1))
def test_a_table_has_a_line_for_each_row_and_straight_columns(pairs: list[tuple[str, float, float]]) -> None:
    rows = [Row(*pair) for pair in pairs]
    lines = side_by_side(0.0, ("left", rows), ("none", []), ("right", rows[:1]))
    assert len(lines) == len(rows) + 1
    assert len(lines[0]) == len(lines[1]) == max(map(len, lines))
    assert "none" not in lines[0]


@given(st.floats(-1e6, 1e6))
def test_a_clock_can_be_read_back(seconds: float) -> None:
    text = clock(seconds)
    parts = [int(part) for part in text.removeprefix("-").split(":")]
    read = sum(part * 60**power for power, part in enumerate(reversed(parts)))
    assert read == int(abs(seconds))
    assert text.startswith("-") == (seconds <= -1)
