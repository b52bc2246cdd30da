"""``gc`` while others use the cache: what they do between its look and its deletions counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mrjob_pybundle.cache.claims import Claim
from mrjob_pybundle.cache.housekeeping import retire_key
from mrjob_pybundle.cache.inventory import find_shelf, take_inventory
from mrjob_pybundle.sandbox.api.faults import Do, Faults, Rule
from mrjob_pybundle.sandbox.api.requests import Request
from mrjob_pybundle.sandbox.api.server import Server
from tests.services.test_housekeeping import BUILD, OTHER_BUILD
from tests.team import Team

#: When gc asks EMR, which takes minutes where clusters are many, it has looked at the cache.
MEANWHILE = "ListClusters"


@pytest.fixture
def faults(team: Team, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    faults = Faults()
    server = Server(lambda: None, lambda _: None, [faults])
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    yield faults
    server.stop()


def _gc(team: Team, faults: Faults, operation: str, others: Callable[[], object], *wish: str, key: str = "*") -> str:
    """What gc says, in whose first request of that kind *others* do something."""

    def do(_: Request) -> None:
        others()

    with faults.injected(Rule(operation, Do(do), key=key, times=1)) as strikes:
        output = team.run("gc", *wish)
    assert len(strikes) == 1
    assert output.status == 0, output.err
    return output.out


def test_what_is_pinned_again(team: Team, faults: Faults) -> None:
    """Clusters are about to be started with the script that is there."""
    spec = team.spec()
    team.publish(spec, BUILD)
    bundle = team.cache.bundles.find(spec)
    assert bundle is not None

    def pin() -> None:
        team.cache.pins.put(bundle, f"bootstrap-{'ab' * 32}.sh", "# a script\n", "grace")

    pin()
    team.run("unpin", spec.key)
    team.let_pass(days=2)
    said = _gc(team, faults, MEANWHILE, pin)
    kept = f"kept unpinned bootstrap script of {spec.key[:12]}: something has changed beside it."
    assert said == f"{kept} The next gc looks again.\nNothing to delete.\n"
    assert any("bootstrap-" in name and name.endswith(".sh") for name in team.objects())


def test_what_is_published_again(team: Team, faults: Faults) -> None:
    """The same bytes, under the same name."""
    spec = team.spec()
    team.publish(spec, BUILD)
    team.run("rm", spec.key)
    team.let_pass(days=2)
    said = _gc(team, faults, MEANWHILE, lambda: team.publish(spec, BUILD))
    assert f"kept venv archive of {spec.key[:12]}: something has changed beside it" in said
    assert team.cache.bundles.find(spec) is not None


@pytest.mark.parametrize("others", ["pin", "build"])
def test_what_is_wanted_again(team: Team, faults: Faults, others: str) -> None:
    """It was about to be removed, because nobody had used it for long."""
    spec = team.spec()
    team.publish(spec, BUILD)
    team.let_pass(days=40)
    team.cache.store.write("doctor/old", b"")  # EMR is asked only if there is anything to delete
    team.let_pass(days=2)
    bundle = team.cache.bundles.find(spec)
    assert bundle is not None

    def want() -> None:
        if others == "pin":
            team.cache.pins.put(bundle, f"bootstrap-{'ab' * 32}.sh", "# a script\n", "grace")
        else:
            team.cache.claims.stake("cd" * 32, Claim(OTHER_BUILD, "grace", 1.0))

    wish = ["--unused-for", "30"]
    if others == "build":  # of a bundle on a Python that no bundle has any more
        team.run("rm", spec.key)
    said = _gc(team, faults, MEANWHILE, want, *wish)
    kept = f"bundle {spec.key[:12]}" if others == "pin" else f"Python {spec.python.key[:12]}"
    assert f"kept {kept}: something has changed beside it" in said
    assert (team.cache.bundles.find(spec) is not None) == (others == "pin")
    assert team.cache.bundles.find_python(spec.python) is not None


def test_what_is_removed_while_manifests_are_read(team: Team, faults: Faults) -> None:
    """Who knew of its archive has a day, as with any other removal."""
    spec = team.spec()
    team.publish(spec, BUILD)
    team.let_pass(days=2)
    before = team.objects()

    def remove() -> None:
        shelf = find_shelf(team.cache, spec.key)
        retire_key(team.cache, shelf, take_inventory(team.cache), "grace", team.cache.store.clock())

    said = _gc(team, faults, "GetObject", remove, key=f"*/venv/{spec.key}/manifest.json")
    assert said == "Nothing to delete.\n"
    assert {name for name in before if name.endswith(".tar.gz")} <= team.objects()


def test_a_build_that_begins(team: Team, faults: Faults) -> None:
    """It may have found the source in the cache."""
    source = f"sources/{'bb' * 32}/Python-3.13.5.tar.xz"
    team.cache.store.write(source, b"source")
    team.publish(team.spec(), BUILD)
    team.let_pass(days=8)
    claim = Claim(OTHER_BUILD, "grace", 1.0)
    said = _gc(team, faults, MEANWHILE, lambda: team.cache.claims.stake("cd" * 32, claim))
    assert "kept source Python-3.13.5.tar.xz" in said
    assert source in team.objects()
