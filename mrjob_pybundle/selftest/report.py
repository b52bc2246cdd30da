"""The report: Markdown for people, JSON for programs, with nothing in it that names an account or its things."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from mrjob_pybundle.selftest.beliefs import PLACES, Found
from mrjob_pybundle.selftest.results import Outcome, Results

Scrub = Callable[[str], str]


def as_json(results: Results, scrub: Scrub) -> str:
    """The report for programs."""
    report = {
        **{name: value for name, value in asdict(results).items() if name != "cases"},
        "dollars": round(results.dollars, 2),
        "status": results.status,
        "cases": [{**asdict(result), "outcome": result.outcome.value} for result in results.cases],
        "beliefs": [
            {"words": belief.words, "question": belief.question, "is_so": found.is_so, "found": found.what}
            for belief, found in results.beliefs()
        ],
    }
    return json.dumps(_scrubbed(report, scrub), indent=2, ensure_ascii=False) + "\n"


def _scrubbed(value: Any, scrub: Scrub) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {scrub(name): _scrubbed(inner, scrub) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_scrubbed(inner, scrub) for inner in value]
    return value


def as_markdown(results: Results, scrub: Scrub) -> str:
    """The report for people."""
    return scrub("\n".join(_lines(results))) + "\n"


def _lines(results: Results) -> Iterator[str]:
    counts = results.counts()
    yield "# Does mrjob-pybundle work here?"
    yield ""
    if results.stand_in:
        yield "**Of a sandbox on one machine, not of AWS**: nothing below was seen on EMR, on EC2 or in S3."
        yield ""
    yield (
        f"Run {results.run_id} of mrjob-pybundle {results.version}, in {results.region}, begun {results.began}:"
        f" {', '.join(f'{counts[outcome]} {outcome.value}' for outcome in Outcome)}, in {_time(results.seconds)}."
    )
    yield (
        f"{len(results.clusters)} clusters, ${results.dollars:.2f} at list price (said before: at most"
        f" ${results.dollars_at_most:.2f})."
    )
    yield from ("", "## Cases", "", "| case | result | time | shows |", "|---|---|---|---|")
    for result in results.cases:
        why = f": {result.text}" if result.outcome is Outcome.NOT_CHECKED else ""
        yield _row(result.name, result.outcome.value + why, _time(result.seconds), result.shows)
    for result in results.cases:
        if result.seen or result.outcome is Outcome.FAILED:
            yield from ("", f"### {result.name}: {result.outcome.value}", "")
            yield from _block([*result.text.splitlines(), *result.seen])
    yield from (
        "",
        "## What docs/emr.md believes, and what was found",
        "",
        "| belief | question | found |",
        "|---|---|---|",
    )
    for belief, found in results.beliefs():
        yield _row(f"*{belief.words}*", belief.question, f"{_verdict(found)}: {found.what}")
    yield from ("", "## What programs see")
    for place, title in PLACES.items():
        if place in results.facts:
            yield from ("", f"In {title}:", "")
            yield from _block([f"{name:<24}{value}" for name, value in results.facts[place].items() if value])
    if not results.facts:
        yield from ("", "Nothing was seen: the cases that look are `build` and `nodes`.")
    yield from ("", "## Clusters", "", "| for | release | AMI | instances | came up in | lived | at list price |")
    yield "|---|---|---|---|---|---|---|"
    for cluster in results.clusters:
        yield _row(
            "a build" if cluster.is_build else "jobs",
            cluster.release,
            cluster.os_release or "not said",
            f"{cluster.instances} × {cluster.instance_type}",
            "never" if cluster.started_in is None else _time(cluster.started_in),
            "still alive" if cluster.lived is None else f"{_time(cluster.lived)}, {cluster.state}",
            f"${cluster.dollars(results.region):.2f}",
        )
    yield from ("", "## Removed", "")
    yield from _block(results.removed or ["nothing: there was nothing"])
    if not results.is_clean:
        yield from ("", f"**Not all**: `mrjob-pybundle selftest --clean {results.run_id}` removes the rest.")


def _verdict(found: Found) -> str:
    return {True: "so it is", False: "**not so**", None: "not settled"}[found.is_so]


def _row(*cells: str) -> str:
    return f"| {' | '.join(' '.join(cell.replace('|', '¦').split()) for cell in cells)} |"


def _block(lines: Sequence[str]) -> Iterator[str]:
    yield "```"
    yield from (line.replace("```", "'''") for line in lines)
    yield "```"


def _time(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
