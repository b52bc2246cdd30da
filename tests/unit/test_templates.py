"""Rendering: whatever a value holds, the shell gets exactly that value."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrjob_pybundle.templates import render_text

# NUL cannot be in a shell's word, and surrogates are in no file that we render.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
nasty = st.sampled_from(
    ["", " ", "a b", "it's", '"', "$(touch /tmp/x)", "`id`", "a\nb", "\\", "é ☃", "-n", "@NAME@", "$HOME", "*"]
)


def _bash(script: str) -> bytes:
    return subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout


@settings(max_examples=60, deadline=None)
@given(texts | nasty)
def test_a_string_becomes_one_word(value: str) -> None:
    script = render_text("value=@NAME@\nprintf '%s' \"$value\"", {"NAME": value})
    assert _bash(script) == value.encode()


@settings(max_examples=60, deadline=None)
@given(st.lists(texts | nasty, min_size=1))
def test_a_list_becomes_as_many_words(values: list[str]) -> None:
    script = render_text("values=(@NAME@)\nprintf '%s\\0' \"${values[@]}\"", {"NAME": values})
    assert _bash(script) == b"".join(value.encode() + b"\0" for value in values)


def test_an_empty_list() -> None:
    assert _bash(render_text("values=(@NAME@)\necho ${#values[@]}", {"NAME": []})) == b"0\n"


def test_a_value_is_not_looked_through_for_placeholders() -> None:
    assert render_text("@A@ @B@", {"A": "@B@", "B": "b"}) == "@B@ b"


@pytest.mark.parametrize("values", [{}, {"A": "a", "B": "b"}])
def test_placeholders_and_values_must_agree(values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="without a"):
        render_text("@A@", values)


def test_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        render_text("@A@", {"A": "a\0b"})
