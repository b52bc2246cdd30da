"""What manifests say of libraries: which OpenSSL is inside, and which glibc a node must have. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import total_ordering


@total_ordering
@dataclass(frozen=True)
class OpenSsl:
    """A release of OpenSSL. The letters of old releases count: 1.1.1w is newer than 1.1.1k."""

    numbers: tuple[int, ...]
    letters: str = ""
    #: of that release, as OpenSSL has it: ``27 Jan 2026``. Distributions mend old releases, and leave it.
    day: str = ""

    @classmethod
    def parse(cls, text: str) -> OpenSsl | None:
        """Read ``3.2.2``, or what Python's ``ssl.OPENSSL_VERSION`` says; ``None`` if it is neither."""
        match = re.match(r"(?:OpenSSL )?(\d+(?:\.\d+)+)([a-z]*)\b(?:.*?(\d{1,2} [A-Z][a-z]{2} \d{4}))?", text)
        if match is None:
            return None
        return cls(tuple(int(number) for number in match[1].split(".")), match[2], match[3] or "")

    def __lt__(self, other: OpenSsl) -> bool:
        return (self.numbers, self.letters) < (other.numbers, other.letters)

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers)) + self.letters


def newest_glibc(needs: Iterable[str]) -> str | None:
    """The newest release of glibc that one of *needs* (:attr:`mrjob_pybundle.bundle.spec.Archive.needs`) came with."""
    found = (re.fullmatch(r"[^:]+:GLIBC_(\d+(?:\.\d+)*)", need) for need in needs)
    releases = (match[1] for match in found if match)
    return max(releases, key=lambda release: [int(number) for number in release.split(".")], default=None)
