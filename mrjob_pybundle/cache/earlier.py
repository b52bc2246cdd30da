"""Earlier builds: how long the latest one took that is like one that is to be made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from mrjob_pybundle.bundle.spec import BundleSpec, PythonSpec
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.cache.inventory import Manifest
from mrjob_pybundle.cache.store import StoredObject

#: What one request lists (ListObjectsV2 in the Amazon S3 API Reference). Of a larger cache, these will do.
_LISTED = 1000

#: So many manifests of each kind are read at most, the latest.
_READ = 2


@dataclass(frozen=True)
class Earlier:
    """What manifests tell of builds that were like one. Empty where none was."""

    #: stage → seconds
    stages: Mapping[str, float]
    #: until the master's first word; ``None`` if that cannot be told
    waited: float | None
    #: whether the new build will compile Python, as far as the cache tells
    compiles: bool


def latest_like(spec: BundleSpec, cache: Cache, *, rebuild: bool = False) -> Earlier:
    """How long builds took that were like that of *spec*: on the same Python, else on one of its version and kind.

    Two or three small requests if one of the latest bundles is on the same Python, six at most.

    :raises CacheError: S3 said no.
    """
    bundles = list(_latest(layout.VENV, _listed(layout.VENV, cache), cache))
    on_same = [manifest for manifest in bundles if manifest.python_key == spec.python.key]
    if on_same and not rebuild:
        return Earlier(on_same[0].stages, on_same[0].waited, compiles=False)
    listed = _listed(layout.PYTHON, cache)
    is_cached = any(layout.directory_name(found.name) == spec.python.key for found in listed)
    pythons = [found for found in _latest(layout.PYTHON, listed, cache) if _is_like(found, spec.python)]
    keys = [python.text.get("key") for python in pythons]
    on_like = [manifest for manifest in bundles if manifest.python_key in keys]
    told = [*on_like[:1], *pythons[:1]]
    stages = {stage: seconds for manifest in told for stage, seconds in manifest.stages.items()}
    return Earlier(stages, told[0].waited if told else None, compiles=rebuild or not is_cached)


def _is_like(manifest: Manifest, python: PythonSpec) -> bool:
    """Whether that Python takes as long to be made."""
    wanted = python.inputs()
    return all(manifest.inputs.get(name) == wanted[name] for name in ("version", "optimize"))


def _latest(kind: str, listed: Iterable[StoredObject], cache: Cache) -> Iterator[Manifest]:
    """Those that can be read of the manifests that were written last."""
    for stored in sorted(listed, key=lambda found: -found.modified)[:_READ]:
        content = cache.store.read(stored.name)
        try:
            if content is not None:
                yield Manifest.parse(kind, content)
        except ValueError:
            continue  # whoever needs that very one is told so


def _listed(kind: str, cache: Cache) -> list[StoredObject]:
    objects = islice(cache.store.objects(layout.keys(kind)), _LISTED)
    return [found for found in objects if layout.file_name(found.name) == layout.MANIFEST]
