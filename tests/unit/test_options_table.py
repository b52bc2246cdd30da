"""docs/options.md says of each option of mrjob's what it really does for the job, its build and its bundle."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from mrjob.emr import EMRJobRunner

from mrjob_pybundle import options
from mrjob_pybundle.errors import OptionError
from mrjob_pybundle.master.cluster import cluster_request
from mrjob_pybundle.runner import PyBundleEMRJobRunner
from tests.options_table import AS_EVER, DOCUMENT, NO_PART, ROWS, with_table

TESTS = Path(__file__).parents[1]

#: What can only be seen where a cluster, or IAM, is asked; rows name the tests that do.
_ASK_AWS = ("cluster_id", "docker_image", "iam_endpoint")


@pytest.fixture(autouse=True)
def nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_every_option_of_mrjob_has_a_row() -> None:
    assert set(ROWS) == set(EMRJobRunner.OPT_NAMES)


def test_the_document_has_the_table() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert text.count("| `") > len(ROWS)
    assert with_table(text) == text, "python -m tests.options_table writes it anew"


def test_what_is_said_otherwise_of_jobs_is_tested() -> None:
    sources = [path.read_text("utf-8") for path in TESTS.rglob("*.py")]
    tests = {name for source in sources for name in re.findall(r"^def (test_\w+)", source, flags=re.MULTILINE)}
    assert {test for row in ROWS.values() for test in row.tests} <= tests
    untested = [name for name, row in ROWS.items() if (row.job != AS_EVER or name in _ASK_AWS) and not row.tests]
    assert untested == []


def _runner(**opts: Any) -> Any:
    roles = {"iam_service_role": "EMR_DefaultRole", "iam_instance_profile": "EMR_EC2_DefaultRole"}
    fixed = {"cloud_tmp_dir": "s3://my-bucket/tmp/", "region": "us-east-1", "owner": "ada", **roles}
    return PyBundleEMRJobRunner(conf_paths=[], **{**fixed, **opts})


def _of_build(runner: Any) -> Any:
    """All that decides on the build cluster: the request, and whom it is sent to, by whom."""
    order = runner._order()
    request = cluster_request(
        order.cluster(),
        "20261122-101112-abcdef12",
        [],
        instance_type=order.instance_type,
        owner=order.owner,
        tags=order.tags,
    )
    reached = runner.context.credentials
    return request, reached.emr_endpoint, _account(runner), runner.context.emr_poll_seconds


def _of_bundle(runner: Any) -> Any:
    """All that decides on the bundle: its key, where it is looked for, by whom."""
    context = runner.context
    return runner.bundle_spec.key, context.cache_uri, context.credentials.s3_endpoint, context.owner, _account(runner)


def _account(runner: Any) -> Any:
    reached = runner.context.credentials
    return reached.region, reached.aws_access_key_id, reached.aws_secret_access_key, reached.aws_session_token


_EXAMPLES = [pytest.param({name: row.example}, row, id=name) for name, row in ROWS.items() if name not in _ASK_AWS]


@pytest.mark.parametrize(("option", "row"), _EXAMPLES)
def test_a_row_says_what_the_option_changes(option: dict[str, Any], row: Any) -> None:
    """Of build and bundle: where it plays no part, another value changes nothing; elsewhere it changes something."""
    # instances are of one architecture before and after
    before = _runner(**{name: value for name, value in row.besides.items() if not name.endswith("instance_type")})
    after = _runner(**row.besides, **option)
    assert (_of_build(before) != _of_build(after)) == (row.build != NO_PART)
    assert (_of_bundle(before) != _of_bundle(after)) == (row.bundle != NO_PART)
    is_in_key = before.bundle_spec.key != after.bundle_spec.key
    assert is_in_key == row.bundle.startswith("key: ")


def test_defaults_that_are_not_mrjobs() -> None:
    theirs, ours = EMRJobRunner._default_opts(), PyBundleEMRJobRunner._default_opts()
    different = {name: value for name, value in ours.items() if theirs.get(name) != value}
    assert different == {
        **options.DEFAULTS,
        "cloud_fs_sync_secs": 0.0,
        "image_version": "7.14.0",
    }


@pytest.mark.parametrize(
    ("opts", "in_batch", "on_failure"),
    [
        ({}, True, "TERMINATE_CLUSTER"),
        ({"add_steps_in_batch": False}, False, "CONTINUE"),
        ({"max_concurrent_steps": 3}, False, "CONTINUE"),
        ({"extra_cluster_params": {"StepConcurrencyLevel": 3}}, False, "CONTINUE"),
        ({"extra_cluster_params": {"StepConcurrencyLevel": 1}}, True, "TERMINATE_CLUSTER"),
        ({"pool_clusters": True}, False, "CONTINUE"),
        ({"cluster_id": "j-1"}, False, "CONTINUE"),
        ({"emr_action_on_failure": "CANCEL_AND_WAIT"}, True, "CANCEL_AND_WAIT"),
        ({"emr_action_on_failure": "CONTINUE"}, False, "CONTINUE"),
    ],
)
def test_how_steps_are_sent_by_default(opts: dict[str, Any], in_batch: bool, on_failure: str) -> None:
    """On clusters that others use, or that run several at a time, as with mrjob."""
    runner = _runner(**opts)
    assert (runner._add_steps_in_batch(), runner._action_on_failure()) == (in_batch, on_failure)


@pytest.mark.parametrize(
    ("opts", "comes_along"),
    [
        ({}, False),
        ({"python_bin": ["python3.9"]}, True),
        ({"task_python_bin": ["pypy3"]}, True),
        ({"task_python_bin": ["pypy3"], "bootstrap_mrjob": False}, False),
        ({"bootstrap_mrjob": True}, True),
    ],
)
def test_mrjob_comes_along_for_a_python_that_need_not_have_it(opts: dict[str, Any], *, comes_along: bool) -> None:
    assert any(str(path).endswith("mrjob.zip") for path in _runner(**opts)._py_files()) == comes_along


def test_what_mrjob_raises_can_still_be_caught() -> None:
    with pytest.raises(OSError, match="nope is not a directory") as raised:
        _runner(upload_dirs=["nope"])
    assert isinstance(raised.value, OptionError)
    with pytest.raises(OSError, match=r"nope\.conf") as raised:
        PyBundleEMRJobRunner(conf_paths=["nope.conf"])
    assert isinstance(raised.value, OptionError)


def test_a_cluster_that_is_there_needs_no_bootstrap_actions() -> None:
    """And so there are never too many of them."""
    actions = 16 * ["s3://my-bucket/action.sh"]
    _runner(bootstrap_actions=actions, cluster_id="j-1")
    with pytest.raises(OptionError, match="at most 16"):
        _runner(bootstrap_actions=actions)


def test_a_cluster_that_stays_has_one_more_bootstrap_action() -> None:
    """It ends the cluster when it has been idle. Nothing is asked of AWS, or built, before they are counted."""
    runner = _runner(bootstrap_actions=15 * ["s3://my-bucket/action.sh"], s3_endpoint="http://127.0.0.1:9")
    with pytest.raises(OptionError, match="at most 16"):
        runner.make_persistent_cluster()


def test_task_python_bin_wins_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    runner = _runner(task_python_bin=["python3.9"])
    assert runner._task_python_bin() == ["python3.9"]
    assert "task_python_bin is set: steps run on python3.9, not on the bundle's Python" in caplog.text
