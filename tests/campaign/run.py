"""The fault campaign: many runs of the whole line, each with damage of its own, drawn from a seed.

usage: python -m tests.campaign.run [--seed S] [--runs N] [--builds SHARE] | --replay S…     (make campaign)
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mrjob_pybundle.sandbox import Sandbox
from mrjob_pybundle.sandbox.api.faults import Faults
from tests.campaign.campaign import Campaign, Result, client
from tests.campaign.plans import describe, kind_of, plan
from tests.campaign.regions import Regions
from tests.compiled import CPYTHON, Compiled, compiled_python, fetch_source

SEEDS_BUCKET = "campaign"

console = Console(stderr=True, highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, default=Path(".sandbox-campaign"), help="the sandbox's directory")
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--builds", type=float, default=0.15, help="share of the runs in which a bundle is built")
    parser.add_argument("--replay", type=int, nargs="+", metavar="SEED", help="these runs, with all that was said")
    args = parser.parse_args()
    seeds = range(args.seed, args.seed + args.runs) if args.replay is None else args.replay
    directory = args.dir.absolute()
    console.print("CPython (compiled, where no test has done it), and a bundle for the runs that find one")
    python = compiled_python()
    os.environ["PIP_NO_INDEX"] = "1"  # no build of these needs one
    faults = Faults()
    with (
        tempfile.TemporaryDirectory() as scratch,
        Sandbox(directory, 0, middleware=[faults, Regions("observer")]) as sandbox,
    ):
        campaign = _campaign(sandbox, faults, python, Path(scratch))
        results = []
        for number, seed in enumerate(seeds):
            result = campaign.run(plan(seed, args.builds), fresh_author=number % 10 == 0)
            results.append(result)
            _show_run(result, in_full=args.replay is not None)
        left = campaign.clusters_left()
    processes = _processes_below(directory / "clusters")
    _summarize(results)
    for text in left:
        console.print(f"[red]{text}")
    if processes:
        console.print(f"[red]processes of nodes are left: {processes}")
    failed = [str(result.plan.seed) for result in results if result.violations]
    console.print(f"failing seeds: {' '.join(failed) or 'none'}")
    return 1 if failed or left or processes else 0


def _campaign(sandbox: Sandbox, faults: Faults, python: Compiled, scratch: Path) -> Campaign:
    options = {
        "pybundle_python_version": CPYTHON,
        "pybundle_python_source": str(fetch_source(CPYTHON)),
        "pybundle_optimize": False,
    }
    s3 = client(sandbox, "s3")
    if SEEDS_BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=SEEDS_BUCKET)
    campaign = Campaign(sandbox, faults, options, scratch)
    for name, content in python.files.items():
        s3.put_object(Bucket=SEEDS_BUCKET, Key=f"cache/v1/python/{python.key}/{name}", Body=content)
    campaign.prepare(SEEDS_BUCKET, "cache")
    return campaign


def _show_run(result: Result, in_full: bool) -> None:
    plan = result.plan
    kind = "cached" if plan.is_cached else "build "
    outcomes = " ".join(author.outcome for author in result.authors)
    colour = "red" if result.violations else "default"
    faults = "; ".join(describe(fault) for fault in plan.faults)
    kind += " in two regions" if len(set(plan.regions)) > 1 else ""
    console.print(
        f"[{colour}]{plan.seed:5} {kind} {result.seconds:5.1f} s  {outcomes}  ({len(result.strikes)} struck: {faults})",
        soft_wrap=True,
    )
    for author in result.authors:
        if author.outcome == "error":
            console.print(f"        {author.last_line}", soft_wrap=True, markup=False)
    for violation in result.violations:
        console.print(f"        {violation}", style="red", soft_wrap=True, markup=False)
    if in_full or result.violations:
        for author in [*result.authors, *([result.fresh] if result.fresh else [])]:
            text = author.said if in_full else "\n".join(author.said.splitlines()[-40:])
            console.print(f"{author.seconds:.1f} s, exit status {author.status}\n{text}", markup=False, soft_wrap=True)
        for strike in result.strikes[:50]:
            console.print(f"        {strike.request}", markup=False, soft_wrap=True)


def _summarize(results: list[Result]) -> None:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        kinds = {kind_of(fault) for fault in result.plan.faults}
        for kind in kinds | ({"authors of two regions"} if len(set(result.plan.regions)) > 1 else set()):
            counts[kind]["runs"] += 1
            counts[kind].update(author.outcome for author in result.authors)
            counts[kind]["violated"] += bool(result.violations)
    columns = ["runs", "right", "error", "killed", "violated"]
    table = Table("fault", *columns)
    for kind, counter in sorted(counts.items()):
        table.add_row(kind, *(str(counter[column]) for column in columns))
    console.print(table)
    builds = [result for result in results if not result.plan.is_cached]
    seconds = sum(result.seconds for result in results)
    struck = sum(bool(result.strikes) for result in results)
    console.print(
        f"{len(results)} runs, {len(builds)} of them with a build, {seconds:.0f} s;"
        f" faults struck in {struck}; all authors: {dict(Counter(a.outcome for r in results for a in r.authors))}"
    )


def _processes_below(directory: Path) -> list[int]:
    """PIDs of processes that were started with a path below *directory*."""
    time.sleep(1)
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(directory).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it has ended
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
