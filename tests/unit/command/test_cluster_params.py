"""The formats of ``cluster-params``: who reads them gets the very values, whatever is in them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrjob_pybundle.command.cluster_params import FORMATS, Params
from mrjob_pybundle.job.spark import configurations_of_cluster

# What addresses of a cache may have in them, and what shells, Jinja and Terraform make something of.
texts = st.lists(st.sampled_from(["{", "%", "#", "}", "$", "{{ x }}", "'", '"', "\\", " ", "é", "s3://b/"])).map(
    "".join
)
params = st.builds(
    Params,
    path=texts,
    args=st.lists(texts, max_size=3).map(tuple),
    configurations=texts.map(lambda text: tuple(configurations_of_cluster(text))),
    jobrunner=texts,
)


def _boto3(given: Params) -> Any:
    return {
        "BootstrapActions": [
            {"Name": "mrjob-pybundle", "ScriptBootstrapAction": {"Path": given.path, "Args": list(given.args)}}
        ],
        "Configurations": list(given.configurations),
    }


def _texts_read(value: Any, read: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {name: _texts_read(one, read) for name, one in value.items()}
    if isinstance(value, list):
        return [_texts_read(one, read) for one in value]
    return read(value)


@given(given=params)
def test_boto3(given: Params) -> None:
    assert json.loads(FORMATS["boto3"](given)) == _boto3(given)


@given(given=params)
def test_airflow_renders_it_as_a_template(given: Params) -> None:
    printed = json.loads(FORMATS["airflow"](given))
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    assert _texts_read(printed, lambda text: environment.from_string(text).render()) == _boto3(given)


@given(given=params)
def test_terraform_finds_no_template(given: Params) -> None:
    """``$${`` stands for ``${`` there, ``%%{`` for ``%{``."""
    printed = json.loads(FORMATS["terraform"](given))["locals"]
    begun = re.compile(r"([$%]+)\{")

    def read(text: str) -> str:
        assert all(len(match[1]) >= 2 and match[1][-1] == match[1][-2] for match in begun.finditer(text)), text
        return re.sub(r"([$%])\1(?=\{)", r"\1", text)

    assert _texts_read(printed, read) == {
        "pybundle_bootstrap_actions": [{"name": "mrjob-pybundle", "path": given.path, "args": list(given.args)}],
        "pybundle_configurations": list(given.configurations),
        "pybundle_jobrunner": given.jobrunner,
    }


@pytest.mark.parametrize("nasty", ["it's a cache/$(id)/`id`/é", "\"\\ ${HOME} ' *"])
def test_a_shell_reads_it(nasty: str) -> None:
    given = Params(f"s3://b/{nasty}", (nasty, "us-east-1"), tuple(configurations_of_cluster(nasty)), nasty)
    names = ("BOOTSTRAP_ACTIONS", "CONFIGURATIONS", "JOBRUNNER")
    script = FORMATS["cli"](given) + "\n" + "".join(f"printf '%s\\0' \"$PYBUNDLE_{name}\"\n" for name in names)
    said = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True, env={}).stdout
    actions, configurations, jobrunner, rest = said.decode().split("\0")
    assert json.loads(actions) == [{"Name": "mrjob-pybundle", "Path": given.path, "Args": list(given.args)}]
    assert json.loads(configurations) == list(given.configurations)
    assert (jobrunner, rest) == (nasty, "")
