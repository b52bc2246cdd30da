"""EMR of several regions, in front of a sandbox that has one: who signs for a region meets clusters of that alone."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from mrjob_pybundle.sandbox.api.requests import describe
from mrjob_pybundle.sandbox.api.server import Wsgi

HOME, ELSEWHERE = "us-east-1", "eu-west-1"

_SCOPE = re.compile(r"Credential=[^/,\s]+/\d+/([^/]+)/")
_CLUSTER_ID = re.compile(rb'"(?:ClusterId|JobFlowId)": ?"(j-\w+)"')


class Regions:
    """The middleware. *observer* is an access key id that meets them all."""

    def __init__(self, observer: str) -> None:
        self._observer = observer
        self._elsewhere: set[str] = set()

    def __call__(self, application: Wsgi) -> Wsgi:
        def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            request = describe(environ)
            if request.service != "elasticmapreduce" or request.access_key_id == self._observer:
                return application(environ, start_response)
            scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
            region = ELSEWHERE if scope and scope[1] == ELSEWHERE else HOME
            asked = self._asked_for(environ)
            if asked and (asked in self._elsewhere) != (region == ELSEWHERE):
                return _unknown(asked, start_response)
            return self._of_region(region, request.operation, application, environ, start_response)

        return answer

    @staticmethod
    def _asked_for(environ: dict[str, Any]) -> str:
        """The id of the cluster that a request is about, ``""`` if it names none."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        found = _CLUSTER_ID.search(body)
        return found[1].decode() if found else ""

    def _of_region(
        self,
        region: str,
        operation: str,
        application: Wsgi,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
    ) -> list[bytes]:
        begun: list[Any] = []
        body = b"".join(application(environ, lambda *head: begun.append(head)))
        status, headers = begun[-1][:2]
        if operation == "RunJobFlow" and region == ELSEWHERE and status.startswith("200"):
            self._elsewhere.add(json.loads(body)["JobFlowId"])
        if operation == "ListClusters" and status.startswith("200"):
            listing = json.loads(body)
            is_elsewhere = region == ELSEWHERE
            listing["Clusters"] = [c for c in listing["Clusters"] if (c["Id"] in self._elsewhere) == is_elsewhere]
            body = json.dumps(listing).encode()
        body = body.replace(f":elasticmapreduce:{HOME}:".encode(), f":elasticmapreduce:{region}:".encode())
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(body)))])
        return [body]


def _unknown(cluster_id: str, start_response: Callable[..., Any]) -> list[bytes]:
    said = {"__type": "InvalidRequestException", "message": f"Cluster id '{cluster_id}' is not valid."}
    body = json.dumps(said).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
    start_response("400 Bad Request", headers)
    return [body]
