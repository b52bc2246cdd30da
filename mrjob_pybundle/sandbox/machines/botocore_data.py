"""What botocore knows of AWS, megabytes of JSON: read once by a process and its forks, not for each client.

Imports nothing of ours: the resident AWS CLI, which is not the sandbox's process, has a copy of this file.
"""

from __future__ import annotations

import functools
import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any


@functools.cache
def read_once() -> None:
    """Have the botocore of this process, boto3's and moto's, :func:`keep` what it reads.

    But not what moto reads: it adds operations of its own to that, which no client is to have.
    """
    loaders, moto = importlib.import_module("botocore.loaders"), importlib.import_module("moto.core.loaders")
    its_own = {"load_file": loaders.JSONFileLoader.load_file}
    moto.Loader.FILE_LOADER_CLASS = type("Unshared", (loaders.JSONFileLoader,), its_own)
    packages = (importlib.import_module(name) for name in ("botocore", "boto3", "moto"))
    keep(loaders, tuple(str(Path(str(package.__file__)).parent) for package in packages))


def keep(loaders: ModuleType, directories: tuple[str, ...]) -> None:
    """Let *loaders*, a ``botocore.loaders``, keep what it reads below *directories*, and lists if it looks only there.

    Other files, such as those in ``~/.aws/models``, may have changed, or be another node's, when they are read again.
    """
    below = tuple(f"{directory}{os.sep}" for directory in directories)
    read, list_services = loaders.JSONFileLoader.load_file, loaders.Loader.list_available_services
    contents: dict[str, Any] = {}
    services: dict[tuple[str, ...], Any] = {}

    def load_file(self: object, file_path: str) -> Any:
        if not file_path.startswith(below):
            return read(self, file_path)
        if file_path not in contents:
            contents[file_path] = read(self, file_path)
        return contents[file_path]

    def list_available_services(self: Any, type_name: str) -> Any:
        # Of what lies in a home that may not be read, this says, as botocore does, that it is not there.
        places = [place for place in self.search_paths if os.path.lexists(place)]
        if not all(f"{place}{os.sep}".startswith(below) for place in places):
            return list_services(self, type_name)
        known = (type_name, *places)
        if known not in services:
            services[known] = list_services(self, type_name)
        return list(services[known])

    loaders.JSONFileLoader.load_file = load_file
    loaders.Loader.list_available_services = list_available_services
