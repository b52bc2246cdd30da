"""A way to AWS that only the submitter takes, and that somebody can pull the plug of."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit


class Plug:
    """A proxy on loopback for what is at *endpoint*. While it is pulled, it has no connections and takes none."""

    def __init__(self, endpoint: str) -> None:
        target = urlsplit(endpoint)
        self._target = (str(target.hostname), int(target.port or 0))
        self._address = ("127.0.0.1", 0)
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._listener: socket.socket | None = None

    def __enter__(self) -> Plug:
        self.put_back()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.pull()

    @property
    def endpoint(self) -> str:
        """What the submitter is told to ask."""
        return f"http://{self._address[0]}:{self._address[1]}"

    def put_back(self) -> None:
        """Let connections through (again)."""
        listener = socket.create_server(self._address, reuse_port=False)
        self._address = listener.getsockname()
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def pull(self) -> None:
        """End all connections; refuse new ones."""
        with self._lock:
            listener, self._listener = self._listener, None
            ended = [*self._connections, *([listener] if listener else [])]
            self._connections.clear()
        for one in ended:
            _end(one)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return  # pulled
            far = socket.create_connection(self._target)
            with self._lock:
                is_in = self._listener is listener
                if is_in:
                    self._connections |= {near, far}
            if is_in:
                threading.Thread(target=self._carry, args=(near, far), daemon=True).start()
            else:
                _end(near)
                _end(far)

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            try:
                selector.register(near, selectors.EVENT_READ, far)
                selector.register(far, selectors.EVENT_READ, near)
                while True:
                    for key, _ in selector.select():
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not data:
                            return
                        key.data.sendall(data)
            except (OSError, ValueError):
                return  # one side has gone, or the plug was pulled
            finally:
                with self._lock:
                    self._connections -= {near, far}
                _end(near)
                _end(far)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it had ended already
        one.shutdown(socket.SHUT_RDWR)
    one.close()
