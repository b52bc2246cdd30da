"""A resident AWS CLI: awscli's own code, imported once, of which each call of ``aws`` on a node is a fork.

Starting the AWS CLI takes half a second of a processor, and what runs on nodes calls it dozens of times. Here, ``aws``
on a node is a small client (``bin/aws_client.py``), which sends its arguments, its environment, its working directory
and its standard streams through a socket. The resident (``bin/aws_resident.py``) forks, and the fork joins the client's
namespaces: it sees that node's files, is one of that node's processes, and ends with the node, or with the client.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from mrjob_pybundle.sandbox.machines.nodes import awscli_directory, own_file, write_executable
from mrjob_pybundle.templates import render_text

_SOCKET = "aws.socket"


class ResidentAws:
    """The resident AWS CLI, from :meth:`start` to :meth:`stop`; ``aws`` in *directory* calls it.

    awscli is imported when the first call comes.

    :raises NodeError: it is not installed.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._site = awscli_directory()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        client, resident = (self.directory / name for name in ("aws_client.py", "aws_resident.py"))
        for name in (f"bin/{client.name}", f"bin/{resident.name}", "botocore_data.py"):
            (self.directory / Path(name).name).write_text(own_file(name), encoding="utf-8")
        values = {"PYTHON": sys.executable, "CLIENT": str(client), "SOCKET": str(self.directory / _SOCKET)}
        write_executable(self.directory / "aws", render_text(own_file("bin/aws.sh.tmpl"), values))
        with self._listen() as listener:
            self._process = subprocess.Popen(
                # -S: as in bin/aws-itself.sh.tmpl
                [sys.executable, "-S", str(resident), str(listener.fileno())],
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(self._site)},
                pass_fds=[listener.fileno()],
                # Ends with it, also if we are killed.
                stdin=subprocess.PIPE,
                start_new_session=True,
            )

    def _listen(self) -> socket.socket:
        (self.directory / _SOCKET).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The address of a socket has little room for long paths.
        place = os.open(self.directory, os.O_PATH)
        try:
            listener.bind(f"/proc/self/fd/{place}/{_SOCKET}")
        finally:
            os.close(place)
        listener.listen(128)
        return listener

    def stop(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
