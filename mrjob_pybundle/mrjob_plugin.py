"""The only room that reaches into mrjob's own modules. mrjob 0.7.4 has no plug-in API.

``mrjob_pybundle_hook`` calls :func:`extend` for each of the modules below as soon as mrjob has loaded it,
so that unmodified scripts know the runner ``pybundle-emr``:

* ``mrjob.options`` learns the alias and our options,
* ``mrjob.runner`` learns our class, and to read a conf file's ``emr:`` section underneath ours,
* ``mrjob.tools.spark_submit`` learns the alias: it has a list of its own.
"""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Callable
from numbers import Real
from os import PathLike
from types import ModuleType
from typing import Any

from yaml import YAMLError

from mrjob_pybundle.errors import OptionError

ALIAS = "pybundle-emr"

#: What ``emr:`` says of these is about the Python of the nodes, which is the one thing that we replace.
NOT_INHERITED = ("python_bin", "task_python_bin", "bootstrap_mrjob")

log = logging.getLogger("mrjob.pybundle")

#: mrjob's options of one section of one conf file, and where they come from.
ConfOpts = tuple[str | None, dict[str, Any]]


def extend(module: ModuleType) -> None:
    """Tell *module*, one of mrjob's that has just been loaded, of the runner ``pybundle-emr``.

    :raises AttributeError: this mrjob is not the one that we know.
    """
    {
        "mrjob.options": _extend_options,
        "mrjob.runner": _extend_runner,
        "mrjob.tools.spark_submit": _extend_spark_submit,
    }[module.__name__](module)


def add_runner_switches(parser: Any) -> None:
    """Add mrjob's switches for our runner to *parser* (of argparse, or a group of one), as mrjob's own tools do."""
    from mrjob import options

    from mrjob_pybundle.runner import PyBundleEMRJobRunner

    options._add_basic_args(parser)
    options._add_runner_args(parser, PyBundleEMRJobRunner.OPT_NAMES)


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
    from mrjob import conf
    from mrjob.options import _RUNNER_OPTS

    option = _RUNNER_OPTS.get(name, {})
    combiner = option.get("combiner")
    switch: dict[str, Any] = next((kwargs for _, kwargs in option.get("switches", ())), {})
    if combiner in (conf.combine_dicts, conf.combine_envs, conf.combine_jobconfs):
        return None if isinstance(value, dict) else "a mapping (name: value)"
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
_LISTS_OF_COMMANDS = ("bootstrap", "bootstrap_actions", "setup")
_NEVER_NUMBERS = r"region|.*_endpoint|.*instance_type"
_NOT_ONLY_TEXT = ("additional_emr_info", "subnet")


def _wanted_of_commands(name: str, value: Any) -> str | None:
    from mrjob.setup import parse_setup_cmd

    if not all(isinstance(line, str) for line in _listed(value)):
        return "a command or a list of texts"
    parse = parse_setup_cmd if name in ("bootstrap", "setup") else shlex.split
    if name not in _LISTS_OF_COMMANDS and not isinstance(value, str):
        return None  # the words of one command
    try:
        commands = [parse(line) for line in _listed(value)]
    except ValueError as error:
        return f"a command ({error})"
    if name == "bootstrap_actions" and not all(commands):
        return "the URI of a bootstrap action, and its arguments"
    return None


def _listed(value: Any) -> list[Any] | tuple[Any, ...]:
    """As mrjob does with one thing where there may be several."""
    return value if isinstance(value, (list, tuple)) else [value]


def _extend_options(options: Any) -> None:
    from mrjob_pybundle.options import RUNNER_OPTS

    options._RUNNER_ALIASES.add(ALIAS)
    options._RUNNER_OPTS.update(RUNNER_OPTS)


def _extend_runner(runner: Any) -> None:
    their_runner_class: Callable[[str], type] = runner._runner_class
    load_opts: Callable[..., list[ConfOpts]] = runner.load_opts_from_mrjob_confs

    def runner_class(alias: str) -> type:
        if alias != ALIAS:
            return their_runner_class(alias)
        from mrjob_pybundle.runner import PyBundleEMRJobRunner

        return PyBundleEMRJobRunner

    def load_opts_with_emr_underneath(alias: str | None, conf_paths: list[str] | None = None) -> list[ConfOpts]:
        if alias != ALIAS:
            return load_opts(alias, conf_paths)
        # Without an alias mrjob does not warn of a section that isn't there.
        ours = _sections(load_opts, ALIAS, conf_paths)
        return [_without_python(path, opts) for path, opts in _sections(load_opts, "emr", conf_paths)] + ours

    runner._runner_class = runner_class
    runner.load_opts_from_mrjob_confs = load_opts_with_emr_underneath


def _extend_spark_submit(spark_submit: Any) -> None:
    spark_submit._SPARK_RUNNERS = tuple(sorted({*spark_submit._SPARK_RUNNERS, ALIAS}))


def _sections(load_opts: Callable[..., list[ConfOpts]], alias: str, conf_paths: list[str] | None) -> list[ConfOpts]:
    conf_log = logging.getLogger("mrjob.conf")
    quieter = _QuieterAboutConf(only_missing_section=alias == ALIAS)
    conf_log.addFilter(quieter)
    try:
        return load_opts(alias, conf_paths)
    except (OSError, ValueError, YAMLError) as error:
        raise OptionError(f"Cannot read a conf file: {' '.join(str(error).split())}") from error
    except (TypeError, AttributeError) as error:
        from mrjob.conf import find_mrjob_conf

        paths = ", ".join(conf_paths if conf_paths is not None else [str(find_mrjob_conf())])
        raise OptionError(
            f"{paths}, or a file that it includes, is no conf file of mrjob's: one has 'runners:' in it, and perhaps"
            f" 'include:' with a path or a list of paths ({error})"
        ) from error
    finally:
        conf_log.removeFilter(quieter)


class _QuieterAboutConf(logging.Filter):
    """mrjob's conf is read once per section: either may be missing, and the rest needs to be said once."""

    def __init__(self, *, only_missing_section: bool) -> None:
        super().__init__()
        self._only_missing_section = only_missing_section

    def filter(self, record: logging.LogRecord) -> bool:
        if self._only_missing_section:
            return not record.getMessage().startswith("No configs specified")
        return record.levelno >= logging.ERROR


def _without_python(path: str | None, opts: dict[str, Any]) -> ConfOpts:
    if not isinstance(opts, dict):
        return path, opts  # mrjob refuses it, and names the file
    left_out = [name for name in NOT_INHERITED if opts.get(name)]
    if left_out:
        log.info(
            "not taking %s over from the emr: section of %s: steps run on the bundle's Python",
            ", ".join(left_out),
            path,
        )
    return path, {name: value for name, value in opts.items() if name not in left_out}
