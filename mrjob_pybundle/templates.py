"""Rendering of the ``.sh.tmpl`` files.

A template is a valid shell script in which ``@NAME@`` stands, unquoted, where a value belongs::

    readonly BUILD_URI=@BUILD_URI@
    readonly -a CONFIGURE_ARGS=(@CONFIGURE_ARGS@)

:func:`render` replaces each placeholder by its value, quoted for the shell: one word for a string,
one word per item for a sequence of strings. A value can hold anything but NUL.

A long script is in parts. A line ``source NAME`` at the margin of a template stands for the text of that file, which
lies below the template's directory: what is rendered is one script.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import PurePosixPath

_PLACEHOLDER = re.compile(r"@([A-Z][A-Z0-9_]*)@")
_PART = re.compile(r"^source (\S+)\n", re.MULTILINE)

Value = str | Sequence[str]


def render(template_name: str, values: Mapping[str, Value]) -> str:
    """Render the package's template *template_name* (for example ``bootstrap.sh.tmpl``).

    :raises ValueError: a placeholder has no value, a value has no placeholder, or a value holds NUL.
    """
    return render_text(read_template(template_name), values)


def read_template(name: str) -> str:
    """The text of one of the package's shell files, with its parts in their places."""
    text = resources.files("mrjob_pybundle").joinpath(name).read_text(encoding="utf-8")
    directory = PurePosixPath(name).parent
    return _PART.sub(lambda match: read_template(str(directory / match[1])), text)


def render_text(text: str, values: Mapping[str, Value]) -> str:
    """Render *text* as :func:`render` does a template file."""
    wanted = set(_PLACEHOLDER.findall(text))
    if wanted != set(values):
        raise ValueError(
            f"placeholders without a value: {sorted(wanted - set(values))};"
            f" values without a placeholder: {sorted(set(values) - wanted)}"
        )
    return _PLACEHOLDER.sub(lambda match: _quoted(values[match[1]]), text)


def _quoted(value: Value) -> str:
    words = [value] if isinstance(value, str) else value
    if any("\0" in word for word in words):
        raise ValueError("a value for a shell script cannot hold NUL")
    return " ".join(shlex.quote(word) for word in words)
