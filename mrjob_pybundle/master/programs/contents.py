"""Writes down what is inside of one directory of a bundle, and where that came from: for people, and for bills of
materials.

    contents.py --root ROOT --kind py|venv --given DIRECTORY --copied FILE --contents FILE

--root      holds py/ (the compiled Python) and venv/, relocated or not
--given     inputs.tar.gz, unpacked, as venv-build.sh has left it
--copied    what shared_libraries.py has copied into that directory, and from where
--contents  the JSON that is written: "system", "libraries", of venv/ also "distributions"

Facts alone, as package managers have noted them: nothing here decides what is in an archive. What cannot be found out
is left out, or null; each line that is printed says of something why.
"""

from __future__ import print_function

import argparse
import io
import json
import os
import re
import subprocess
import sys
from binascii import unhexlify

from check_inputs import sha256_of_file

# Scheme, perhaps user and password, host, path, and what may be a signature. An "@" elsewhere may end a password that
# nobody has quoted: such a URL is not written down at all.
URL = re.compile(r"([a-z][a-z0-9+.-]*://)(?:[^\s/?#@]*@)?([^\s/?#@]+(?:/[^\s?#@]*)?)(?:[?#][^\s@]*)?$", re.IGNORECASE)

HASH = re.compile(r"[0-9a-f]{32,128}$")

# What rpm and dpkg-query tell of a package, a line each.
RPM = "%{NAME}\t%{EPOCH}\t%{VERSION}-%{RELEASE}\t%{ARCH}\t%{SOURCERPM}\n"
DPKG = "${binary:Package}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\n"


def main():
    parser = argparse.ArgumentParser()
    for name in ("root", "given", "copied", "contents"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--kind", required=True, choices=["py", "venv"])
    options = parser.parse_args()
    tree = os.path.join(options.root, options.kind)
    contents = {"system": read_system()}
    copied = read_json(options.copied)
    if copied is not None:
        owners = Packages(contents["system"]).of(set(copied.values()))
        contents["libraries"] = list(libraries(os.path.join(tree, "lib"), copied, owners))
    if options.kind == "venv":
        contents["distributions"] = list(distributions(options.root, options.given))
    with open(options.contents, "w") as file:
        json.dump(contents, file, sort_keys=True)
    return 0


def read_json(path):
    """None where there is no file, or something else in it."""
    try:
        with io.open(path, encoding="utf-8") as file:
            return json.load(file)
    except (EnvironmentError, ValueError):
        return None


def read_lines(path):
    """None where there is no file."""
    try:
        with io.open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except EnvironmentError:
        return None


# distributions


def distributions(root, given):
    """Those in the virtual environment, by name."""
    library = os.path.join("lib", "python%d.%d" % sys.version_info[:2])
    site_packages = os.path.join(root, "venv", library, "site-packages")
    origins = Origins(os.path.realpath(given), os.path.join(root, "py", library, "ensurepip", "_bundled"))
    for entry in sorted(os.listdir(site_packages), key=lambda name: (name.lower(), name)):
        info = os.path.join(site_packages, entry)
        name, version = identity(info)
        if name and version:
            installer = read_lines(os.path.join(info, "INSTALLER"))
            yield {
                "name": name,
                "version": version,
                "installer": installer[0].strip() if installer else None,
                "source": source_of(info, name, version, origins),
            }


def source_of(info, name, version, origins):
    try:
        return origins.of(info, name, version)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        print("where %s came from cannot be told by what its installer has noted: %r" % (name, error))
        return {"kind": "unknown"}


def identity(info):
    """Name and version of the distribution that has its metadata at *info* (PEP 376, and what was before it)."""
    if info.endswith(".dist-info"):
        lines = read_lines(os.path.join(info, "METADATA"))
    elif info.endswith(".egg-info"):
        lines = read_lines(os.path.join(info, "PKG-INFO") if os.path.isdir(info) else info)
    else:
        lines = read_lines(os.path.join(info, "EGG-INFO", "PKG-INFO")) if info.endswith(".egg") else None
    found = {}
    for line in lines or ():
        name, colon, value = line.partition(":")
        if not colon:  # what follows is a description
            break
        found.setdefault(name.lower(), value.strip())
    return found.get("name"), found.get("version")


class Origins(object):
    """Where distributions came from: notes beside them, what a build begins with, and reports of pip's."""

    def __init__(self, given, bundled):
        self.given, self.files, self.bundled = given, os.path.join(given, "files"), bundled
        self.reported = dict(reported(self.files))

    def of(self, info, name, version):
        noted = read_json(os.path.join(info, "direct_url.json"))  # PEP 610: whatever was not found by its name
        if noted is not None:
            return self.of_direct_url(noted)
        if "Generator: mrjob-pybundle" in (read_lines(os.path.join(info, "WHEEL")) or ()):
            return self.of_wheel("submitter", self.given, name, version) or {"kind": "submitter"}
        if normalized(name) in ("pip", "setuptools"):
            came_with_python = self.of_wheel("cpython", self.bundled, name, version)
            if came_with_python:
                return came_with_python
        if not os.path.exists(os.path.join(info, "INSTALLER")):
            return {"kind": "unknown"}
        found = self.reported.get((normalized(name), version))
        return self.of_download(found) if found else {"kind": "index"}

    def of_wheel(self, kind, directory, name, version):
        """The wheel of that distribution in *directory*; None if there is none."""
        beginning = "%s-%s-" % (name, version)
        for file in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
            if file.startswith(beginning) and file.endswith(".whl"):
                return {"kind": kind, "file": file, "hashes": {"sha256": sha256_of_file(os.path.join(directory, file))}}
        return None

    def of_direct_url(self, noted):
        url, vcs = noted.get("url") or "", noted.get("vcs_info")
        if vcs:
            return {
                "kind": "vcs",
                "vcs": vcs.get("vcs"),
                "url": without_credentials(url),
                "commit": vcs.get("commit_id"),
            }
        if url.startswith("file:"):
            return self.of_path(url, noted)
        return {"kind": "url", "url": without_credentials(url), "hashes": hashes(noted.get("archive_info"))}

    def of_download(self, found):
        """What pip has found by its name. Of an index's URL the last part will do: the rest may be a secret."""
        url = found.get("url") or ""
        if url.startswith("file:"):
            return self.of_path(url, found)
        file = unquoted(re.sub("[?#].*", "", url).rpartition("/")[2])
        return {"kind": "index", "file": file, "hashes": hashes(found.get("archive_info"))}

    def of_path(self, url, noted):
        """A build file by its name. Of others, which venv-build.sh has fetched or made, only the last part."""
        path = unquoted(re.sub("^file:(//[^/]*)?", "", url))
        is_build_file = os.path.realpath(path).startswith(self.files + os.sep)
        shown = os.path.relpath(os.path.realpath(path), self.files) if is_build_file else os.path.basename(path)
        known = hashes(noted.get("archive_info"))
        if not known and os.path.isfile(path):
            known = {"sha256": sha256_of_file(path)}
        return {"kind": "local", "path": shown, "is_directory": "dir_info" in noted, "hashes": known}


def reported(directory):
    """((name, version), download_info) of what pip has found by name, as reports say that venv-build.sh asked for.

    (pip's "Installation Report".) What they say differently of one is not said.
    """
    found, doubtful = {}, set()
    for file in sorted(os.listdir(directory)):
        report = read_json(os.path.join(directory, file)) if re.match(r"pip-report.*\.json$", file) else None
        try:
            items = downloads(report) if report is not None and is_of_this_python(report) else ()
        except (AttributeError, KeyError, TypeError) as error:
            print("%s is no report of pip's: %r" % (file, error))
            continue
        for key, info in items:
            if found.setdefault(key, info) != info:
                doubtful.add(key)
    return [(key, info) for key, info in found.items() if key not in doubtful]


def downloads(report):
    return [
        ((normalized(item["metadata"]["name"]), item["metadata"]["version"]), item["download_info"])
        for item in report["install"]
        if not item["is_direct"]
    ]


def is_of_this_python(report):
    """It might be a build file that somebody has brought along."""
    environment = report.get("environment", {})
    here = "%d.%d.%d" % sys.version_info[:3], os.uname()[4]
    return (environment.get("python_full_version"), environment.get("platform_machine")) == here


def normalized(name):
    """As PEP 503 compares names."""
    return re.sub("[-_.]+", "-", name).lower()


def hashes(archive_info):
    """{algorithm: hexadecimal digest}, as pip has noted them; in older notes, it is one."""
    archive_info = archive_info or {}
    noted = dict(archive_info.get("hashes") or {})
    if not noted and "=" in (archive_info.get("hash") or ""):
        noted = dict([archive_info["hash"].split("=", 1)])
    return dict((name, digest) for name, digest in noted.items() if HASH.match(digest))


def without_credentials(url):
    """*url* without user and password, and without a query, which may be a signature. None if that cannot be told."""
    match = URL.match(url)
    return match.group(1) + match.group(2) if match else None


def unquoted(text):
    return re.sub(
        "(?:%[0-9a-fA-F]{2})+",
        lambda match: unhexlify(match.group().replace("%", "").encode("ascii")).decode("utf-8", "replace"),
        text,
    )


# libraries


def read_system():
    """The operating system: {"id": "amzn", "version": "2023"}."""
    values = dict(line.split("=", 1) for line in read_lines("/etc/os-release") or () if "=" in line)
    return dict((name, values.get(key, "").strip("\"'")) for name, key in (("id", "ID"), ("version", "VERSION_ID")))


def libraries(directory, copied, owners):
    """What was copied into *directory*, by name, with the package of the file that it was copied from."""
    for name, source in sorted(copied.items()):
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            yield {"name": name, "sha256": sha256_of_file(path), "package": owners.get(source)}


class Packages(object):
    """The packages of this machine, as its package manager knows them."""

    def __init__(self, system):
        self.uses_dpkg = system["id"] != "amzn" and os.path.exists("/var/lib/dpkg/status")

    def of(self, paths):
        """{path: package} of *paths*, as far as they belong to one."""
        if not paths:
            return {}
        # A path may lead there by way of links: /lib is /usr/lib, and a name another's.
        names = dict((path, [path, os.path.realpath(path), "/usr" + path]) for path in paths)
        owners = self.dpkg(names) if self.uses_dpkg else self.rpm(names)
        found = {}
        for path in paths:
            known = [owners[name] for name in names[path] if owners.get(name)]
            if known:
                found[path] = known[0]
        return found

    def rpm(self, names):
        owners = {}
        for path, _, _ in names.values():
            # A line for each package that has it; of one that none has, another kind of line.
            for line in ask("rpm", "-q", "-f", "--queryformat", RPM, path):
                fields = line.split("\t")
                if len(fields) == 5:
                    name, epoch, version, arch, source = fields
                    owners[path] = {"type": "rpm", "name": name, "version": version, "arch": arch, "source": source}
                    if epoch.isdigit():
                        owners[path]["epoch"] = epoch
        return owners

    def dpkg(self, names):
        owners = {}
        for line in ask("dpkg-query", "--search", *sorted(set(sum(names.values(), [])))):
            # "libssl3:amd64: /usr/lib/libssl.so.3"; several have a comma in between, and diversions are none.
            package, colon, path = line.partition(": ")
            if colon and not package.startswith("diversion "):
                owners[path] = package.split(", ")[0]
        packages = {}
        for line in ask("dpkg-query", "--show", "--showformat", DPKG, *sorted(set(owners.values()))) if owners else ():
            known_as, name, version, arch, source = line.split("\t")
            packages[known_as] = {"type": "deb", "name": name, "version": version, "arch": arch, "source": source}
        return dict((path, packages.get(package)) for path, package in owners.items())


def ask(*command):
    """The lines that a package manager prints. It says by its status alone that one of several files is nobody's."""
    process = subprocess.Popen(
        ("timeout", "60") + command,
        env=dict(os.environ, LC_ALL="C"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = (text.decode("utf-8", "replace") for text in process.communicate())
    if "error: " in err or process.returncode in (124, 127):
        print("%s does not tell which packages libraries are of: %s" % (command[0], " ".join(err.split())))
        return []
    return out.splitlines()


if __name__ == "__main__":
    sys.exit(main())
