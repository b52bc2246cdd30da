"""AWS on a bad day: WSGI middleware that does damage, by rules, to what goes over the sandbox's HTTP.

::

    faults = Faults()
    with Sandbox(directory, middleware=[faults]) as sandbox:
        with faults.injected(Rule("PutObject", SLOW_DOWN, key="*/claims/*", times=2)) as strikes:
            ...
        assert len(strikes) == 2

Clients meet what they would meet on AWS: error answers, connections that end without one, bodies that end early.
How S3 and EMR word their errors: "Error responses" in the Amazon S3 API Reference, "Common Error Types" in the
Amazon EMR API Reference.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any, NoReturn, Protocol
from xml.sax.saxutils import escape

from mrjob_pybundle.sandbox.api.requests import Request, describe
from mrjob_pybundle.sandbox.api.server import Wsgi

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. *status* is as WSGI has it: ``200 OK``."""

    status: str
    headers: Headers
    body: bytes

    def with_body(self, body: bytes) -> Answer:
        """This answer with another body, and the ``Content-Length`` of that."""
        kept = [(name, value) for name, value in self.headers if name.lower() != "content-length"]
        return Answer(self.status, [*kept, ("Content-Length", str(len(body)))], body)


@dataclass(frozen=True)
class Exchange:
    """A request that a fault has struck, and what can be done with it."""

    request: Request
    application: Wsgi
    environ: dict[str, Any]
    start_response: Callable[..., Any]
    dice: random.Random

    def proceed(self) -> Iterable[bytes]:
        """What would have happened without a fault."""
        return self.application(self.environ, self.start_response)

    def execute(self) -> Answer:
        """Have the request carried out, and keep the answer from the client."""
        begun: list[tuple[str, Headers]] = []

        def start_response(status: str, headers: Headers, _: Any = None) -> None:
            begun.append((status, headers))

        body = b"".join(self.application(self.environ, start_response))
        status, headers = begun[-1]
        return Answer(status, headers, body)

    def send(self, answer: Answer, pieces: Iterable[bytes] | None = None) -> Iterable[bytes]:
        """Give the client *answer*; its body as *pieces*, if they are given."""
        self.start_response(answer.status, answer.headers)
        return [answer.body] if pieces is None else pieces

    def hang_up(self) -> NoReturn:
        """Close the connection."""
        self.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        # What has come and was not read would be taken for another request.
        self.environ["wsgi.input"].read(int(self.environ.get("CONTENT_LENGTH") or 0))
        raise ConnectionAbortedError("a fault")  # which the server takes for a client that has gone


class Fault(Protocol):
    """Something that can befall a request."""

    def strike(self, exchange: Exchange) -> Iterable[bytes]:
        """Deal with the request. Returns the body of the answer, like a WSGI application."""


@dataclass(frozen=True)
class Refuse:
    """Answer with an error, and carry nothing out."""

    status: int
    code: str
    message: str

    def strike(self, exchange: Exchange) -> Iterable[bytes]:
        if exchange.request.service == "s3":
            text = f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message></Error>"
            content_type, body = "application/xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
        else:
            content_type = "application/x-amz-json-1.1"
            body = json.dumps({"__type": self.code, "message": self.message}).encode()
        status = f"{self.status} {HTTPStatus(self.status).phrase}"
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        is_head = exchange.environ["REQUEST_METHOD"] == "HEAD"
        return exchange.send(Answer(status, headers, b"" if is_head else body))


#: S3 has enough of us
SLOW_DOWN = Refuse(503, "SlowDown", "Please reduce your request rate.")
INTERNAL_ERROR = Refuse(500, "InternalError", "We encountered an internal error. Please try again.")
ACCESS_DENIED = Refuse(403, "AccessDenied", "Access Denied")
#: S3's answer to conditional writes of one key at the same time
CONFLICT = Refuse(
    409, "ConditionalRequestConflict", "The conditional request cannot succeed due to a conflicting operation."
)
#: EMR has enough of us
THROTTLED = Refuse(400, "ThrottlingException", "Rate exceeded")
INTERNAL_SERVER_ERROR = Refuse(500, "InternalServerError", "Internal failure")
ACCESS_DENIED_BY_EMR = Refuse(400, "AccessDeniedException", "User is not authorized to perform this operation")


@dataclass(frozen=True)
class HangUp:
    """Close the connection, and carry nothing out."""

    def strike(self, exchange: Exchange) -> Iterable[bytes]:
        exchange.hang_up()


class LoseNetwork:
    """From the first request that is struck, close each client's connections for so many *seconds*; then proceed.

    Give it a rule that is about all requests of a client, and without an end.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._back_at: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"LoseNetwork(seconds={self.seconds})"

    def strike(self, exchange: Exchange) -> Iterable[bytes]:
        now = time.monotonic()
        if now < self._back_at.setdefault(exchange.request.access_key_id, now + self.seconds):
            exchange.hang_up()
        return exchange.proceed()


@dataclass(frozen=True)
class LoseAnswer:
    """Carry the request out, and close the connection without a word: the client cannot know."""

    def strike(self, exchange: Exchange) -> Iterable[bytes]:
        exchange.execute()
        exchange.hang_up()


@dataclass(frozen=True)
class CutShort:
    """Close the connection after a *share* of the answer's body, whose declared length stays."""

    share: float = 0.5

    def strike(self, exchange: Exchange) -> Iterable[bytes]:
        answer = exchange.execute()

        def pieces() -> Iterator[bytes]:
            yield answer.body[: int(len(answer.body) * self.share)]
            exchange.hang_up()

        return exchange.send(answer, pieces())


@dataclass(frozen=True)
class FlipBits:
    """Deliver the answer with so many *bits* of its body turned round, wherever the dice say."""

    bits: int = 1

    def strike(self, exchange: Exchange) -> Iterable[bytes]:
        answer = exchange.execute()
        return exchange.send(answer.with_body(flipped(answer.body, exchange.dice, self.bits)))


@dataclass(frozen=True)
class Delay:
    """Let the request wait before it is carried out."""

    seconds: float

    def strike(self, exchange: Exchange) -> Iterable[bytes]:
        time.sleep(self.seconds)
        return exchange.proceed()


@dataclass(frozen=True)
class Drip:
    """Deliver the answer's body in small pieces that take so many *seconds* together."""

    seconds: float
    pieces: int = 20

    def strike(self, exchange: Exchange) -> Iterable[bytes]:
        answer = exchange.execute()
        step = len(answer.body) // self.pieces + 1

        def pieces() -> Iterator[bytes]:
            for start in range(0, len(answer.body), step):
                time.sleep(self.seconds / self.pieces)
                yield answer.body[start : start + step]

        return exchange.send(answer, pieces())


@dataclass(frozen=True)
class Hide:
    """ListClusters does not know of clusters with a *name* like that yet. (Other operations: no effect.)"""

    name: str = "*"

    def strike(self, exchange: Exchange) -> Iterable[bytes]:
        answer = exchange.execute()
        if exchange.request.operation != "ListClusters":
            return exchange.send(answer)
        listing = json.loads(answer.body)
        listing["Clusters"] = [c for c in listing["Clusters"] if not fnmatchcase(c["Name"], self.name)]
        return exchange.send(answer.with_body(json.dumps(listing).encode()))


@dataclass(frozen=True)
class Do:
    """Call *function* with the request before it is carried out, or *after*, before the client has the answer.

    For faults that are none of HTTP's: a process that is killed just then.
    """

    function: Callable[[Request], object]
    after: bool = False

    def strike(self, exchange: Exchange) -> Iterable[bytes]:
        if not self.after:
            self.function(exchange.request)
            return exchange.proceed()
        answer = exchange.execute()
        self.function(exchange.request)
        return exchange.send(answer)


@dataclass(frozen=True)
class Rule:
    """Which requests *fault* strikes.

    *operation*, *key* (of S3 objects: ``bucket/key``) and *who* (access key id) are patterns of :mod:`fnmatch`.
    Of the requests that match, the first so many (*after*) pass, then up to *times* are struck, ``None``: all; each
    with that *chance*.
    """

    operation: str
    fault: Fault
    key: str = "*"
    who: str = "*"
    #: only writes with ``If-Match`` or ``If-None-Match``
    conditional: bool = False
    after: int = 0
    times: int | None = None
    chance: float = 1.0

    def matches(self, request: Request, environ: dict[str, Any]) -> bool:
        """Whether *request* is one of those that the rule is about."""
        return (
            fnmatchcase(request.operation, self.operation)
            and fnmatchcase(f"{request.bucket}/{request.key}", self.key)
            and fnmatchcase(request.access_key_id, self.who)
            and (not self.conditional or "HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ)
        )


@dataclass(frozen=True)
class Strike:
    """A request that was struck, and by what."""

    rule: Rule
    request: Request


@dataclass
class _Injection:
    """Rules while they are in force. *passed* and *struck* count, for each rule, what it has let through and hit."""

    rules: Sequence[Rule]
    dice: random.Random
    strikes: list[Strike] = field(default_factory=list)
    passed: dict[int, int] = field(default_factory=dict)
    struck: dict[int, int] = field(default_factory=dict)

    def rule_for(self, request: Request, environ: dict[str, Any]) -> Rule | None:
        for number, rule in enumerate(self.rules):
            if not rule.matches(request, environ):
                continue
            passed, struck = self.passed.get(number, 0), self.struck.get(number, 0)
            if passed < rule.after:
                self.passed[number] = passed + 1
            elif (rule.times is None or struck < rule.times) and self.dice.random() < rule.chance:
                self.struck[number] = struck + 1
                self.strikes.append(Strike(rule, request))
                return rule
        return None


class Faults:
    """The middleware. Without rules it lets everything through."""

    def __init__(self) -> None:
        self._injections: list[_Injection] = []
        self._lock = threading.Lock()

    def __call__(self, application: Wsgi) -> Wsgi:
        def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            request = describe(environ)
            with self._lock:
                found = ((i.rule_for(request, environ), i.dice) for i in self._injections)
                rule, dice = next(((rule, dice) for rule, dice in found if rule), (None, None))
            if rule is None or dice is None:
                return application(environ, start_response)
            return rule.fault.strike(Exchange(request, application, environ, start_response, dice))

        return answer

    @contextmanager
    def injected(self, *rules: Rule, seed: int = 0) -> Iterator[list[Strike]]:
        """Put *rules* in force, and give the growing list of what they strike; of several, the first that fits.

        *seed* is for chances and for which bits are flipped. Several clients at once get the dice in the order in which
        their requests arrive.
        """
        injection = _Injection(rules, random.Random(seed))
        with self._lock:
            self._injections.append(injection)
        try:
            yield injection.strikes
        finally:
            with self._lock:
                self._injections.remove(injection)


def flipped(content: bytes, dice: random.Random, bits: int = 1) -> bytes:
    """*content* with so many *bits* of it turned round; nothing can be flipped in nothing."""
    damaged = bytearray(content)
    for position in dice.sample(range(len(content) * 8), min(bits, len(content) * 8)):
        damaged[position // 8] ^= 1 << position % 8
    return bytes(damaged)


def damage_stored(s3_client: Any, bucket: str, key: str, dice: random.Random, bits: int = 1) -> None:
    """Replace an object with a copy that has so many *bits* turned round: the bucket itself is wrong, not the way."""
    content = s3_client.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3_client.put_object(Bucket=bucket, Key=key, Body=flipped(content, dice, bits))
