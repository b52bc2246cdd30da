"""What a build cluster is given besides its script: ``inputs.tar.gz``.

``venv-build.sh``, ``files/`` (the build files), the submitter's mrjob as a wheel, the hook that lets it import on
newer Pythons, and the programs that build-binaries.sh runs under the Python it has compiled (``master/``).
"""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from importlib import metadata, resources
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(venv_build: Path | None, build_files: Mapping[str, Path]) -> bytes:
    """The bytes of ``inputs.tar.gz``. *build_files*: name below ``files/`` → file."""
    programs = Path(str(resources.files("mrjob_pybundle.master").joinpath("programs")))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6) as tar:
        if venv_build is not None:
            _add(tar, "venv-build.sh", venv_build.read_bytes(), executable=True)
        for name, path in build_files.items():
            _add(tar, f"files/{name}", path.read_bytes(), executable=bool(path.stat().st_mode & 0o100))
        wheel_name, wheel = mrjob_wheel()
        _add(tar, wheel_name, wheel)
        for name in ("mrjob_pybundle_hook.py", "mrjob_pybundle_hook.pth"):
            _add(tar, name, hook_file(name))
        for path in sorted(programs.glob("*.py")):
            _add(tar, f"master/{path.name}", path.read_bytes())
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, executable: bool = False) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o755 if executable else 0o644
    tar.addfile(member, io.BytesIO(content))


def hook_file(name: str) -> bytes:
    """One of the two files of our hook."""
    import mrjob_pybundle_hook

    return Path(mrjob_pybundle_hook.__file__).with_name(name).read_bytes()


def mrjob_package() -> tuple[str, Path]:
    """Version and directory of the submitter's mrjob."""
    import mrjob

    return str(mrjob.__version__), Path(mrjob.__file__).parent


def mrjob_wheel() -> tuple[str, bytes]:
    """Name and bytes of a wheel of the submitter's mrjob: what runs at the submitter is what tasks run.

    The format is that of PEP 427. Its metadata is that of the submitter's installation, if there is any.
    """
    version, package = mrjob_package()
    info = f"mrjob-{version}.dist-info"
    members = {
        f"mrjob/{path.relative_to(package).as_posix()}": path.read_bytes() for path in sorted(package.rglob("*.py"))
    }
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
