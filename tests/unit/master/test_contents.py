"""No URL that is written down has credentials in it. (tests/scripts/test_contents.py runs the program.)"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mrjob_pybundle

PROGRAMS = Path(mrjob_pybundle.__file__).parent / "master" / "programs"
SECRET = "s3cr3t"

schemes = st.sampled_from(["https", "http", "ssh", "git", "svn+ssh"])
hosts = st.sampled_from(["example.com", "example.com:8443", "[::1]:80", "10.0.0.1"])
paths = st.sampled_from(["", "/", "/team/repository.git", "/a%20b/c+d.whl", "/ü"])
#: With a secret in it; whoever writes such URLs has not always quoted it.
secrets = st.tuples(st.text(max_size=5), st.text(max_size=5)).map(SECRET.join)


@pytest.fixture(scope="module")
def without_credentials() -> Callable[[str], str | None]:
    sys.path.insert(0, str(PROGRAMS))
    try:
        function: Callable[[str], str | None] = runpy.run_path(str(PROGRAMS / "contents.py"))["without_credentials"]
    finally:
        sys.path.remove(str(PROGRAMS))
    return function


@given(scheme=schemes, user=secrets, password=secrets, host=hosts, path=paths, query=secrets)
def test_credentials_are_left_out(
    without_credentials: Callable[[str], str | None],
    *,
    scheme: str,
    user: str,
    password: str,
    host: str,
    path: str,
    query: str,
) -> None:
    user, password, query = quote(user, safe=""), quote(password, safe=""), quote(query, safe="")
    plain = f"{scheme}://{host}{path}"
    for credentials in (user, f"{user}:{password}", f":{password}"):
        for behind in ("", f"?{query}", f"#{query}", f"?x={query}#y={query}"):
            assert without_credentials(f"{scheme}://{credentials}@{host}{path}{behind}") == plain
    assert without_credentials(plain) == plain


@given(scheme=schemes, user=secrets, password=secrets, host=hosts, path=paths)
def test_nor_are_there_parts_of_what_was_not_quoted(
    without_credentials: Callable[[str], str | None], *, scheme: str, user: str, password: str, host: str, path: str
) -> None:
    for credentials in (user, f"{user}:{password}", f":{password}"):
        assert SECRET not in (without_credentials(f"{scheme}://{credentials}@{host}{path}") or "")


@pytest.mark.parametrize(
    "text", ["", "x", "git@example.com:team/repository", "//example.com/x", "https://", "https:///x"]
)
def test_what_is_no_url(without_credentials: Callable[[str], str | None], text: str) -> None:
    assert without_credentials(text) is None
