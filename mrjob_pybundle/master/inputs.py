"""What a build cluster is given besides its script: ``inputs.tar.gz``.

``venv-build.sh``, ``files/`` (the build files), the submitter's mrjob as a wheel, the hook that lets it import on
newer Pythons, the programs that build-binaries.sh runs under the Python it has compiled (``master/``), and what they
publish with (``tools/`` or ``tools.txt``: :mod:`.publishing_tools`).
"""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from importlib import metadata, resources
from pathlib import Path
from typing import BinaryIO

from mrjob_pybundle.bundle.files import InputFile
from mrjob_pybundle.bundle.inputs import Inputs, Package
from mrjob_pybundle.master.publishing_tools import publishing_tools

_EPOCH = (1980, 1, 1, 0, 0, 0)
#: A time of modification that zip can hold, which begins with 1980, wherever on earth it is written: what installs a
#: local project packs its files into a wheel.
_MTIME = 315619200


def pack(inputs: Inputs, into: BinaryIO) -> str:
    """Write ``inputs.tar.gz``, and return its sha256. Of the user's, it has what the keys were made from, and no more.

    :raises BuildError: a file has changed since.
    """
    programs = Path(str(resources.files("mrjob_pybundle.master").joinpath("programs")))
    with tarfile.open(fileobj=into, mode="w:gz", compresslevel=6) as tar:
        if inputs.venv_build is not None:
            _add_file(tar, "venv-build.sh", inputs.venv_build, executable=True)
        for name, file in inputs.build_files.items():
            _add_file(tar, f"files/{name}", file, file.executable)
        wheel_name, wheel = mrjob_wheel(inputs.mrjob)
        _add(tar, wheel_name, wheel)
        for name, file in inputs.hook.files.items():
            _add(tar, name, file.read())
        for path in sorted(programs.glob("*.py")):
            _add(tar, f"master/{path.name}", path.read_bytes())
        for name, path in publishing_tools(inputs.source.version):
            _add(tar, name, path.read_bytes())
    into.seek(0)
    digest = hashlib.sha256()
    while block := into.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_member(name, len(content), 0o644), io.BytesIO(content))


def _add_file(tar: tarfile.TarFile, name: str, file: InputFile, executable: bool) -> None:
    with file.opened() as content:
        tar.addfile(_member(name, file.size, 0o755 if executable else 0o644), content)


def _member(name: str, size: int, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, mode, _MTIME
    return member


def mrjob_wheel(package: Package) -> tuple[str, bytes]:
    """Name and bytes of a wheel of the submitter's mrjob: what runs at the submitter is what tasks run.

    The format is that of PEP 427. Its metadata is that of the submitter's installation, if there is any.

    :raises BuildError: one of its modules has changed.
    """
    version = package.version
    info = f"mrjob-{version}.dist-info"
    members = {f"mrjob/{name}": file.read() for name, file in package.modules.items()}
    members[f"{info}/METADATA"] = _mrjob_metadata(version).encode("utf-8")
    members[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: mrjob-pybundle\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n"
    )
    record = "".join(f"{name},{_record_digest(content)},{len(content)}\n" for name, content in members.items())
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in members.items():
            wheel.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return f"mrjob-{version}-py2.py3-none-any.whl", buffer.getvalue()


def _mrjob_metadata(version: str) -> str:
    try:
        text = metadata.distribution("mrjob").read_text("METADATA")
    except metadata.PackageNotFoundError:
        text = None
    return text or f"Metadata-Version: 2.1\nName: mrjob\nVersion: {version}\n"


def _record_digest(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode("ascii")
    return f"sha256={digest}"
