"""How long a build will still take, and that its stages are those of the script."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mrjob_pybundle.master import stages
from mrjob_pybundle.master.stages import WAITING, Forecast
from mrjob_pybundle.templates import read_template

ALL = sorted({name for part in stages.PARTS.values() for name in part} | {WAITING})
seconds = st.floats(0, 1e5)
told = st.dictionaries(st.sampled_from(ALL), seconds)
forecasts = st.builds(Forecast, told, st.booleans())
complete = st.builds(Forecast, st.fixed_dictionaries(dict.fromkeys(ALL, seconds)), st.booleans())


def test_the_stages_are_those_of_the_script() -> None:
    script = read_template("master/build-binaries.sh.tmpl")
    arrays = {
        name: read_template(f"master/build-binaries/{name}.sh").split("_STAGES=(")[1].split(")")[0].split()
        for name in ("python", "environment")
    }
    work = script.split("\nwork() {\n")[1].split("\n}\n")[0]
    calls = [line.split()[1:] for line in work.splitlines() if line.split()[0] == "run_stages"]
    beginning, cached, compiled, end = calls
    assert (compiled, end) == (['"${PYTHON_STAGES[@]}"'], ["inputs", '"${ENVIRONMENT_STAGES[@]}"', "publish"])
    for compiles, python in ((True, arrays["python"]), (False, cached)):
        wanted = [WAITING, *beginning, *python, "inputs", *arrays["environment"], "publish"]
        assert list(Forecast({}, compiles).stages) == wanted


def test_what_is_to_come_and_how_long_it_takes() -> None:
    forecast = Forecast(
        {WAITING: 240, "packages": 30, "venv": 2, "venv-build": 60, "finish-venv": 3, "venv-archive": 5}, False
    )
    assert forecast.left(WAITING, 40) == 300
    assert forecast.left("venv-build", 20) == 48
    assert forecast.left("venv-build", 100) == 8
    assert forecast.done(WAITING, 85) == 0.25
    assert forecast.to_come("finish-venv") == ("venv-archive", "publish")
    assert forecast.after(["prepare", "source"]).left("packages") is None, "nobody knows how long compiling takes"


@given(forecasts, st.sampled_from(ALL), seconds, seconds)
def test_less_is_left_the_longer_it_takes(forecast: Forecast, stage: str, sooner: float, more: float) -> None:
    before, after = forecast.left(stage, sooner), forecast.left(stage, sooner + more)
    assert (before is None) == (after is None)
    if before is not None and after is not None:
        assert before >= after >= 0


@given(complete, st.floats(0, 1))
def test_where_all_is_known_it_goes_from_all_to_nothing(forecast: Forecast, share: float) -> None:
    """Stage after stage, and in each of them: no step back on the way."""
    moments = [(stage, share * forecast.seconds[stage]) for stage in forecast.stages]
    left = [seconds for seconds in (forecast.left(*moment) for moment in moments) if seconds is not None]
    assert len(left) == len(moments)
    assert all(after <= before + 1e-6 for before, after in pairwise(left))
    assert forecast.left("publish", forecast.seconds["publish"]) == 0
    done = [forecast.done(*moment) for moment in moments]
    assert all(part is None or 0 <= part <= 1 for part in done)


@given(told, st.booleans(), st.sampled_from(ALL), st.sampled_from(ALL))
def test_a_stage_that_may_be_long_and_of_which_nothing_is_known(
    seconds: dict[str, float], compiles: bool, stage: str, unknown: str
) -> None:
    forecast = Forecast({name: took for name, took in seconds.items() if name != unknown}, compiles)
    may_be_long = {"packages", *stages.PYTHON, "venv", "venv-build", "finish-venv", "venv-archive", WAITING}
    if unknown in may_be_long and unknown in (stage, *forecast.to_come(stage)):
        assert forecast.left(stage) is None


@given(forecasts, st.text())
def test_a_stage_of_another_version(forecast: Forecast, stage: str) -> None:
    if stage not in ALL:
        assert (forecast.left(stage), forecast.done(stage), forecast.to_come(stage)) == (None, None, ())


@given(st.lists(st.sampled_from(ALL[:-1]), unique=True))
def test_stages_are_put_in_order(names: list[str]) -> None:
    known = [name for name in names if name != WAITING]
    order = [name for part in stages.PARTS.values() for name in part]
    assert stages.in_order([*known, "mine"]) == [*(name for name in order if name in known), "mine"]
