"""Taking out of a text what names an account, its people and its things."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

#: What they look like, whoever's they are.
_PATTERNS = {
    "arn": r"arn:aws[a-z-]*:[^\s\"'<>|,;)\]}]+",
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]*[A-Za-z0-9]",
    "account": r"(?<![0-9A-Za-z])\d{12}(?![0-9A-Za-z])",
    "key": r"\balias/[A-Za-z0-9/_-]+|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    "instance": r"\bi-[0-9a-f]{8,17}\b",
    "subnet": r"\bsubnet-[0-9a-f]{8,17}\b",
    "network": r"\b(?:vpc|sg|eni|vol|rtb|acl|eipalloc)-[0-9a-f]{8,17}\b",
    "access-key": r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}\b",
    "address": (
        r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"
        r"|\bip-\d{1,3}(?:-\d{1,3}){3}(?:\.[a-z0-9.-]+[a-z0-9])?"
        r"|\bec2-\d{1,3}(?:-\d{1,3}){3}(?:\.[a-z0-9.-]+[a-z0-9])?"
        r"|(?<![0-9A-Za-z:])(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4})(?![0-9A-Za-z:])"
    ),
    "cluster": r"\bj-[0-9A-Z]{8,20}\b",
}


#: Users that every machine has, and that are nobody.
NOBODY = frozenset({"root", "hadoop", "yarn", "ec2-user", "ubuntu"})


def scrubber(things: Mapping[str, Iterable[str]], words: Mapping[str, Iterable[str]]) -> Callable[[str], str]:
    """A function that replaces in a text what names somebody's account or things.

    *things* are names by their kind (``bucket``), which are replaced wherever they stand, as parts of longer names,
    too; *words*, by their kind (``user``), may be short, and are replaced where they stand alone. In their place comes
    the kind, in brackets. Besides, what looks like an ARN, an account id, an address… is replaced.
    """
    kinds = {text: kind for named in (words, things) for kind, texts in named.items() for text in texts if text}
    anywhere = {text for texts in things.values() for text in texts if text}
    # One pass over the text, and the longest first: what was put in is not looked at again.
    named = [_pattern(text, alone=text not in anywhere) for text in sorted(kinds, key=len, reverse=True)]
    groups = [f"(?P<named>{'|'.join(named)})"] if named else []
    groups += [f"(?P<{kind.replace('-', '_')}>{pattern})" for kind, pattern in _PATTERNS.items()]
    anything = re.compile("|".join(groups))

    def replacement(match: re.Match[str]) -> str:
        group = str(match.lastgroup)
        return f"[{kinds[match[0]] if group == 'named' else group.replace('_', '-')}]"

    return lambda text: anything.sub(replacement, text)


def _pattern(text: str, *, alone: bool) -> str:
    return rf"(?<![0-9A-Za-z]){re.escape(text)}(?![0-9A-Za-z])" if alone else re.escape(text)
