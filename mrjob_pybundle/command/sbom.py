"""A bill of materials (CycloneDX 1.6, JSON) of what a manifest says is inside. Pure: the same manifest, the same bill.

Imported by ``show --sbom`` alone: it needs the extra ``sbom``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from itertools import groupby

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from mrjob_pybundle import __version__
from mrjob_pybundle.cache.contents import Contents, CPython, Distribution, Library, Package, Source
from mrjob_pybundle.cache.inventory import Manifest

#: Properties of CycloneDX that are no standard's have a name of whoever made them up.
_OURS = "mrjob-pybundle"
_SERIAL_NUMBERS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:mrjob-pybundle:sbom")

_ALGORITHMS = {
    "md5": HashAlgorithm.MD5,
    "sha1": HashAlgorithm.SHA_1,
    "sha256": HashAlgorithm.SHA_256,
    "sha384": HashAlgorithm.SHA_384,
    "sha512": HashAlgorithm.SHA_512,
}


def sbom_text(key: str, manifest: Manifest, contents: Contents) -> str:
    """The bill of materials of a key's archive. Its serial number is of that very archive, its time when it was built.

    :raises ValueError: names and versions are none of which a package URL can be made.
    """
    archive = Component(
        type=ComponentType.APPLICATION,
        name=f"{_OURS} {'bundle' if manifest.python_key else 'Python'}",
        version=key,
        bom_ref=key,
        hashes=_hashes({"sha256": manifest.sha256}),
    )
    bom = Bom(
        serial_number=uuid.uuid5(_SERIAL_NUMBERS, f"{key} {manifest.sha256}"),
        components=[
            _python(contents.python),
            *map(_distribution, contents.distributions),
            *_libraries(contents.libraries),
        ],
        properties=[_property("not-recorded", missing) for missing in contents.not_recorded],
    )
    bom.metadata.timestamp = datetime.fromtimestamp(manifest.built_at, timezone.utc)
    bom.metadata.component = archive
    bom.metadata.tools.components.add(Component(type=ComponentType.APPLICATION, name=_OURS, version=__version__))
    bom.register_dependency(archive, bom.components)
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)


def _python(python: CPython) -> Component:
    # What python.org releases has no type of package URL of its own; scanners know it by its CPE.
    checksum = {"checksum": f"sha256:{python.source_sha256}"} if python.source_sha256 else {}
    return Component(
        type=ComponentType.PLATFORM,
        name="cpython",
        version=python.version,
        bom_ref="cpython",
        purl=PackageURL("generic", name="cpython", version=python.version, qualifiers=checksum),
        cpe=f"cpe:2.3:a:python:python:{python.version}:*:*:*:*:*:*:*" if python.version else None,
        properties=_properties({"source": python.source_name, "openssl": python.openssl}),
    )


def _distribution(distribution: Distribution) -> Component:
    source = distribution.source
    return Component(
        type=ComponentType.LIBRARY,
        name=distribution.name,
        version=distribution.version,
        bom_ref=f"{distribution.name}=={distribution.version}",
        purl=distribution_purl(distribution),
        hashes=_hashes(source.hashes) if source else (),
        external_references=list(_references(source)) if source else (),
        properties=_properties({"source": source.kind, "path": source.path}) if source else (),
    )


def distribution_purl(distribution: Distribution) -> PackageURL | None:
    """``pkg:pypi/…``; ``None`` for a project from a directory, which is not what has its name on an index."""
    source = distribution.source or Source()
    if source.kind == "local" and source.is_directory:
        return None
    where = {}
    if source.kind == "vcs" and source.url and source.commit:
        where["vcs_url"] = f"{source.vcs}+{source.url}@{source.commit}"
    elif source.kind == "url" and source.url:
        where["download_url"] = source.url
    return PackageURL("pypi", name=distribution.name, version=distribution.version, qualifiers=where)


def _references(source: Source) -> Iterator[ExternalReference]:
    if source.url:
        is_vcs = source.kind == "vcs"
        yield ExternalReference(
            type=ExternalReferenceType.SCM if is_vcs else ExternalReferenceType.DISTRIBUTION,
            url=XsUri(source.url),
            comment=f"{source.vcs} commit {source.commit}" if is_vcs else None,
            hashes=_hashes(source.hashes),
        )


def _libraries(libraries: tuple[Library, ...]) -> Iterator[Component]:
    """One for each package, with its files; files that are no package's are one each."""
    with_package = [library for library in libraries if library.package]
    yield from (_file(library) for library in libraries if not library.package)
    for purl, group in groupby(sorted(with_package, key=_purl_text), key=_purl_text):
        files = list(group)
        package = files[0].package
        assert package is not None
        yield Component(
            type=ComponentType.LIBRARY,
            name=package.name,
            version=package.version,
            bom_ref=purl,
            purl=package_purl(package),
            components=map(_file, files),
        )


def _file(library: Library) -> Component:
    return Component(
        type=ComponentType.FILE,
        name=library.name,
        bom_ref=f"{library.name} {library.sha256}",
        hashes=_hashes({"sha256": library.sha256}),
    )


def _purl_text(library: Library) -> str:
    return package_purl(library.package).to_string() if library.package else ""


def package_purl(package: Package) -> PackageURL:
    """``pkg:rpm/amzn/openssl-libs@…?arch=…&distro=amzn-2023``; advisories are about the source package: ``upstream``.

    (That qualifier is no standard's; Syft writes it, and Grype reads it.)
    """
    qualifiers = {"arch": package.arch, "distro": f"{package.system}-{package.system_version}"}
    if package.epoch:
        qualifiers["epoch"] = package.epoch
    if package.source != package.name:
        qualifiers["upstream"] = package.source
    return PackageURL(package.type, package.system, package.name, package.version, qualifiers)


def _hashes(hashes: Mapping[str, str]) -> list[HashType]:
    """Those that CycloneDX has a name for."""
    return [HashType(alg=_ALGORITHMS[name], content=digest) for name, digest in hashes.items() if name in _ALGORITHMS]


def _properties(values: Mapping[str, str | None]) -> list[Property]:
    return [_property(name, value) for name, value in values.items() if value is not None]


def _property(name: str, value: str) -> Property:
    return Property(name=f"{_OURS}:{name}", value=value)
