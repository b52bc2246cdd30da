"""What a person reads who has mistyped something, and with which exit status the command ends."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mrjob.job import MRJob

from mrjob_pybundle.command.main import main
from mrjob_pybundle.errors import BuildError, show

#: Nobody answers there.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def here(tmp_path: Path, clean_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory, a HOME of its own, and an AWS that does not answer; mrjob's loggers end as they began."""
    monkeypatch.chdir(tmp_path)
    environment = {"HOME": clean_environment["HOME"], "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": NOWHERE}
    for name in ("MRJOB_CONF", "AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**environment, **keys}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    loggers = [logging.getLogger(name) for name in ("mrjob", "__main__")]
    before = [list(logger.handlers) for logger in loggers]
    for logger in loggers:
        logger.handlers.clear()
    yield tmp_path
    for logger, handlers in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers


def _refused(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    """Exit status, and the only line of the error."""
    try:
        status = main([args[0], "--cloud-tmp-dir", "s3://my-bucket/tmp/", *args[1:]])
    except SystemExit as exit_:
        status = int(str(exit_.code))
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("mrjob-pybundle")]
    assert len(lines) == 1, said
    assert "Traceback" not in said
    return status, lines[0]


FLEETS = "is not what EMR's RunJobFlow takes"


@pytest.mark.parametrize(
    ("switches", "line"),
    [
        (["--cloud-tmp-dir", "/tmp/x"], "Invalid S3 URI: '/tmp/x'"),
        (["--cloud-tmp-dir", "s3://arn:aws:s3:us-east-1:123456789012:accesspoint/a/tmp/"], "names a bucket by an ARN"),
        (["--cloud-tmp-dir", "s3://a--use1-az4--x-s3/tmp/"], "is a directory bucket (S3 Express One Zone)"),
        (["--cloud-tmp-dir", "s3://bucket/a?b/"], "a character (? or #, a tab or a line end) that mrjob cuts it at"),
        (["--cloud-log-dir", "x"], "Invalid S3 URI: 'x'"),
        (["--pybundle-build-file", "nope"], "pybundle_build_files: there is no nope"),
        (["--bootstrap-action", 's3://b/a "x'], "bootstrap_actions (from the command line)"),
        (["--bootstrap-action", ""], "is not the URI of a bootstrap action"),
        (["--pybundle-build-bootstrap-action", ""], "is not the URI of a bootstrap action"),
        (["--pybundle-build-bootstrap-action", "nope a"], "pybundle_build_bootstrap_actions: there is no nope"),
        (["--bootstrap", 'a "b'], "bootstrap (from the command line)"),
        (["--setup", 'a "b'], "is not a command (No closing quotation)"),
        (["--python-bin", 'a "b'], "python_bin (from the command line)"),
        (["--spark-args", 'a "b'], "No closing quotation"),
        (["--files", "#"], "Path may not be empty"),
        (["--dirs", "nope"], "nope is not a directory"),
        (["--tag", "x"], "--tag argument 'x' is not of the form KEY=VALUE"),
        (["--num-core-instances", "x"], "invalid int value: 'x'"),
        (["--max-concurrent-steps", "0"], "max_concurrent_steps must be at least 1"),
        (["--extra-cluster-param", "Instances={"], "is not valid JSON"),
        (["--extra-cluster-param", "BootstrapActions=3"], "BootstrapActions is 3, and no list"),
        (["--instance-fleets", "{"], "Malformed JSON passed to --instance-fleets"),
        *[
            (["--instance-fleets", text], f"instance_fleets: {json.loads(text)!r} {FLEETS}")
            for text in ("3", '["a"]', '{"a": 1}', '[{"InstanceTypeConfigs": [{}]}]', '[{"InstanceTypeConfigs": 3}]')
        ],
        (["--instance-groups", "[{}]"], f"instance_groups: [{{}}] {FLEETS}"),
        (["--instance-groups", '[{"InstanceType": 3}]'], "3 is not an instance type"),
        (["--emr-configuration", "3"], "emr_configurations (from the command line): configurations must be dicts"),
        (["--image-version", "x"], "image_version (from the command line): 'x' is not of a form such as 7.14.0"),
        (["--release-label", "emr-x.y"], "release_label (from the command line): 'emr-x.y' is not of a form such as"),
        (["-c", "nope.conf"], "Cannot read a conf file: [Errno 2] No such file or directory: 'nope.conf'"),
        (["-c", "/"], "Cannot read a conf file: [Errno 21] Is a directory: '/'"),
        (["ls-nothing"], "unrecognized arguments: ls-nothing"),
    ],
)
def test_a_switch_that_is_mistyped(
    here: Path, capsys: pytest.CaptureFixture[str], switches: list[str], line: str
) -> None:
    status, said = _refused(capsys, "key", *switches)
    assert line in said
    assert status == 2


@pytest.mark.parametrize(
    ("conf", "line"),
    [
        ("a: [b", "Cannot read a conf file: while parsing a flow sequence in "),
        ("a: !nonsense b", "could not determine a constructor for the tag '!nonsense'"),
        ("\0", "Cannot read a conf file: unacceptable character"),
        ("- a", "a.conf, or a file that it includes, is no conf file of mrjob's"),
        ("some text", "a.conf, or a file that it includes, is no conf file of mrjob's"),
        ("include: nope.conf", "nope.conf"),
        ("include: [3]", "a.conf, or a file that it includes, is no conf file of mrjob's"),
        ("runners: {emr: [a]}", "(from a.conf) must be a dict"),
        ("runners: {pybundle-emr: 3}", "(from a.conf) must be a dict"),
        *[
            (f"runners: {{pybundle-emr: {{{option}: {value}}}}}", f"{option} (from a.conf): ")
            for option, value in [
                *(("cmdenv", "[a]"), ("tags", "x"), ("jobconf", "3"), ("extra_cluster_params", "[x]")),
                *(("bootstrap_actions", "3"), ("setup", "[3]"), ("python_bin", "3"), ("upload_files", "{a: b}")),
                *(("check_cluster_every", "often"), ("num_core_instances", "many"), ("max_mins_idle", "x")),
                *(("image_version", "6.0"), ("release_label", "7"), ("region", "[x]"), ("instance_type", "3")),
                *(("pybundle_cache_uri", "3"), ("pybundle_venv_build", "[a]"), ("pybundle_build_files", "{a: b}")),
                *(("emr_configurations", "3"), ("cleanup", "3"), ("s3_endpoint", "3"), ("owner", "[a]")),
                *(("pybundle_build_timeout_minutes", "'3'"), ("pybundle_build_bootstrap_actions", "[3]")),
            ]
        ],
    ],
)
def test_a_conf_file_that_is_mistyped(here: Path, capsys: pytest.CaptureFixture[str], conf: str, line: str) -> None:
    (here / "a.conf").write_text(conf)
    status, said = _refused(capsys, "key", "-c", "a.conf")
    assert line in said
    assert status == 2


@pytest.mark.parametrize("option", ["aws_secret_access_key", "aws_session_token", "cmdenv"])
def test_secrets_are_not_shown(here: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    (here / "a.conf").write_text(f"runners: {{pybundle-emr: {{{option}: [TOPSECRET]}}}}")
    status, said = _refused(capsys, "key", "-c", "a.conf")
    assert f"{option} (from a.conf): its value is not" in said
    assert "TOPSECRET" not in said
    assert status == 2


def test_an_unknown_option_in_a_conf_file_is_as_in_mrjob(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a.conf").write_text("runners: {pybundle-emr: {no_such_option: 1, tags: !clear }}")
    assert main(["key", "--cloud-tmp-dir", "s3://my-bucket/tmp/", "-c", "a.conf"]) == 0
    assert "Unexpected option no_such_option (from a.conf)" in capsys.readouterr().err


def test_mappings_that_are_empty_are_as_in_mrjob(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It skips whatever is empty, of whatever kind."""
    (here / "a.conf").write_text(
        "runners: {pybundle-emr: {cmdenv: '', jobconf: [], tags: 0, extra_cluster_params: ''}}"
    )
    assert main(["key", "--cloud-tmp-dir", "s3://my-bucket/tmp/", "-c", "a.conf"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("command", ["ls", "build"])
@pytest.mark.parametrize(
    ("environment", "switches", "status", "line"),
    [
        ({"AWS_PROFILE": "nobody"}, [], 2, "profile (nobody) could not be found. Set AWS_PROFILE"),
        ({"AWS_CONFIG_FILE": "broken"}, [], 2, "Unable to parse config file: "),
        ({}, ["--region", "us east 1"], 2, "'us east 1' doesn't match a supported format. Set region (--region)"),
        ({}, ["--s3-endpoint", "a b"], 2, "Invalid endpoint: https://a b"),
        ({"AWS_ENDPOINT_URL": "localhost"}, [], 2, "Invalid endpoint: localhost"),
        ({}, ["--region", "mars-1"], 3, f'Could not connect to the endpoint URL: "{NOWHERE}/'),
        ({"AWS_ACCESS_KEY_ID": ""}, [], 3, "No AWS credentials"),
    ],
)
def test_settings_of_aws_that_are_mistyped(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    environment: dict[str, str],
    switches: list[str],
    status: int,
    line: str,
) -> None:
    """In a command about the cache, and in one that makes a job's runner; AWS is blamed only for what it was asked."""
    (here / "broken").write_text("[profile x\n")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    tmp_dir = ["--cloud-tmp-dir", ""] if command == "build" else []  # mrjob looks for a bucket of its own
    ended, said = _refused(capsys, command, "--no-conf", *tmp_dir, *switches)
    assert line in said
    assert "gave no usable answer" not in said
    assert ended == status


@pytest.mark.parametrize(
    "switches", [["--region", "us east 1"], ["--tag", "a=b", "-c", "nope.conf"], ["--cloud-tmp-dir", "x"]]
)
def test_doctor_says_it_too(here: Path, capsys: pytest.CaptureFixture[str], switches: list[str]) -> None:
    assert main(["doctor", "--cloud-tmp-dir", "s3://my-bucket/tmp/", *switches]) == 1
    (finding,) = [line for line in capsys.readouterr().out.splitlines() if line]
    assert finding.startswith("FAILED      configuration: ")
    assert finding.endswith(". Nothing else was checked.")


@pytest.mark.parametrize("command", ["ls", "build"])
def test_a_program_that_hands_out_credentials_of_yesterday(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """As helpers for single sign-on do when one has to sign on again."""
    said = {"Version": 1, "AccessKeyId": "x", "SecretAccessKey": "x", "Expiration": "2020-01-01T00:00:00Z"}
    (here / "credentials.json").write_text(json.dumps(said))
    (here / "config").write_text(f"[default]\ncredential_process = cat {here}/credentials.json\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(here / "config"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    status, line = _refused(capsys, command, "--no-conf")
    assert status == 3
    assert "Your AWS credentials have expired (" in line


def test_with_q_a_command_says_its_error(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "-q", "--no-conf", "--cloud-tmp-dir", "s3://my-bucket/tmp/"]) == 3
    said = capsys.readouterr().err
    assert said.startswith("mrjob-pybundle: No connection to AWS")
    assert said.count("\n") == 1


def test_a_command_in_somebodys_program_leaves_its_loggers_alone(here: Path) -> None:
    logger = logging.getLogger("mrjob")
    before = (list(logger.handlers), logger.level)
    assert main(["ls", "-v", "--no-conf", "--cloud-tmp-dir", "s3://my-bucket/tmp/"]) == 3
    assert (logger.handlers, logger.level) == before


def test_with_q_the_log_of_a_failed_build_is_left_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = BuildError(
        "It failed. The end of its log:\n    boom\nThe whole log: s3://b/log", line="It failed. s3://b/log"
    )
    show(failed)
    MRJob.set_up_logging(quiet=True)
    show(failed)
    assert capsys.readouterr().err == f"{failed}\nIt failed. s3://b/log\n"


def test_ctrl_c(clean_environment: dict[str, str]) -> None:
    """While AWS keeps us waiting."""
    with socket.create_server(("127.0.0.1", 0)) as aws:
        endpoint = f"http://127.0.0.1:{aws.getsockname()[1]}"
        environment = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": endpoint}
        command = [
            sys.executable,
            "-m",
            "mrjob_pybundle",
            "ls",
            "--no-conf",
            "--pybundle-cache-uri",
            "s3://my-bucket/x",
        ]
        with subprocess.Popen(
            [*command, "--cloud-tmp-dir", "s3://my-bucket/tmp/"],
            env={**clean_environment, **environment},
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            connection, _ = aws.accept()
            with connection:
                running.send_signal(signal.SIGINT)
                said = running.communicate()[1]
    assert running.returncode == 130
    assert "Traceback" not in said


# programs that make our runner


PROGRAM = """\
import sys
from mrjob.job import MRJob
from mrjob_pybundle.errors import PyBundleError

class MRNothing(MRJob):
    def mapper(self, key, value): pass

class TheirError(PyBundleError):
    pass

def make_runner():
    return MRNothing(["-r", "pybundle-emr", "--no-conf", "--cloud-tmp-dir", "/tmp"]).make_runner()

def hook(kind, error, traceback):
    print("their hook:", kind.__name__)
"""


@pytest.mark.parametrize(
    ("program", "output", "errors"),
    [
        ("make_runner()", "", ["An option, or a combination of them, cannot work: Invalid S3 URI: '/tmp'"]),
        ("sys.excepthook = hook; make_runner()", "their hook: OptionError\n", []),
        (
            "try: make_runner()\nexcept PyBundleError: sys.excepthook = hook\nmake_runner()",
            "their hook: OptionError\n",
            [],
        ),
        (
            "try: make_runner()\nexcept PyBundleError: raise TheirError('theirs') from None",
            "",
            ["Traceback (most recent call last):", "TheirError: theirs"],
        ),
        (
            "try: make_runner()\nexcept ValueError: pass\nraise TheirError('theirs')",
            "",
            ["Traceback (most recent call last):", "TheirError: theirs"],
        ),
    ],
)
def test_the_rest_of_a_program_is_left_alone(
    tmp_path: Path, clean_environment: dict[str, str], program: str, output: str, errors: list[str]
) -> None:
    path = tmp_path / "program.py"
    path.write_text(f"{PROGRAM}\n{program}\n")
    ran = subprocess.run([sys.executable, path], env=clean_environment, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stdout == output
    said = [line for line in ran.stderr.splitlines() if not line.startswith((" ", "No configs specified"))]
    assert [line.removeprefix("__main__.") for line in said] == errors


def test_only_our_runners_cleaning_up_is_logged_in_one_line(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    switches = ["--no-conf", "--cloud-tmp-dir", "s3://my-bucket/tmp/"]
    runners = [(alias, MRJob(["-r", alias, *switches]).make_runner()) for alias in ("emr", "pybundle-emr", "emr")]
    for alias, runner in runners:
        caplog.clear()
        runner.cleanup(["CLOUD_TMP"])
        (error,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
        in_one_line = error.getMessage().startswith("No connection to AWS (cleaning up") and error.exc_info is None
        assert in_one_line == (alias == "pybundle-emr")


# help


@pytest.mark.parametrize("command", ["key", "why", "build", "create-cluster", "doctor"])
def test_help_of_a_command_about_a_job(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    text = _help(capsys, monkeypatch, command, "--help")
    assert len(text.splitlines()) <= 40
    for switch in ("--pybundle-cache-uri", "--pybundle-venv-build", "--region", "-q", "-v", "-c", "--no-conf"):
        assert switch in text
    assert "AWS_PROFILE" in text
    assert "--help-all" in text


@pytest.mark.parametrize("command", ["ls", "show", "rm", "unpin", "gc", "watch", "stop"])
def test_help_of_a_command_about_the_cache(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    text = _help(capsys, monkeypatch, command, "--help")
    assert len(text.splitlines()) <= 30
    assert "--pybundle-cache-uri" in text
    assert "--pybundle-venv-build" not in text
    everything = _help(capsys, monkeypatch, command, "--help-all")
    assert {"--pybundle-venv-build", "--num-core-instances"} <= set(everything.replace(",", "").split())


def _help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, switch: str) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([command, switch])
    assert ended.value.code == 0
    return capsys.readouterr().out
