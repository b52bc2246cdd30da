"""Draws what was measured, as SVG: a bar for each alternative, as long as its median.

usage: python benchmarks/chart.py OUTPUT.svg RESULTS.json…     (what run.py and compiling.py have written)

Readable on a light and on a dark page: it has no background, and its ink follows the reader's settings.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

WIDTH, LABELS, BARS = 920, 400, 300
ROW, BAR, TITLE, GAP = 22, 14, 26, 14

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.small, .times { fill: #59636e; }
.bar { fill: #8c959f; }
.ours { fill: #1a7f37; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .small, .times { fill: #9198a1; }
  .bar { fill: #656c76; }
  .ours { fill: #3fb950; }
}
"""


def main() -> None:
    output, *sources = map(Path, sys.argv[1:])
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sources]
    output.write_text(chart(results), encoding="utf-8")


def chart(results: list[dict[str, Any]]) -> str:
    """The SVG of all measurements in seconds. *results* are of runs, each as ``figures.Results.as_json`` has it."""
    lines, y = [], 0
    for result in results:
        for measurement in result["measurements"]:
            if measurement["unit"] == "s":
                y += TITLE
                lines.append(_text(0, y - 8, measurement["name"], "title"))
                for row in _rows(measurement, y):
                    lines.append(row)
                    y += ROW
                y += GAP
        for text in (f"{result['bundle']}. {result['date']} UTC. Medians.", result["machine"]):
            y += ROW
            lines.append(_text(0, y - 8, text, "small"))
        y += GAP
    drawing = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">\n'
        f"<title>Benchmarks of mrjob-pybundle</title>\n<style>{STYLE}</style>\n{drawing}\n</svg>\n"
    )


def _rows(measurement: dict[str, Any], y: int) -> Iterator[str]:
    medians = {name: statistics.median(values) for name, values in measurement["values"].items()}
    longest, baseline = max(medians.values()), medians[measurement["baseline"]]
    for number, (name, median) in enumerate(medians.items()):
        top = y + number * ROW
        length = max(1, round(median / longest * BARS))
        kind = "bar ours" if name == measurement["ours"] else "bar"
        times = "" if name == measurement["baseline"] else f"{baseline / median:.2f} times as fast"
        yield (
            _text(12, top + BAR - 2, name)
            + f'<rect class="{kind}" x="{LABELS}" y="{top}" width="{length}" height="{BAR}" rx="2"/>'
            + _text(LABELS + length + 8, top + BAR - 2, f"{median:.3g} s", "", times)
        )


def _text(x: int, y: int, text: str, kind: str = "", more: str = "") -> str:
    small = f' <tspan class="times" dx="6">{escape(more)}</tspan>' if more else ""
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}{small}</text>'


if __name__ == "__main__":
    main()
