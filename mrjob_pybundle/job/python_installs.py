"""Which of mrjob's ``bootstrap`` commands install Python packages: on each node, where no task of ours sees them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

# What may stand before the command that matters, besides options and their values.
_WRAPPERS = {"sudo", "env", "nice", "nohup", "time", "timeout", "xargs", "exec", "command", "retry"} | {
    *("if", "then", "else", "elif", "do", "while", "until", "!", "{")
}
_ASSIGNMENT = re.compile(r"\w+=.*", re.DOTALL)
_NUMBER = re.compile(r"\d[\w.]*")

_PYTHON = re.compile(r"(python|pypy)[\d.]*")
_INSTALLER = re.compile(
    r"(?:pip[\d.]*|pip-[\d.]+|pipx|conda|mamba|micromamba|uv|poetry|pipenv|pdm|pyenv)$|easy_install(?:-[\d.]+)?$"
)
_PACKAGE_MANAGER = re.compile(r"yum|dnf|microdnf|apt|apt-get|aptitude|amazon-linux-extras|rpm|dpkg|zypper|apk|snap")
_INSTALLS = {"install", "localinstall", "reinstall", "update", "upgrade", "add", "sync", "create", "develop"}
_PACKAGE_SWITCH = re.compile(r"-[a-zA-Z]*[iU][a-zA-Z]*|--(install|upgrade)")
_SHELL = re.compile(r"(ba|da|z)?sh")
_INSTALLING_SCRIPT = re.compile(r"get-pip\.py|ez_setup\.py|(mini|ana)conda.*\.sh|miniforge.*\.sh", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def lines_that_install_python(commands: Iterable[object]) -> list[str]:
    """The lines of *commands*, as mrjob's *bootstrap* has them, that install Python or packages for it.

    Credentials in URLs are left out. What a script does that a command runs cannot be seen from here.
    """
    lines = (line.strip() for command in commands for line in str(command).replace("\\\n", " ").splitlines())
    return [_CREDENTIALS.sub("…", line) for line in dict.fromkeys(lines) if _installs_python(line)]


def _installs_python(line: str) -> bool:
    return any(_is_install(words) for words in _simple_commands(line))


def _simple_commands(line: str) -> Iterator[list[str]]:
    """The words of each command of a line of shell: ``cd x && pip install .`` has two."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""  # mrjob's "path#name" is no comment
    words: list[str] = []
    try:
        tokens = list(lexer)
    except ValueError:  # a quote that another line closes
        tokens = line.split()
    for token in tokens:
        if token.startswith("#"):
            break
        if set(token) <= set("();<>|&"):
            yield words
            words = []
        else:
            words.append(token)
    yield words


def _is_install(words: Sequence[str]) -> bool:
    if any(_INSTALLING_SCRIPT.fullmatch(_name(word)) for word in words):
        return True
    words = _without_wrappers(words)
    if not words:
        return False
    command, rest = _name(words[0]), list(words[1:])
    if _SHELL.fullmatch(command) and "-c" in rest[:-1]:
        return _installs_python(rest[rest.index("-c") + 1])
    if _PYTHON.fullmatch(command):
        if "-m" in rest[:-1]:
            module = rest[rest.index("-m") + 1]
            return module == "ensurepip" or _is_install(rest[rest.index("-m") + 1 :])
        return any(_name(word) == "setup.py" for word in rest) and not _INSTALLS.isdisjoint(rest)
    if _INSTALLER.match(command):
        return command.startswith("easy_install") or not _INSTALLS.isdisjoint(rest)
    if _PACKAGE_MANAGER.fullmatch(command):
        is_install = not _INSTALLS.isdisjoint(rest) or any(_PACKAGE_SWITCH.fullmatch(word) for word in rest)
        packages = [_name(word) for word in rest if not word.startswith("-")]
        return is_install and any("python" in name or re.match(r"pip\d*\b|pypy", name) for name in packages)
    return False


def _without_wrappers(words: Sequence[str]) -> Sequence[str]:
    for place, word in enumerate(words):
        is_value_of_option = place > 0 and words[place - 1].startswith("-") and not _is_command(word)
        is_before = word in _WRAPPERS or word.startswith("-") or _ASSIGNMENT.fullmatch(word) or _NUMBER.fullmatch(word)
        if not is_value_of_option and not is_before:
            return words[place:]
    return ()


def _is_command(word: str) -> bool:
    name = _name(word)
    return any(pattern.fullmatch(name) for pattern in (_PYTHON, _PACKAGE_MANAGER, _SHELL)) or bool(
        _INSTALLER.match(name)
    )


def _name(word: str) -> str:
    return word.rstrip("/").rpartition("/")[2].partition("#")[0]
