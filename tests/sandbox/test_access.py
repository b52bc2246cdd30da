"""Who may do what in the sandbox, when a policy says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mrjob.iam import get_or_create_mrjob_service_role

from mrjob_pybundle.sandbox.api.access import Access, Call, Policy, is_allowed
from mrjob_pybundle.sandbox.api.emr import key_id_of_nodes

Clients = Callable[..., Any]
MINE = "arn:aws:s3:::sandbox/mine/"


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _allow(action: str | list[str], resource: str | list[str], **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


@pytest.fixture
def me(access: Access, clients: Clients) -> Iterator[Any]:
    """S3 as somebody who may read and write below mine/, and not list."""
    everything = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    with access.restricted({"me": [_policy(_allow(everything, f"{MINE}*"))]}):
        yield clients("s3", "me")


def _code(function: Callable[..., Any], **parameters: Any) -> str:
    with pytest.raises(ClientError) as refusal:
        function(**parameters)
    return str(refusal.value.response["Error"]["Code"])


def test_what_a_policy_does_not_allow_is_refused(me: Any, access: Access, clients: Clients) -> None:
    me.put_object(Bucket="sandbox", Key="mine/a", Body=b"x")
    assert _code(me.put_object, Bucket="sandbox", Key="yours", Body=b"x") == "AccessDenied"
    assert _code(me.list_objects_v2, Bucket="sandbox") == "AccessDenied"
    assert _code(me.head_object, Bucket="sandbox", Key="yours") == "403"
    assert Call("me", "s3:PutObject", f"{MINE}a") in access.calls
    assert Call("me", "s3:PutObject", "arn:aws:s3:::sandbox/yours") in access.refused
    clients("s3", "other").put_object(Bucket="sandbox", Key="yours", Body=b"x")


def test_who_may_not_list_is_not_told_what_does_not_exist(me: Any, clients: Clients) -> None:
    assert _code(me.get_object, Bucket="sandbox", Key="mine/nothing") == "AccessDenied"
    assert _code(clients("s3").get_object, Bucket="sandbox", Key="mine/nothing") == "NoSuchKey"


def test_conditions_and_copies_need_reading(access: Access, clients: Clients) -> None:
    s3 = clients("s3", "writer")
    with access.restricted({"writer": [_policy(_allow(["s3:PutObject", "s3:DeleteObject"], f"{MINE}*"))]}):
        etag = s3.put_object(Bucket="sandbox", Key="mine/b", Body=b"x", IfNoneMatch="*")["ETag"]
        assert _code(s3.put_object, Bucket="sandbox", Key="mine/b", Body=b"y", IfMatch=etag) == "AccessDenied"
        assert _code(s3.copy_object, Bucket="sandbox", Key="mine/c", CopySource="sandbox/mine/b") == "AccessDenied"
        s3.delete_objects(Bucket="sandbox", Delete={"Objects": [{"Key": "mine/b"}]})
        several = {"Objects": [{"Key": "mine/b"}, {"Key": "yours"}]}
        assert _code(s3.delete_objects, Bucket="sandbox", Delete=several) == "AccessDenied"


def test_roles_are_passed(access: Access, clients: Clients) -> None:
    emr = clients("emr", "launcher")
    to_ec2 = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    roles = "arn:aws:iam::123456789012:role/"
    policy = _policy(
        _allow("elasticmapreduce:RunJobFlow", "*"), _allow("iam:PassRole", f"{roles}Nodes", Condition=to_ec2)
    )
    request = {"Name": "x", "ReleaseLabel": "emr-7.0.0", "Instances": {"InstanceCount": 1}}
    with access.restricted({"launcher": [policy]}):
        assert _code(emr.run_job_flow, **request, JobFlowRole="Others") == "AccessDeniedException"
        assert _code(emr.run_job_flow, **request, ServiceRole="Nodes") == "AccessDeniedException"
        assert _code(emr.list_clusters) == "AccessDeniedException"
    context = (("iam:PassedToService", "ec2.amazonaws.com"),)
    assert Call("launcher", "iam:PassRole", f"{roles}Others", context) in access.refused


def test_nodes_sign_as_their_role(access: Access, clients: Clients) -> None:
    emr, s3 = clients("emr"), clients("s3")
    s3.put_object(Bucket="sandbox", Key="ba.sh", Body=b"#!/bin/bash\naws s3 cp $0 s3://sandbox/from-a-node\n")
    cluster_id = emr.run_job_flow(
        Name="x",
        ReleaseLabel="emr-7.0.0",
        LogUri="s3://sandbox/logs",
        JobFlowRole="arn:aws:iam::123456789012:instance-profile/Nodes",
        Instances={"MasterInstanceType": "m5.xlarge", "InstanceCount": 1},
        BootstrapActions=[{"Name": "x", "ScriptBootstrapAction": {"Path": "s3://sandbox/ba.sh"}}],
        Steps=[{"Name": "x", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["true"]}}],
    )["JobFlowId"]
    emr.get_waiter("cluster_terminated").wait(ClusterId=cluster_id, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    who = {call.resource: call.principal for call in access.calls if call.action == "s3:PutObject"}
    assert who["arn:aws:s3:::sandbox/from-a-node"] == key_id_of_nodes("Nodes") == "role-Nodes"
    assert {by for resource, by in who.items() if f"sandbox/logs/{cluster_id}/" in resource} == {"role-Nodes"}


@pytest.mark.parametrize("owner", ["123456789012", "210987654321"])
def test_the_owner_of_a_bucket(clients: Clients, owner: str) -> None:
    s3 = clients("s3")
    if owner == "123456789012":
        s3.put_object(Bucket="sandbox", Key="o", Body=b"x", ExpectedBucketOwner=owner)
        assert s3.get_object(Bucket="sandbox", Key="o", ExpectedBucketOwner=owner)["Body"].read() == b"x"
    else:
        assert _code(s3.put_object, Bucket="sandbox", Key="o", Body=b"y", ExpectedBucketOwner=owner) == "AccessDenied"
        assert _code(s3.head_bucket, Bucket="sandbox", ExpectedBucketOwner=owner) == "403"


def test_patterns_are_no_regular_expressions() -> None:
    policy = Policy(_policy(_allow("s3:Get*", "arn:aws:s3:::a.b/$(x)/*")))
    assert is_allowed(Call("x", "s3:GetObject", "arn:aws:s3:::a.b/$(x)/y/z"), [policy])
    assert not is_allowed(Call("x", "s3:GetObject", "arn:aws:s3:::a-b/$(x)/y"), [policy])
    assert not is_allowed(Call("x", "s3:PutObject", "arn:aws:s3:::a.b/$(x)/y"), [policy])


def test_conditions_that_are_not_met_leave_it_to_other_statements() -> None:
    only_to = [{"StringEquals": {"iam:PassedToService": service}} for service in ("ec2", "emr")]
    both = Policy(
        _policy(*(_allow("iam:PassRole", f"{role}/*", Condition=c) for role, c in zip("ab", only_to, strict=True)))
    )
    to_ec2, to_emr = ((("iam:PassedToService", service),) for service in ("ec2", "emr"))
    assert is_allowed(Call("x", "iam:PassRole", "a/x", to_ec2), [both])
    assert is_allowed(Call("x", "iam:PassRole", "b/x", to_emr), [both])
    assert not is_allowed(Call("x", "iam:PassRole", "b/x", to_ec2), [both])
    with pytest.raises(ValueError, match="a denial with conditions"):
        Policy(_policy({**_allow("s3:*", "*", Condition=only_to[0]), "Effect": "Deny"}))


def test_a_denial_outweighs_what_another_policy_allows() -> None:
    policies = [Policy(_policy(_allow("s3:*", "*"))), Policy(_policy({**_allow("s3:*", f"{MINE}*"), "Effect": "Deny"}))]
    assert is_allowed(Call("x", "s3:PutObject", "arn:aws:s3:::sandbox/yours"), policies)
    assert not is_allowed(Call("x", "s3:PutObject", f"{MINE}x"), policies)


def test_mrjob_makes_roles_where_a_conf_names_none(clients: Clients) -> None:
    """And attaches policies of AWS's own to them."""
    iam = clients("iam")
    role = get_or_create_mrjob_service_role(iam)
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["AmazonElasticMapReduceRole"]
