"""The resident AWS CLI: usage: FILE_DESCRIPTOR_OF_LISTENING_SOCKET. See ``resident_aws.py``.

A program that has one thread and imports nothing of the sandbox, since it forks.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import struct
import sys
import traceback
from pathlib import Path
from typing import TypedDict

from botocore_data import keep


class Call(TypedDict):
    """What a client asks for."""

    arguments: list[str]
    environment: dict[str, str]
    umask: int
    #: signals that the client ignores
    ignored: list[int]


def _serve(listener: socket.socket) -> None:
    """Fork for every call, until standard input ends."""
    has_awscli = False
    while True:
        readable, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in readable:
            return
        if not has_awscli:
            _import_awscli()
            # Forks share these pages as long as nobody counts what is on them.
            gc.freeze()
            has_awscli = True
        client, _ = listener.accept()
        with client:
            if os.fork() == 0:
                listener.close()
                _attend(client)
        _forget_who_has_ended()


def _forget_who_has_ended() -> None:
    with contextlib.suppress(ChildProcessError):  # all have
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _import_awscli() -> None:
    """Import what calls use, by a call that gets nowhere."""
    from awscli.clidriver import main

    _keep_what_is_read()
    sys.argv = ["aws", "s3", "cp", "s3://no-bucket/x", "-"]
    # Nothing listens on port 0.
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:0", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    before = dict(os.environ)
    os.environ.update(nowhere, AWS_MAX_ATTEMPTS="1", AWS_DEFAULT_REGION="us-east-1", AWS_CONFIG_FILE=os.devnull)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        main()
    os.environ.clear()
    os.environ.update(before)


def _keep_what_is_read() -> None:
    """Of what awscli and its botocore know of AWS: forks need not read what a call before the fork has."""
    loaders = sys.modules.get("awscli.botocore.loaders") or sys.modules["botocore.loaders"]
    directories = tuple(str(Path(str(module.__file__)).parent) for module in (sys.modules["awscli"], loaders))
    keep(loaders, directories)


def _attend(client: socket.socket) -> None:
    """In a fork of the resident: run the client's call, in a fork of ours on the client's node. Never returns."""
    try:
        header, descriptors = _receive_exactly(client, 8)
        message, _ = _receive_exactly(client, int.from_bytes(header, "big"))
        call: Call = json.loads(message)
        pid, uid, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid != os.geteuid():
            os._exit(1)
        _join(pid, "user")
        _join(pid, "pid")
        # Ends when the call does, however that is.
        running, held = os.pipe()
        child = os.fork()
        if child == 0:
            client.close()
            os.close(running)
            _run(call, pid, descriptors)
        os.close(held)
        for descriptor in descriptors:
            os.close(descriptor)
        _pass_signals_on(client, child, running)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(OSError):  # the client has gone
            client.sendall(bytes([max(code, 0), max(-code, 0)]))
    except (EOFError, ConnectionError):
        pass  # the client has gone
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(0)


def _receive_exactly(client: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """So many bytes, and the file descriptors that came with them."""
    data = b""
    descriptors = array.array("i")
    while len(data) < size:
        chunk, found, _, _ = socket.recv_fds(client, size - len(data), 4)
        if not chunk:
            raise EOFError
        data += chunk
        descriptors.extend(found)
    return data, list(descriptors)


def _pass_signals_on(client: socket.socket, child: int, running: int) -> None:
    """Until the call has ended: the client sends the numbers of signals, and when it has gone, the call has to."""
    watched: list[socket.socket | int] = [client, running]
    while True:
        readable, _, _ = select.select(watched, [], [])
        if running in readable:
            return
        numbers = client.recv(64)
        for number in numbers or [signal.SIGKILL]:
            os.kill(child, number)
        if not numbers:
            watched.remove(client)


def _join(pid: int, kind: str) -> None:
    """Join a namespace of the process *pid*: ``user``, ``mnt``, or, for what we fork, ``pid``."""
    place = Path(f"/proc/{pid}/ns/{kind}")
    if place.readlink() == Path(f"/proc/self/ns/{kind}").readlink():
        return
    descriptor = os.open(place, os.O_RDONLY)
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(place))
    os.close(descriptor)


def _run(call: Call, pid: int, descriptors: list[int]) -> None:
    """Run the call as awscli's own main program does; never returns."""
    exit_status = 1
    try:
        os.setsid()
        _join(pid, "mnt")
        here, *streams = descriptors
        os.fchdir(here)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for descriptor in descriptors:
            os.close(descriptor)
        os.umask(call["umask"])
        _heed_signals(call["ignored"])
        os.environ.clear()
        os.environ.update(call["environment"])
        sys.argv = ["aws", *call["arguments"]]
        exit_status = _exit_status()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(exit_status)


def _heed_signals(ignored: list[int]) -> None:
    """As Python does when it starts, whatever is ignored here."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


def _exit_status() -> int:
    import awscli
    from awscli.clidriver import main

    # It adds its own data to the environment's AWS_DATA_PATH.
    importlib.reload(awscli)

    try:
        return main() or 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
