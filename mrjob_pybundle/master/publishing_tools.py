"""What publish.py runs with on a master: the submitter's own botocore, where the bundle's Python runs it.

A build then needs no package index for itself, and what may write the cache is code that the submitter runs, too. On
older Pythons it is wheels from an index, of versions and digests that we name (``publishing/``).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from importlib import metadata, resources
from pathlib import Path

from packaging.specifiers import SpecifierSet

#: distribution → the package, or module, in it. All are Python alone.
_PACKAGES = {
    "botocore": "botocore",
    "s3transfer": "s3transfer",
    "jmespath": "jmespath",
    "python-dateutil": "dateutil",
    "six": "six",
    "urllib3": "urllib3",
}
#: What botocore knows of all others is most of it. STS: an instance's credentials may be those of a role to assume.
_SERVICES = ("s3", "sts")
#: Of all services.
_DATA = ("endpoints.", "partitions.", "sdk-default-configuration.", "_retry.")


def publishing_tools(python_version: str) -> Iterator[tuple[str, Path]]:
    """(name in ``inputs.tar.gz``, file): modules below ``tools/``, or ``tools.txt`` with what pip is to install."""
    if not all(_runs_on(name, python_version) for name in _PACKAGES):
        requirements = "python-2.7.txt" if python_version.startswith("2.7") else "python-3.txt"
        yield "tools.txt", Path(str(resources.files("mrjob_pybundle.master") / "publishing" / requirements))
        return
    for module in _PACKAGES.values():
        spec = importlib.util.find_spec(module)
        assert spec is not None, "botocore is one of our requirements"
        assert spec.origin is not None
        origin = Path(spec.origin)
        if origin.name != "__init__.py":
            yield f"tools/{origin.name}", origin
            continue
        for path in sorted(_files(origin.parent)):
            yield f"tools/{module}/{path.relative_to(origin.parent).as_posix()}", path


def _files(package: Path) -> Iterator[Path]:
    """Modules, certificates, and what is needed of botocore's data, hundreds of whose directories are passed over."""
    data = package / "data"
    for place, directories, names in os.walk(package):
        directory = Path(place)
        directories[:] = [name for name in directories if directory != data or name in _SERVICES]
        for name in names:
            is_data = data in directory.parents or (directory == data and name.startswith(_DATA))
            path = directory / name
            if (is_data or path.suffix in (".py", ".pem")) and path.is_file():
                yield path


def _runs_on(distribution: str, python_version: str) -> bool:
    try:
        required = metadata.distribution(distribution).metadata.get_all("Requires-Python", [])
    except metadata.PackageNotFoundError:
        return False
    return all(SpecifierSet(one).contains(python_version, prereleases=True) for one in required)
