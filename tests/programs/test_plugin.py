"""The plug-in, through the doors that people use: unmodified scripts, conf files."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

JOB = """\
from mrjob.job import MRJob

class MRCount(MRJob):
    def mapper(self, _, line):
        yield len(line.split()), 1
    def reducer(self, key, values):
        yield key, sum(values)

if __name__ == "__main__":
    MRCount.run()
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """An mrjob job that has never heard of us."""
    path = tmp_path / "my job.py"
    path.write_text(JOB)
    return path


def _python(*args: object, env: dict[str, str], **kwargs: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, *map(str, args)], env=env, capture_output=True, text=True, **kwargs
    )


def test_an_unmodified_script_has_the_runner(job: Path, clean_environment: dict[str, str]) -> None:
    helped = _python(job, "--help", "-r", "pybundle-emr", env=clean_environment)
    assert helped.returncode == 0, helped.stderr
    assert "--pybundle-venv-build" in helped.stdout
    assert "--no-pybundle-optimize" in helped.stdout
    assert "--release-label" in helped.stdout  # and mrjob's own


def test_other_runners_are_as_ever(job: Path, clean_environment: dict[str, str]) -> None:
    run = _python(job, "-r", "inline", env=clean_environment, input="a b\nc\n")
    assert run.returncode == 0, run.stderr
    assert sorted(run.stdout.split("\n")) == ["", "1\t1", "2\t1"]
    helped = _python(job, "--help", "-r", "emr", env=clean_environment)
    assert "--release-label" in helped.stdout
    assert "--pybundle" not in helped.stdout


def test_it_can_be_turned_off(job: Path, clean_environment: dict[str, str]) -> None:
    environment = {**clean_environment, "MRJOB_PYBUNDLE_HOOK": "off"}
    helped = _python(job, "--help", "-r", "pybundle-emr", env=environment)
    assert helped.returncode != 0
    assert "--pybundle" not in helped.stdout


def test_spark_submit_knows_the_runner(clean_environment: dict[str, str]) -> None:
    helped = _python("-m", "mrjob.cmd", "spark-submit", "-r", "pybundle-emr", "--help", env=clean_environment)
    assert helped.returncode == 0, helped.stderr
    assert "--pybundle-python-version" in helped.stdout


@pytest.mark.parametrize(
    ("runner", "option"), [("pybundle-emr", "--pybundle-python-version"), ("local", "--bootstrap-mrjob")]
)
def test_spark_submit_as_a_module(runner: str, option: str, clean_environment: dict[str, str]) -> None:
    helped = _python("-m", "mrjob.tools.spark_submit", "-r", runner, "--help", env=clean_environment)
    assert helped.returncode == 0, helped.stderr
    assert option in helped.stdout


def test_tools_see_modules_before_their_import(clean_environment: dict[str, str]) -> None:
    """What debuggers, profilers and packagers ask of a loader."""
    program = """\
import importlib.util, inspect, pkgutil, sys
spec = importlib.util.find_spec("mrjob.emr")
assert "mrjob.emr" not in sys.modules
assert spec.loader.get_filename("mrjob.emr") == spec.origin
assert "class EMRJobRunner" in spec.loader.get_source("mrjob.emr")
assert spec.loader.get_code("mrjob.emr").co_filename == spec.origin
assert not spec.loader.is_package("mrjob.emr")
assert not hasattr(spec.loader, "no_loader_has_this")
import mrjob.runner
assert "class MRJobRunner" in inspect.getsource(mrjob.runner)
"""
    run = _python("-W", "ignore", "-c", program, env=clean_environment)
    assert run.returncode == 0, run.stderr


def test_no_other_library_meets_a_false_module(clean_environment: dict[str, str]) -> None:
    program = """\
import sys
import mrjob.emr, mrjob.job
assert not {"pipes", "distutils", "distutils.version", "distutils.spawn", "setuptools"} & set(sys.modules), sys.modules
assert mrjob.emr.pipes.quote("a b") == "'a b'"
from mrjob.compat import version_gte, map_version
assert version_gte("7.14.0", "7.9.1") and not version_gte("2.7", "2.10")
assert map_version("2.7.3", {"1.0": "old", "2.0": "new"}) == "new"
assert type(mrjob.emr.__loader__).__module__ != "mrjob_pybundle_hook"
assert [finder.__name__ for finder in sys.meta_path if "MRJob" in getattr(finder, "__name__", "")] == ["_MRJobFinder"]
import inspect
assert "class EMRJobRunner" in inspect.getsource(mrjob.emr)
try:
    import pipes
except ModuleNotFoundError:
    assert sys.version_info >= (3, 13)
else:
    assert pipes.__file__
"""
    run = _python("-W", "ignore", "-c", program, env=clean_environment)
    assert run.returncode == 0, run.stderr


def test_python_programs_without_mrjob_load_nothing_of_ours(clean_environment: dict[str, str]) -> None:
    program = """\
import sys
# an editable installation has a finder of setuptools' own, which knows our names
print(sorted(name for name in sys.modules if "mrjob" in name and not name.startswith("__editable__")))
"""
    run = _python("-c", program, env=clean_environment)
    assert run.stdout.strip() == "[]", run.stderr


@pytest.mark.filterwarnings("ignore:distutils Version classes")
def test_one_loose_version_is_like_the_other() -> None:
    """Against distutils' own, on a Python that still has one."""
    distutils = pytest.importorskip("distutils.version", reason="this Python has no distutils to compare with")
    from mrjob_pybundle_hook import _loose_version_class

    loose_version = _loose_version_class()
    versions = ["1", "1.0", "1.0.3", "2.2", "2.10", "2.6.0-amzn-2", "3.4.2", "7.14.0", "2.7.3-amzn-0", "0.20.203"]
    for one in versions:
        for other in versions:
            try:
                expected = distutils.LooseVersion(one) < distutils.LooseVersion(other)
            except TypeError:
                continue
            assert (loose_version(one) < loose_version(other)) == expected, (one, other)


# conf files


def _opts(conf: str, tmp_path: Path, env: dict[str, str], *switches: str) -> subprocess.CompletedProcess[str]:
    """What the runner makes of a conf file: a Python literal of its options on stdout, log on stderr."""
    path = tmp_path / "mrjob.conf"
    path.write_text(conf)
    program = """\
import sys
from mrjob.job import MRJob
class MRNothing(MRJob):
    def mapper(self, key, value): pass
job = MRNothing(sys.argv[1:])
job.set_up_logging()
print(job.make_runner().get_opts())
"""
    script = tmp_path / "nothing.py"
    script.write_text(program)
    aws = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    run = _python(script, "-r", "pybundle-emr", "-c", path, *switches, env={**env, **aws})
    assert run.returncode == 0, run.stderr
    return run


def test_a_conf_may_be_a_pipe(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    """As of ``-c <(…)``: it says what it has to say once."""
    conf = "runners: {emr: {cloud_tmp_dir: 's3://my-bucket/tmp/', region: eu-west-1}, pybundle-emr: {owner: ada}}"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    include = f"include: {pipe}"
    with ThreadPoolExecutor(1) as writer:
        written = writer.submit(pipe.write_text, conf)
        opts = _parsed(_opts(include, tmp_path, clean_environment))
        written.result()
    assert (opts["region"], opts["owner"]) == ("eu-west-1", "ada")


def _parsed(run: subprocess.CompletedProcess[str]) -> dict[str, object]:
    return eval(run.stdout, {"range": range})  # type: ignore[no-any-return]


def test_emr_conf_is_underneath_ours(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    conf = """\
runners:
  emr:
    cloud_tmp_dir: s3://my-bucket/tmp/
    region: eu-central-1
    bootstrap_actions: [s3://theirs/one]
    cmdenv: {A: emr, B: emr}
    tags: {team: data}
  pybundle-emr:
    pybundle_python_version: 3.11.15
    bootstrap_actions: [s3://ours/two]
    cmdenv: {B: ours}
    tags: !clear
"""
    opts = _parsed(_opts(conf, tmp_path, clean_environment))
    assert opts["region"] == "eu-central-1"
    assert opts["bootstrap_actions"] == ["s3://theirs/one", "s3://ours/two"]
    assert opts["cmdenv"] == {"A": "emr", "B": "ours"}
    assert opts["tags"] == {}
    assert opts["pybundle_python_version"] == "3.11.15"
    assert opts["release_label"] == "emr-7.14.0"
    assert opts["cloud_fs_sync_secs"] == 0.0


def test_what_an_emr_conf_clears(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    """``!clear`` is mrjob's tag for what included files say."""
    (tmp_path / "base.conf").write_text(
        "runners: {emr: {cloud_tmp_dir: 's3://my-bucket/tmp/', jobconf: {a: b}, cmdenv: {A: B}, python_bin: python3}}\n"
    )
    conf = """\
include: base.conf
runners:
  emr:
    jobconf: !clear {spark.pyspark.python: theirs, c: d}
    cmdenv: !clear
    python_bin: !clear
"""
    run = _opts(conf, tmp_path, clean_environment)
    opts = _parsed(run)
    assert (opts["jobconf"], opts["cmdenv"]) == ({"c": "d"}, {})
    assert "not taking spark.pyspark.python over" in run.stderr


def test_included_confs_of_either_section(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    (tmp_path / "base.conf").write_text(
        "runners:\n  emr: {cloud_tmp_dir: 's3://my-bucket/tmp/', region: us-west-2}\n"
        "  pybundle-emr: {region: us-east-2}\n"
    )
    opts = _parsed(_opts("include: base.conf\nrunners: {emr: {region: eu-west-1}}", tmp_path, clean_environment))
    assert opts["region"] == "us-east-2", "all of pybundle-emr: goes before all of emr:"


def test_the_nodes_python_of_emr_conf_is_left_out_with_one_notice(
    tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    conf = """\
runners:
  emr:
    cloud_tmp_dir: s3://my-bucket/tmp/
    python_bin: python3.9
    bootstrap_mrjob: true
"""
    run = _opts(conf, tmp_path, clean_environment)
    opts = _parsed(run)
    assert opts["python_bin"] is None
    assert opts["bootstrap_mrjob"] is None
    assert run.stderr.count("not taking python_bin, bootstrap_mrjob over from the emr: section") == 1


def test_that_mrjob_does_not_come_along_is_not_taken_over_either(
    tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    """It was said of another Python. That one of its own has none is for a job to say."""
    conf = "runners: {emr: {cloud_tmp_dir: 's3://my-bucket/tmp/', bootstrap_mrjob: false}}"
    assert _parsed(_opts(conf, tmp_path, clean_environment))["bootstrap_mrjob"] is None


def test_sparks_python_of_emr_conf_is_left_out_with_the_same_notice(
    tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    """Wherever it may stand; and with it, what would install another Python."""
    conf = """\
runners:
  emr:
    cloud_tmp_dir: s3://my-bucket/tmp/
    bootstrap_python: true
    jobconf:
      spark.pyspark.python: /usr/bin/python3
      spark.executorEnv.PYSPARK_PYTHON: python3
      spark.executor.cores: 2
    cmdenv: {PYSPARK_DRIVER_PYTHON: python3, TZ: UTC}
    spark_args: [--name, x, --conf, spark.pyspark.driver.python=python3, --conf, spark.ui.enabled=false]
"""
    run = _opts(conf, tmp_path, clean_environment)
    opts = _parsed(run)
    assert opts["jobconf"] == {"spark.executor.cores": "2"}
    assert opts["cmdenv"] == {"TZ": "UTC"}
    assert opts["spark_args"] == ["--name", "x", "--conf", "spark.ui.enabled=false"]
    assert opts["bootstrap_python"] is None
    left_out = (
        "bootstrap_python, PYSPARK_DRIVER_PYTHON, spark.pyspark.python, spark.executorEnv.PYSPARK_PYTHON,"
        " spark.pyspark.driver.python"
    )
    assert run.stderr.count(f"not taking {left_out} over from the emr: section") == 1


def test_a_python_bin_of_our_section_wins_with_a_warning(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    conf = """\
runners:
  emr: {cloud_tmp_dir: 's3://my-bucket/tmp/', python_bin: python3.9}
  pybundle-emr: {python_bin: python3.8, bootstrap_mrjob: true}
"""
    run = _opts(conf, tmp_path, clean_environment)
    opts = _parsed(run)
    assert opts["python_bin"] == ["python3.8"]
    assert opts["bootstrap_mrjob"] is True
    assert "python_bin is set: steps run on python3.8, not on the bundle's Python" in run.stderr


def test_switches_win(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    conf = """\
runners:
  emr: {cloud_tmp_dir: 's3://my-bucket/tmp/'}
  pybundle-emr: {pybundle_configure_args: [--with-a], pybundle_optimize: true}
"""
    run = _opts(conf, tmp_path, clean_environment, "--pybundle-configure-arg=--with-b=c d", "--no-pybundle-optimize")
    opts = _parsed(run)
    assert opts["pybundle_configure_args"] == ["--with-a", "--with-b=c d"]
    assert opts["pybundle_optimize"] is False


# refusals: each is one clear line, and nothing is launched


@pytest.mark.parametrize(
    ("switches", "line"),
    [
        (["--release-label", "emr-spark-8.0.0"], "EMR release emr-spark-8.0.0 has no Hadoop"),
        (["--release-label", "emr-5.29.0"], "EMR release emr-5.29.0 is too old"),
        (["--release-label", "emr-9.0.0"], "EMR release emr-9.0.0 is not known"),
        (["--image-version", "6.15.0"], "cannot be compiled on Amazon Linux 2"),
        (["--instance-type", "m6g.xlarge", "--num-core-instances", "2"], "mix CPU architectures"),
        (["--docker-image", "python:3.13"], "docker_image does not go with -r pybundle-emr"),
        (["--pybundle-python-version", "3.6.15"], "2.7 and of 3.7 and newer, not of 3.6.15"),
        (["--pybundle-configure-arg=--prefix=/usr"], "'--prefix=/usr' is refused: a bundle has its own directories"),
        (["--pybundle-configure-arg=--disable-gil"], "'--disable-gil' is refused: a task of mrjob's is one thread"),
        (["--pybundle-configure-arg=--enable-shared"], "'--enable-shared' is refused: a bundle's python has CPython"),
        (["--pybundle-cache-uri", "/tmp/x"], "'/tmp/x' is not an S3 URI"),
        (15 * ["--bootstrap-action", "s3://b/a"] + ["--bootstrap", "true"], "EMR runs at most 16 bootstrap actions"),
        (15 * ["--bootstrap-action", "s3://b/a"] + ["--pool-clusters"], "EMR runs at most 16 bootstrap actions"),
    ],
)
def test_refused_in_one_line(job: Path, clean_environment: dict[str, str], switches: list[str], line: str) -> None:
    environment = {**clean_environment, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    run = _python(
        job, "-r", "pybundle-emr", "--cloud-tmp-dir", "s3://my-bucket/tmp/", *switches, env=environment, input=""
    )
    assert run.returncode == 1
    said = [text for text in run.stderr.splitlines() if not text.startswith("No configs")]
    assert len(said) == 1, run.stderr
    assert line in said[0]


def test_as_many_bootstrap_actions_as_emr_runs(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    """The bundle's is the sixteenth. Only a cluster that waits for more jobs has one that ends it."""
    conf = f"""\
runners:
  pybundle-emr:
    cloud_tmp_dir: s3://my-bucket/tmp/
    region: us-east-1
    bootstrap_actions: {15 * ["s3://b/a"]}
"""
    opts = _parsed(_opts(conf, tmp_path, clean_environment))
    assert opts["bootstrap_actions"] == 15 * ["s3://b/a"]


def test_making_a_runner_asks_nothing_and_reads_nothing(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    """Of AWS nothing that ``-r emr`` does not ask; of the files that go into a bundle, only whether they are there."""
    inputs = {"python-source": "Python-3.11.2.tgz", "venv-build": "venv-build.sh", "build-file": "a-build-file"}
    for name in inputs.values():
        (tmp_path / name).write_text("x")
    program = """\
import os, sys
import boto3, mrjob.emr, mrjob_pybundle.runner
from mrjob.job import MRJob
class MRNothing(MRJob):
    def mapper(self, key, value): pass
job = MRNothing(sys.argv[1:])
read, asked = set(), []
def hook(event, args):
    if event == "open":
        read.add(str(args[0]))
    elif event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        asked.append(args)
sys.addaudithook(hook)
job.make_runner()
mrjobs = os.path.dirname(mrjob.emr.__file__)
print(asked, [path for path in read if os.path.dirname(path) in (mrjobs, os.getcwd()) and not path.endswith(".pyc")])
"""
    script = tmp_path / "nothing.py"
    script.write_text(program)
    switches = ["-r", "pybundle-emr", "--no-conf", "--cloud-tmp-dir", "s3://b42/tmp/", "--cluster-id", "j-UNKNOWN"]
    switches += [word for switch, name in inputs.items() for word in (f"--pybundle-{switch}", str(tmp_path / name))]
    run = _python(script, *switches, env=clean_environment, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "[] []\n"


def test_no_credentials_is_one_line(job: Path, clean_environment: dict[str, str]) -> None:
    run = _python(job, "-r", "pybundle-emr", env=clean_environment, input="")
    assert run.returncode == 1
    said = [text for text in run.stderr.splitlines() if not text.startswith("No configs")]
    assert len(said) == 1, run.stderr
    assert "No AWS credentials" in said[0]


def test_a_traceback_only_with_v(job: Path, clean_environment: dict[str, str]) -> None:
    run = _python(job, "-v", "-r", "pybundle-emr", env=clean_environment, input="")
    assert run.returncode == 1
    assert "Traceback" in run.stderr
    assert run.stderr.rstrip().splitlines()[-1].startswith("No AWS credentials")


def test_with_q_our_own_error_is_one_line(job: Path, clean_environment: dict[str, str]) -> None:
    run = _python(job, "-q", "-r", "pybundle-emr", env=clean_environment, input="")
    assert run.returncode == 1
    assert run.stderr.startswith("No AWS credentials")
    assert run.stderr.count("\n") == 1
