"""The chart of the benchmarks, which the README shows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

CHART = Path(__file__).parents[2] / "benchmarks" / "chart.py"
SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_as_long_as_medians(tmp_path: Path) -> None:
    results = {
        "date": "2026-11-29 17:00",
        "bundle": "CPython 3.13.5, optimized",
        "machine": "2 x <processor> & more",
        "measurements": [
            {
                "name": "node ready",
                "unit": "s",
                "baseline": "by hand",
                "ours": "ours",
                "values": {"by hand": [9.0, 4.0, 3.0], "ours": [2.0]},
            },
            {"name": "not in seconds", "unit": "ms", "baseline": "a", "ours": "a", "values": {"a": [1.0]}},
        ],
    }
    source, output = tmp_path / "results.json", tmp_path / "chart.svg"
    source.write_text(json.dumps(results), encoding="utf-8")
    subprocess.run([sys.executable, CHART, output, source], check=True)

    svg = ElementTree.fromstring(output.read_text(encoding="utf-8"))
    texts = ["".join(text.itertext()) for text in svg.iter(f"{SVG}text")]
    assert texts == [
        "node ready",
        "by hand",
        "4 s",
        "ours",
        "2 s 2.00 times as fast",
        "CPython 3.13.5, optimized. 2026-11-29 17:00 UTC. Medians.",
        "2 x <processor> & more",
    ]
    (by_hand, ours) = svg.iter(f"{SVG}rect")
    assert by_hand.get("width") == str(2 * int(ours.get("width", "")))
    assert (by_hand.get("class"), ours.get("class")) == ("bar", "bar ours")
