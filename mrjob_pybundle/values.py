"""What kinds of values the options of mrjob and ours take, which mrjob does not look at when it reads a conf file."""

from __future__ import annotations

import re
import shlex
from numbers import Real
from os import PathLike
from typing import Any

from mrjob import conf
from mrjob.setup import parse_setup_cmd

from mrjob_pybundle.errors import OptionError

#: mrjob's table of options, with ours in it: name → combiner and switches. The plug-in hands it over, for mrjob has no
#: public name for it.
OPTIONS: dict[str, dict[str, Any]] = {}


def check_value(name: str, value: Any, source: str) -> None:
    """Check that the value of an option of mrjob's, or of ours, is of a kind that mrjob can work with.

    mrjob takes what a conf file has, and stumbles over it somewhere, later.

    :raises OptionError: it is not; the message names the option and *source*, where it was set.
    """
    wanted = _wanted(name, value) if value is not None else None
    if wanted is not None:
        shown = "its value" if name.startswith("aws_") or name == "cmdenv" else repr(value)  # secrets are not shown
        raise OptionError(f"{name} (from {source}): {shown} is not {wanted}")


def _wanted(name: str, value: Any) -> str | None:
    """What *value* should be, and is not."""
    option = OPTIONS.get(name, {})
    combiner = option.get("combiner")
    switch: dict[str, Any] = next((kwargs for _, kwargs in option.get("switches", ())), {})
    if combiner in (conf.combine_dicts, conf.combine_envs, conf.combine_jobconfs):
        return None if isinstance(value, dict) or not value else "a mapping (name: value)"  # mrjob skips what is empty
    if switch.get("type") in (int, float):
        return None if isinstance(value, Real) and not isinstance(value, bool) else "a number"
    if combiner is conf.combine_paths:
        return None if isinstance(value, (str, PathLike)) else "a path or a URI"
    if name in _VERSIONS:
        pattern, example = _VERSIONS[name]
        is_one = not value or (isinstance(value, str) and re.fullmatch(pattern, value))
        return None if is_one else f"of a form such as {example} (in quotes, in a conf file)"
    if combiner is conf.combine_path_lists:
        return (
            None if all(isinstance(path, (str, PathLike)) for path in _listed(value)) else "a path or a list of paths"
        )
    if combiner is conf.combine_cmds or name in _LISTS_OF_COMMANDS:
        return _wanted_of_commands(name, value)
    if combiner is None and not switch.get("action") and name not in _NOT_ONLY_TEXT:
        kinds = (list, dict, Real) if re.fullmatch(_NEVER_NUMBERS, name) else (list, dict)
        return "text" if isinstance(value, kinds) else None
    return None


_VERSIONS = {
    "image_version": (r"\d+(\.\d+)*", "7.14.0"),
    "release_label": (r"emr-(spark-)?\d+(\.\d+)*", "emr-7.14.0"),
}
_BOOTSTRAP_ACTIONS = ("bootstrap_actions", "pybundle_build_bootstrap_actions")
_LISTS_OF_COMMANDS = ("bootstrap", "setup", *_BOOTSTRAP_ACTIONS)
_NEVER_NUMBERS = r"region|.*_endpoint|.*instance_type"
_NOT_ONLY_TEXT = ("additional_emr_info", "subnet")


def _wanted_of_commands(name: str, value: Any) -> str | None:
    if not all(isinstance(line, str) for line in _listed(value)):
        return "a command or a list of texts"
    parse = parse_setup_cmd if name in ("bootstrap", "setup") else shlex.split
    if name not in _LISTS_OF_COMMANDS and not isinstance(value, str):
        return None  # the words of one command
    try:
        commands = [parse(line) for line in _listed(value)]
    except ValueError as error:
        return f"a command ({error})"
    if name in _BOOTSTRAP_ACTIONS and not all(commands):
        return "the URI of a bootstrap action, and its arguments"
    return None


def _listed(value: Any) -> list[Any] | tuple[Any, ...]:
    """As mrjob does with one thing where there may be several."""
    return value if isinstance(value, (list, tuple)) else [value]
