"""The only room that reaches into mrjob's own modules. mrjob 0.7.4 has no plug-in API.

``mrjob_pybundle_hook`` calls :func:`extend` for each of the modules below as soon as mrjob has loaded it,
so that unmodified scripts know the runner ``pybundle-emr``:

* ``mrjob.options`` learns the alias and our options,
* ``mrjob.runner`` learns our class, and to read a conf file's ``emr:`` section underneath ours,
* ``mrjob.tools.spark_submit`` learns the alias: it has a list of its own.
"""

from __future__ import annotations

import copy
import logging
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from yaml import YAMLError

from mrjob_pybundle import values
from mrjob_pybundle.errors import OptionError, OptionFileError
from mrjob_pybundle.job.spark import named_by, without_python
from mrjob_pybundle.options import ALIAS, RUNNER_OPTS

#: What ``emr:`` says of these is about the Python of the nodes, which is the one thing that we replace.
NOT_INHERITED = ("python_bin", "task_python_bin", "bootstrap_mrjob", "bootstrap_python")

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


def combined_options(
    names: Collection[str], switches: Mapping[str, Any], conf_paths: list[str] | None
) -> dict[str, Any]:
    """The options *names*, as a job's runner combines defaults, conf files and *switches*, and no others.

    So what others say cannot be wrong. *conf_paths* are those that were given, ``None``: the usual ones.
    """
    from mrjob import runner
    from mrjob.runner import MRJobRunner

    half = _half_a_runner()
    sources = [
        (None, half._default_opts()),
        *runner.load_opts_from_mrjob_confs(ALIAS, conf_paths),
        ("the command line", switches),
    ]
    fixed = [
        half._fix_opts({name: value for name, value in opts.items() if name in names}, source)
        for source, opts in sources
    ]
    # Not EMRJobRunner's, which looks at releases and instances.
    combined: dict[str, Any] = MRJobRunner._combine_opts(half, [dict.fromkeys(names), *fixed])
    return combined


def find_tmp_dir(opts: Mapping[str, Any]) -> str:
    """The ``cloud_tmp_dir`` that mrjob takes where options don't say one. It asks S3 for buckets.

    *opts* has region, keys and S3's endpoint.

    :raises botocore.exceptions.ClientError: and what else botocore raises.
    """
    half = _half_a_runner()
    half._opts = {**dict.fromkeys(half.OPT_NAMES), "cloud_fs_sync_secs": 0.0, **opts}
    half._fs = None
    half._set_cloud_tmp_dir()
    return str(half._opts["cloud_tmp_dir"])


def _half_a_runner() -> Any:
    """A runner without a job, whose options nobody has looked at: for mrjob's methods that need no more."""
    from mrjob_pybundle.runner import PyBundleEMRJobRunner

    return object.__new__(PyBundleEMRJobRunner)


def _extend_options(options: Any) -> None:
    options._RUNNER_ALIASES.add(ALIAS)
    options._RUNNER_OPTS.update(RUNNER_OPTS)
    values.OPTIONS.update(options._RUNNER_OPTS)


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
        with _CONFS.read_once():
            # Without an alias mrjob does not warn of a section that isn't there.
            ours = _sections(load_opts, ALIAS, conf_paths)
            return [_without_python(path, opts) for path, opts in _sections(load_opts, "emr", conf_paths)] + ours

    runner._runner_class = runner_class
    runner.load_opts_from_mrjob_confs = load_opts_with_emr_underneath
    _CONFS.extend(sys.modules["mrjob.conf"])


class _Confs(threading.local):
    """Conf files, of which each is read once for both of our sections: it may be a pipe (``-c <(…)``)."""

    def __init__(self) -> None:
        self._read: dict[str, Any] | None = None

    def extend(self, conf: Any) -> None:
        read_conf: Callable[[str | None], Any] = conf._conf_object_at_path

        def conf_object_at_path(conf_path: str | None) -> Any:
            if self._read is None or conf_path is None:
                return read_conf(conf_path)
            if conf_path not in self._read:
                self._read[conf_path] = read_conf(conf_path)
            return copy.deepcopy(self._read[conf_path])

        conf._conf_object_at_path = conf_object_at_path

    @contextmanager
    def read_once(self) -> Iterator[None]:
        self._read = {}
        try:
            yield
        finally:
            self._read = None


_CONFS = _Confs()


def _extend_spark_submit(spark_submit: Any) -> None:
    spark_submit._SPARK_RUNNERS = tuple(sorted({*spark_submit._SPARK_RUNNERS, ALIAS}))


def _sections(load_opts: Callable[..., list[ConfOpts]], alias: str, conf_paths: list[str] | None) -> list[ConfOpts]:
    conf_log = logging.getLogger("mrjob.conf")
    quieter = _QuieterAboutConf(only_missing_section=alias == ALIAS)
    conf_log.addFilter(quieter)
    try:
        return load_opts(alias, conf_paths)
    except (OSError, ValueError, YAMLError) as error:
        error_class = OptionFileError if isinstance(error, OSError) else OptionError
        raise error_class(f"Cannot read a conf file: {' '.join(str(error).split())}") from error
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
    from mrjob.conf import ClearedValue

    # What is tagged ``!clear`` in the file stays so.
    cleared = {name for name, value in opts.items() if isinstance(value, ClearedValue)}
    opts = {name: value.value if name in cleared else value for name, value in opts.items()}
    left_out = [name for name in NOT_INHERITED if opts.get(name)]
    kept = without_python({name: value for name, value in opts.items() if name not in NOT_INHERITED})
    kept = {name: ClearedValue(value) if name in cleared else value for name, value in kept.items()}
    left_out += named_by(opts)
    if left_out:
        log.info(
            "not taking %s over from the emr: section of %s: steps run on the bundle's Python",
            ", ".join(left_out),
            path,
        )
    return path, kept
