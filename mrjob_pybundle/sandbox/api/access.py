"""Who may do what: IAM's policies and the owners of buckets, which moto's services take no notice of.

::

    access = Access()
    with Sandbox(directory, middleware=[access]) as sandbox:
        with access.restricted({"role-Nodes": [policy]}):
            ...
        assert Call("role-Nodes", "s3:PutObject", "arn:aws:s3:::sandbox/x") in access.refused

What an operation needs: "Required permissions for Amazon S3 API operations" in the Amazon S3 User Guide, and
"Actions, resources, and condition keys" of S3 and EMR in the Service Authorization Reference. Policies are judged by
moto's evaluator: of conditions it knows ``StringEquals`` alone.
"""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

from moto.iam.access_control import IAMPolicyStatement, PermissionResult

from mrjob_pybundle.sandbox.api.faults import ACCESS_DENIED, Exchange, Refuse
from mrjob_pybundle.sandbox.api.requests import Request, describe
from mrjob_pybundle.sandbox.api.server import Middleware, Wsgi

_CLUSTERS = "arn:aws:elasticmapreduce:us-east-1:123456789012:cluster/"
_ROLES = "arn:aws:iam::123456789012:role/"

_OBJECT_ACTIONS = {
    "HeadObject": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListParts": "ListMultipartUploadParts",
}
_BUCKET_ACTIONS = {
    "HeadBucket": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "GetBucketEncryption": "GetEncryptionConfiguration",
}
_ABOUT_NO_CLUSTER = ("RunJobFlow", "ListClusters")
_ENCRYPTION_HEADER = "x-amz-server-side-encryption"


@dataclass(frozen=True)
class Call:
    """An action, as IAM names it, that *principal* (an access key id) wants to do on the resource with that ARN."""

    principal: str
    action: str
    resource: str
    #: condition keys and values, as far as ours and the policies' interest goes
    context: tuple[tuple[str, str], ...] = ()


def calls(request: Request, environ: Mapping[str, Any], body: bytes) -> list[Call]:
    """What who sends *request* must be allowed, all of it."""
    if request.service == "s3":
        return _s3_calls(request, environ, body)
    if request.service == "elasticmapreduce":
        return _emr_calls(request, json.loads(body))
    if parse_qs(body).get(b"Action") == [b"GetCallerIdentity"]:
        return []  # nobody need be allowed, nor can be forbidden, to ask who they are (AWS STS API Reference)
    return [Call(request.access_key_id, f"{request.service or 'unknown'}:{request.operation}", "*")]


def _s3_calls(request: Request, environ: Mapping[str, Any], body: bytes) -> list[Call]:
    who, bucket = request.access_key_id, f"arn:aws:s3:::{request.bucket}"
    target = f"{bucket}/{request.key}"
    if request.operation == "ListBuckets":
        return [Call(who, "s3:ListAllMyBuckets", "*")]
    if request.operation == "DeleteObjects":
        names = [element.text for element in ElementTree.fromstring(body).iterfind(".//{*}Key")]
        return [Call(who, "s3:DeleteObject", f"{bucket}/{name}") for name in names]
    if not request.key:
        return [Call(who, f"s3:{_BUCKET_ACTIONS.get(request.operation, request.operation)}", bucket)]
    found = [Call(who, f"s3:{_OBJECT_ACTIONS.get(request.operation, request.operation)}", target, _encryption(environ))]
    if "HTTP_X_AMZ_COPY_SOURCE" in environ:
        source = unquote(environ["HTTP_X_AMZ_COPY_SOURCE"]).lstrip("/")
        found.append(Call(who, "s3:GetObject", f"arn:aws:s3:::{source}"))
    # "Enforce conditional writes" and "Enforce conditional deletes" in the Amazon S3 User Guide
    if "HTTP_IF_MATCH" in environ and environ["REQUEST_METHOD"] in ("PUT", "POST", "DELETE"):
        found.append(Call(who, "s3:GetObject", target))
    return found


def _encryption(environ: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    headers = {name.removeprefix("HTTP_").replace("_", "-").lower(): str(value) for name, value in environ.items()}
    return tuple((f"s3:{name}", headers[name]) for name in sorted(headers) if name.startswith(_ENCRYPTION_HEADER))


def _emr_calls(request: Request, parameters: Mapping[str, Any]) -> list[Call]:
    who, action = request.access_key_id, f"elasticmapreduce:{request.operation}"
    if request.operation in _ABOUT_NO_CLUSTER:
        passed = {"ServiceRole": "elasticmapreduce.amazonaws.com", "JobFlowRole": "ec2.amazonaws.com"}
        return [
            Call(who, action, "*"),
            *(
                Call(who, "iam:PassRole", _ROLES + parameters[name].split("/")[-1], (("iam:PassedToService", service),))
                for name, service in passed.items()
                if name in parameters
            ),
        ]
    named = [parameters[name] for name in ("ClusterId", "JobFlowId", "ResourceId") if name in parameters]
    clusters = [_CLUSTERS + cluster_id for cluster_id in [*named, *parameters.get("JobFlowIds", ())]]
    return [Call(who, action, resource) for resource in clusters or ["*"]]


class Policy:
    """A policy document, as JSON.

    :raises ValueError: it denies something on conditions, which can't be judged here.
    """

    def __init__(self, document: str) -> None:
        self._statements = json.loads(document)["Statement"]
        if any(statement["Effect"] == "Deny" and "Condition" in statement for statement in self._statements):
            raise ValueError(f"a denial with conditions: {document}")

    def verdict(self, call: Call) -> PermissionResult:
        """``PERMITTED``, ``DENIED``, or ``NEUTRAL`` where the policy says nothing of *call*."""
        verdicts = {_verdict(statement, call) for statement in self._statements}
        order = (PermissionResult.DENIED, PermissionResult.PERMITTED, PermissionResult.NEUTRAL)
        return next(verdict for verdict in order if verdict in verdicts)


def _verdict(statement: Mapping[str, Any], call: Call) -> PermissionResult:
    # What moto takes for patterns are regular expressions, but for `*`.
    escaped = {element: [_escaped(value) for value in _list(statement[element])] for element in ("Action", "Resource")}
    verdict = IAMPolicyStatement({**statement, **escaped}).is_action_permitted(
        call.action, call.resource, incoming_condition_values=dict(call.context)
    )
    # For moto, it is a denial when a permission's conditions aren't met.
    if statement["Effect"] == "Allow" and verdict is PermissionResult.DENIED:
        return PermissionResult.NEUTRAL
    return verdict


def _escaped(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*", "*")


def _list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def is_allowed(call: Call, policies: Iterable[Policy]) -> bool:
    """Do *policies* together allow *call*?"""
    verdicts = {policy.verdict(call) for policy in policies}
    return PermissionResult.PERMITTED in verdicts and PermissionResult.DENIED not in verdicts


class Access:
    """WSGI middleware that writes down what requests need, and refuses principals that are :meth:`restricted`."""

    def __init__(self) -> None:
        #: all that anybody did, each kind once
        self.calls: set[Call] = set()
        #: and what was refused
        self.refused: set[Call] = set()
        self._policies: dict[str, list[Policy]] = {}

    @contextmanager
    def restricted(self, policies: Mapping[str, Sequence[str]]) -> Iterator[None]:
        """Allow the principals in *policies* what their policy documents allow. All others may do what they like."""
        self._policies = {who: [Policy(document) for document in given] for who, given in policies.items()}
        try:
            yield
        finally:
            self._policies = {}

    def __call__(self, application: Wsgi) -> Wsgi:
        def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            request = describe(environ)
            exchange = Exchange(request, application, environ, start_response, random.Random())
            for call in calls(request, environ, _read_parameters(request, environ)):
                if not self._may(call):
                    return _refusal(request, call).strike(exchange)
            if request.operation not in ("GetObject", "HeadObject"):
                return exchange.proceed()
            executed = exchange.execute()
            # That an object does not exist is told only to those who may list.
            listing = Call(request.access_key_id, "s3:ListBucket", f"arn:aws:s3:::{request.bucket}")
            if executed.status.startswith("404") and not self._may(listing):
                return _refusal(request, listing).strike(exchange)
            return exchange.send(executed)

        return answer

    def _may(self, call: Call) -> bool:
        policies = self._policies.get(call.principal)
        allowed = policies is None or is_allowed(call, policies)
        (self.calls if allowed else self.refused).add(call)
        return allowed


def _read_parameters(request: Request, environ: dict[str, Any]) -> bytes:
    """The body of a request that says in it what it is about."""
    if request.service == "s3" and request.operation != "DeleteObjects":
        return b""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _refusal(request: Request, call: Call) -> Refuse:
    message = f"User: {call.principal} is not authorized to perform: {call.action} on resource: {call.resource}"
    if request.service == "s3":
        return Refuse(403, "AccessDenied", message)
    return Refuse(400, "AccessDeniedException", message)


def bucket_owner(account_id: str) -> Middleware:
    """WSGI middleware that refuses requests to S3 which expect its buckets to belong to another account.

    See "Verifying bucket ownership with bucket owner condition" in the Amazon S3 User Guide.
    """

    def middleware(application: Wsgi) -> Wsgi:
        def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if environ.get("HTTP_X_AMZ_EXPECTED_BUCKET_OWNER", account_id) == account_id:
                return application(environ, start_response)
            exchange = Exchange(describe(environ), application, environ, start_response, random.Random())
            return ACCESS_DENIED.strike(exchange)

        return answer

    return middleware
