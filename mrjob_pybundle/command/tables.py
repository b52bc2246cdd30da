"""What the ``mrjob-pybundle`` command prints: tables for people, JSON for scripts."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from mrjob_pybundle.bundle.libraries import newest_glibc
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.contents import Contents, contents_of
from mrjob_pybundle.cache.housekeeping import Plan
from mrjob_pybundle.cache.inventory import FoundPin, Inventory, Manifest, Shelf
from mrjob_pybundle.cache.why import Comparison, Difference, Explanation
from mrjob_pybundle.job.times import clock
from mrjob_pybundle.master.stages import WAITING, in_order

_KEY_DIGITS = 12
_COLORS = {"+": "green", "-": "red", "@": "cyan"}


# ls


def inventory_text(inventory: Inventory, root: str) -> str:
    """The cache's bundles, Pythons and running builds as tables."""
    parts = [f"{root}: {_counted(inventory)}"]
    bundles = [_bundle_row(shelf, inventory) for shelf in inventory.bundles]
    if bundles:
        columns = ("BUNDLE", "PYTHON", "FOR", "OPENSSL", ">SIZE", "BUILT", "BY", ">TOOK", "LAST USED")
        parts.append(_table(columns, bundles))
    pythons = [_python_row(shelf, inventory) for shelf in inventory.pythons.values()]
    if pythons:
        columns = ("PYTHON KEY", "PYTHON", "FOR", "OPENSSL", ">SIZE", "BUILT", "BY", ">TOOK", ">BUNDLES")
        parts.append(_table(columns, pythons))
    pins = [
        (shelf.key[:_KEY_DIGITS], found.pin.bundle_id if found.pin else "damaged", *_pinned(found))
        for shelf in inventory.shelves
        for found in shelf.pins
    ]
    if pins:
        parts.append(_table(("PINNED", "BUNDLE ID", "BY", "SINCE"), pins))
    claims = [
        (found.claim.build_id, found.claim.owner, found.claim.cluster_id or "none yet", found.key[:_KEY_DIGITS])
        for found in inventory.claims
        if found.claim
    ]
    if claims:
        parts.append(_table(("BUILDING", "BY", "CLUSTER", "BUNDLE"), claims))
    parts += [
        f"{shelf.kind}/{shelf.key}/manifest.json is damaged ({shelf.damage}). To have it built again:"
        f" mrjob-pybundle rm {shelf.key[:_KEY_DIGITS]}"
        for shelf in inventory.shelves
        if shelf.damage
    ]
    return "\n\n".join(parts)


def inventory_json(inventory: Inventory, root: str) -> dict[str, Any]:
    """The same for scripts. Times are seconds since the epoch, sizes bytes."""
    return {
        "cache": root,
        "bundles": [shelf_json(shelf, inventory) for shelf in inventory.bundles],
        "pythons": [shelf_json(shelf, inventory) for shelf in inventory.pythons.values()],
        "building": [
            {
                **{"build": c.claim.build_id, "owner": c.claim.owner, "cluster": c.claim.cluster_id, "key": c.key},
                **{"region": c.claim.region, "account": c.claim.account},
            }
            for c in inventory.claims
            if c.claim
        ],
        "damaged": [f"{shelf.kind}/{shelf.key}" for shelf in inventory.shelves if shelf.damage],
    }


def shelf_json(shelf: Shelf, inventory: Inventory) -> dict[str, Any]:
    """One key for scripts."""
    return {
        "kind": shelf.kind,
        "key": shelf.key,
        "used": shelf.used,
        "retired": shelf.retired,
        "pins": [
            {
                **{"bundle_id": found.pin.bundle_id, "owner": found.pin.owner, "venv": found.pin.venv_sha256},
                **{"python": found.pin.python_sha256, "since": found.object.modified},
            }
            for found in shelf.pins
            if found.pin
        ],
        "damage": shelf.damage,
        "bundles": [bundle.key for bundle in inventory.bundles_on(shelf.key)],
        "objects": [{"name": o.name, "size": o.size, "modified": o.modified} for o in shelf.objects],
        "manifest": shelf.manifest.text if shelf.manifest else None,
    }


def _pinned(found: FoundPin) -> tuple[str, str]:
    """By whom, and since when."""
    return (found.pin.owner if found.pin else "?"), day(found.object.modified)


def _counted(inventory: Inventory) -> str:
    bundles, pythons = len(inventory.bundles), len(inventory.pythons)
    size = megabytes(sum(shelf.size for shelf in inventory.shelves))
    text = f"{_number(bundles, 'bundle')} on {_number(pythons, 'Python')}, {size} in all"
    removed = [shelf for shelf in inventory.shelves if not shelf.manifest and not shelf.damage and shelf.archives]
    if removed:
        text += f", {megabytes(sum(shelf.size for shelf in removed))} of that removed and left for gc"
    return text


def _bundle_row(shelf: Shelf, inventory: Inventory) -> tuple[str, ...]:
    assert shelf.manifest is not None
    manifest = shelf.manifest
    python = inventory.pythons.get(str(manifest.python_key))
    version, made_for = _python_of(python.manifest if python else None)
    used = day(shelf.used) if shelf.used else "not noted"
    built = (day(manifest.built_at), manifest.owner, clock(manifest.seconds))
    openssl = str(inventory.openssl_of(manifest) or "?")
    return shelf.key[:_KEY_DIGITS], version, made_for, openssl, megabytes(manifest.size), *built, used


def _python_row(shelf: Shelf, inventory: Inventory) -> tuple[str, ...]:
    assert shelf.manifest is not None
    manifest = shelf.manifest
    built = (day(manifest.built_at), manifest.owner, clock(manifest.seconds))
    bundles = str(len(inventory.bundles_on(shelf.key)))
    openssl = str(manifest.openssl or "?")
    return shelf.key[:_KEY_DIGITS], *_python_of(manifest), openssl, megabytes(manifest.size), *built, bundles


def _python_of(manifest: Manifest | None) -> tuple[str, str]:
    if manifest is None:
        return "removed", "?"
    inputs = manifest.inputs
    plain = "" if inputs.get("optimize") else " plain"
    return f"{inputs.get('version')}{plain}", f"{inputs.get('os_family')} {inputs.get('arch')}"


# show


def shelf_text(shelf: Shelf, inventory: Inventory, root: str) -> str:
    """All that is known of one key."""
    lines = [("key", shelf.key), ("kind", "bundle" if shelf.kind == "venv" else "Python")]
    if shelf.damage:
        lines.append(("damaged", f"its manifest is {shelf.damage}"))
    if shelf.retired is not None and shelf.manifest is None:
        lines.append(("removed", f"by {shelf.retired.get('by')} at {shelf.retired.get('at')}"))
    manifest = shelf.manifest
    if manifest:
        build, stages = manifest.text["build"], _stages(manifest)
        lines += [
            ("archive", f"{root}/v1/{shelf.kind}/{shelf.key}/{manifest.sha256}.tar.gz"),
            ("size", f"{megabytes(manifest.size)}, {megabytes(manifest.unpacked_size)} unpacked"),
            ("built", f"{minute(manifest.built_at)} UTC by {manifest.owner}, in {clock(manifest.seconds)}"),
            ("build", f"{manifest.build_id} (cluster {build.get('cluster_id') or 'unknown'}, {build.get('os')})"),
            ("log", f"{root}/{layout.VERSION}/{layout.of_build(manifest.build_id, layout.LOG)}"),
            ("stages", ", ".join(f"{stage} {clock(seconds)}" for stage, seconds in stages)),
        ]
        if manifest.python_key:
            lines.append(("Python", manifest.python_key))
        lines += [
            (("inputs" if number == 0 else ""), f"{name}: {_value(value)}")
            for number, (name, value) in enumerate(sorted(manifest.inputs.items()))
        ]
        lines += _libraries(manifest, inventory)
        lines += _inside(contents_of(manifest, inventory.python_of(manifest)))
    if shelf.kind == "venv":
        lines.append(
            ("last used", f"{minute(shelf.used)} UTC, noted at most once a day" if shelf.used else "not noted")
        )
        lines += [
            ("pinned", f"bundle id {found.pin.bundle_id}, by {found.pin.owner} on {day(found.object.modified)}")
            for found in shelf.pins
            if found.pin
        ]
    else:
        lines.append(("bundles", " ".join(b.key[:_KEY_DIGITS] for b in inventory.bundles_on(shelf.key)) or "none"))
    return "\n".join(f"{name:<10}{value}" for name, value in lines)


def _inside(contents: Contents) -> list[tuple[str, str]]:
    python = contents.python
    source = f" ({python.source_name}, sha256 {python.source_sha256[:12]})" if python.source_sha256 else ""
    inside = [f"CPython {python.version}{source}"] if python.version else []
    inside += [
        f"{one.name}=={one.version}" + (f" ({one.source})" if one.source else "") for one in contents.distributions
    ]
    inside += [f"{library.name} ({library})" for library in contents.libraries]
    inside += [contents.remark] if contents.remark else []
    return [("inside" if number == 0 else "", line) for number, line in enumerate(inside)]


def _libraries(manifest: Manifest, inventory: Inventory) -> list[tuple[str, str]]:
    openssl, glibc = inventory.openssl_of(manifest), newest_glibc(manifest.needs)
    lines = [("OpenSSL", f"{openssl}, of {openssl.day}" if openssl.day else str(openssl))] if openssl else []
    return [*lines, ("needs", f"glibc {glibc} or newer")] if glibc else lines


def _stages(manifest: Manifest) -> list[tuple[str, float]]:
    """What took time, in its order."""
    waited = [(WAITING, manifest.waited)] if manifest.waited else []
    took = manifest.stages
    return [*waited, *((stage, took[stage]) for stage in in_order(took) if took[stage])]


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, dict):
        return " ".join(f"{name}={_value(one)}" for name, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


# why


def explanation_lines(explanation: Explanation) -> list[str]:
    """What differs, one line each, and unified diffs below."""
    lines = [f"The cached bundle that is most like it is {_named(explanation.nearest)}. What differs:"]
    lines += _differences(explanation.differences)
    return lines + ([explanation.no_texts] if explanation.no_texts else [])


def comparison_lines(comparison: Comparison) -> list[str]:
    """The same of two cached bundles: what went in, and what is inside."""
    lines = [f"From bundle {_named(comparison.before)} to {_named(comparison.after)}."]
    for title, differences in (("What went in", comparison.inputs), ("What is inside", comparison.contents)):
        lines += [f"{title}:", *_differences(differences)] if differences else [f"{title} does not differ."]
    return lines + list(comparison.remarks)


def _named(shelf: Shelf) -> str:
    assert shelf.manifest is not None
    return f"{shelf.key[:_KEY_DIGITS]} (built {day(shelf.manifest.built_at)} by {shelf.manifest.owner})"


def _differences(differences: Iterable[Difference]) -> list[str]:
    lines = []
    for difference in differences:
        lines.append(f"  {difference.name}: {difference.before or 'none'} → {difference.after or 'none'}")
        lines += [f"    {line}" for line in difference.diff]
    return lines


# gc


def plan_text(plan: Plan, done: bool) -> str:
    """What is to go, or what went."""
    removed = [
        f"{'removed' if done else 'would remove'} {'bundle' if shelf.kind == 'venv' else 'Python'}"
        f" {shelf.key[:_KEY_DIGITS]} of {shelf.manifest.owner if shelf.manifest else '?'};"
        " its archive goes in a day at the earliest"
        for shelf in plan.retire
    ]
    deleted = [
        f"{'deleted' if done else 'would delete'} {deletion.what} ({megabytes(sum(o.size for o in deletion.objects))})"
        for deletion in plan.delete
    ]
    released = [
        f"{'deleted' if done else 'would delete'} the claim of build {build_id}, which has ended"
        for _, build_id in plan.release
    ]
    kept = [
        f"kept the {shelf.kind} archive of {shelf.key[:_KEY_DIGITS]}: clusters in {' and '.join(map(str, places))} may"
        " need it. Run gc there."
        for shelf, places in plan.kept
    ]
    kept += [f"kept {what}: something has changed beside it. The next gc looks again." for what in plan.left]
    total = f"{megabytes(plan.size)} in {_number(sum(len(d.objects) for d in plan.delete), 'object')}"
    summary = f"{'Deleted' if done else 'Would delete'} {total}." if plan.delete else "Nothing to delete."
    return "\n".join([*removed, *deleted, *released, *kept, summary])


# all


def write(text: str, out: TextIO | None = None) -> None:
    """Print *text*; on a terminal, lines of a diff in their colors.

    Names and texts in the cache are others': what could steer a terminal is not passed on.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out or sys.stdout, soft_wrap=True, highlight=False)
    for raw in text.split("\n"):
        line = "".join(character if character.isprintable() or character == "\t" else "�" for character in raw)
        changed = line.strip()[:1] if line.startswith("    ") else ""
        console.print(Text(line, style=_COLORS.get(changed, "")), markup=False)


def table_text(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table without lines. A column whose name begins with ``>`` is aligned to the right."""
    return _table(columns, rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="")
    for name in columns:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(width=1000, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


def megabytes(size: int) -> str:
    """``15.9 MB``."""
    return f"{size / 1e6:.1f} MB" if size >= 50_000 else f"{size / 1e3:.1f} kB"


def day(moment: float) -> str:
    """``2026-11-22``, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def minute(moment: float) -> str:
    """``2026-11-22 10:11``, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(moment))


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
