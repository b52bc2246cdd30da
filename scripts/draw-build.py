#!/usr/bin/env python3
r"""Draws what a build shows on a terminal, as SVG: the last screen on which a line matches a regular expression.

usage: draw-build.py OUTPUT.svg PATTERN COMMAND…     (with a Python that has rich)

COMMAND has a bundle built. docs/build.svg was made by this, with the switches of examples/demo.sh, where the Python was
cached, and an earlier build had told how long things take:

    .venv/bin/mrjob-pybundle sandbox -- .venv/bin/python scripts/draw-build.py docs/build.svg '^. venv-build .* left' \
        .venv/bin/python examples/wordcount.py -r pybundle-emr …
"""

from __future__ import annotations

import codecs
import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS, LINES = 118, 40
#: What a job says before it builds: what is above is of no interest.
BEGINNING = "No bundle of these inputs"

#: rich's own format, without its fonts from elsewhere: a document shows what it has.
FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, Menlo, Consolas, monospace; line-height: {line_height}px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Screen:
    """What is on a terminal, as far as rich and plain programs write on one. Nothing is forgotten at the top."""

    _CONTROL = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|[\r\n]")

    def __init__(self) -> None:
        self.lines = [""]
        self._row = 0
        self._rest = ""

    def write(self, text: str) -> None:
        text, end = self._rest + text, 0
        # A control sequence may come in two pieces.
        cut = re.search(r"\x1b[^A-Za-z]*\Z", text)
        self._rest = cut[0] if cut else ""
        text = text.removesuffix(self._rest)
        for found in self._CONTROL.finditer(text):
            self._put(text[end : found.start()])
            end = found.end()
            argument, letter = found[1], found[2]
            if found[0] == "\n":
                self._row += 1
                if self._row == len(self.lines):
                    self.lines.append("")
            elif letter == "A":
                self._row = max(0, self._row - int(argument or 1))
            elif letter == "K":
                self.lines[self._row] = ""
            elif letter == "m":
                self._put(found[0])
        self._put(text[end:])

    def _put(self, text: str) -> None:
        self.lines[self._row] += text


def outputs_of(command: list[str]) -> Iterator[str]:
    """What *command* writes to a terminal of its own, piece by piece."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the last process has closed it
            break
        text = decoder.decode(piece)
        yield text
        sys.stdout.write(text)
        sys.stdout.flush()
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit(f"{command[0]} ended with exit status {os.waitstatus_to_exitcode(status)}")


def main() -> None:
    output, pattern, *command = sys.argv[1:]
    screen, wanted = Screen(), list[str]()
    for piece in outputs_of(command):
        screen.write(piece)
        now = [line for line in screen.lines if line.strip()][-LINES:]
        # What is read may end in the middle of a screen.
        if len(now) >= len(wanted) and any(re.search(pattern, Text.from_ansi(line).plain) for line in now):
            wanted = now
    if not wanted:
        sys.exit(f"no line on the screen ever matched {pattern!r}")
    first = next((number for number, line in enumerate(wanted) if BEGINNING in line), 0)
    wanted = wanted[first:]
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in wanted:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="ellipsis")
    svg = console.export_svg(title="python wordcount.py -r pybundle-emr …", code_format=FORMAT, unique_id="build")
    Path(output).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
