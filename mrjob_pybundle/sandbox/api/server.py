"""The AWS services of the sandbox, behind one HTTP endpoint on this machine's loopback."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]
Middleware = Callable[[Wsgi], Wsgi]


class Server:
    """moto's services on 127.0.0.1, at a free port.

    *after_change* is called after every request that may have changed S3, before the client gets its answer;
    *after_emr* after every request to EMR. *middleware*, outermost first, stands between the services and
    whoever asks them.
    """

    def __init__(
        self, after_change: Callable[[], None], after_emr: Callable[[str], None], middleware: Sequence[Middleware] = ()
    ) -> None:
        application: Wsgi = _Gate(DomainDispatcherApplication(create_backend_app), after_change, after_emr)
        for wrap in reversed(middleware):
            application = wrap(application)
        self._server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_QuietHandler)
        self.endpoint = f"http://127.0.0.1:{self._server.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="aws", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _QuietHandler(MotoRequestHandler):
    def log_request(self, *_: Any) -> None:
        """A request is no news; errors are still logged."""


class _Gate:
    """Lets changes to S3 through one at a time.

    moto checks ``If-None-Match`` and ``If-Match`` and writes in two steps; two clients at once could both be
    told that they created an object, which S3 never does.
    """

    def __init__(self, application: Wsgi, after_change: Callable[[], None], after_emr: Callable[[str], None]) -> None:
        self._application = application
        self._after_change = after_change
        self._after_emr = after_emr
        self._changes = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if target.startswith("ElasticMapReduce."):
            answer = list(self._application(environ, start_response))
            self._after_emr(target.partition(".")[2])
            return answer
        if environ["REQUEST_METHOD"] in ("GET", "HEAD") or target:
            return self._application(environ, start_response)
        _read_body(environ)
        with self._changes:
            answer = list(self._application(environ, start_response))
            self._after_change()
        return answer


def _read_body(environ: dict[str, Any]) -> None:
    """Receive the request's body now, so that a slow client holds up nobody once it is its turn."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length:
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
