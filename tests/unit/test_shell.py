"""The templates are good shell, before and after rendering, and any value goes in and comes out unchanged."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrjob_pybundle.templates import read_template, render

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mrjob_pybundle"
TEMPLATES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.glob("**/*.sh.tmpl"))
PARTS = sorted(PACKAGE.glob("master/build-binaries/*.sh"))
SCRIPTS = sorted(
    [*(ROOT / "scripts").glob("*.sh"), *(ROOT / "tests").glob("**/*.sh"), *PARTS, PACKAGE / "nodes" / "check-node.sh"]
)
LISTS = {"CONFIGURE_ARGS", "NEEDS", "PLACES", "ACCELERATORS"}
NASTY = 'it\'s "a" $(touch /tmp/oops) `id` \\ $HOME ;&|<>*?[]{}~#!\n\ttwo é 漢 -n '

# Everything that a file name, an option or an environment variable can hold.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def placeholders(template: str) -> set[str]:
    return set(re.findall(r"@([A-Z][A-Z0-9_]*)@", (PACKAGE / template).read_text(encoding="utf-8")))


def shellcheck(script: str | Path, shell: str) -> None:
    """Check a text, or a file and the parts that it names."""
    # SC2016: values in single quotes hold what a shell would expand, and must not.
    result = subprocess.run(
        [
            *(
                str(Path(sys.executable).with_name("shellcheck")),
                "--shell",
                shell,
                "--exclude",
                "SC2016",
                "--external-sources",
            ),
            str(script) if isinstance(script, Path) else "-",
        ],
        input=script if isinstance(script, str) else "",
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout


def shell_of(text: str) -> str:
    return "bash" if text.startswith("#!/bin/bash") else "sh"


@pytest.mark.parametrize("template", TEMPLATES)
def test_raw_template_passes_shellcheck(template: str) -> None:
    path = PACKAGE / template
    shellcheck(path, shell_of(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("template", TEMPLATES)
def test_rendered_template_passes_shellcheck(template: str) -> None:
    values = {name: [NASTY, "b"] if name in LISTS else "/a b/$c" for name in placeholders(template)}
    text = render(template, values)
    shellcheck(text, shell_of(text))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_passes_shellcheck(script: Path) -> None:
    shellcheck(script, "bash")


def test_a_script_in_parts_is_rendered_as_one() -> None:
    text = read_template("master/build-binaries.sh.tmpl")
    assert [part.name for part in PARTS if part.read_text(encoding="utf-8") not in text] == []
    assert re.findall(r"^(?:source|\.) .*", text, flags=re.MULTILINE) == []


def variables_after(script: str, names: set[str], lists: set[str]) -> dict[str, str | list[str]]:
    """Run *script* in bash and return what the variables *names* hold then."""
    for name in sorted(names):
        if name in lists:
            # Bash before 4.4 takes an empty list for an unset variable.
            script += f'\nset +u; printf "%s\\0" "${{#{name}[@]}}" "${{{name}[@]}}"'
        else:
            script += f'\nprintf "%s\\0" 1 "${name}"'
    output = subprocess.run(["bash"], input=script.encode(), capture_output=True, check=True).stdout
    words = [word.decode() for word in output.split(b"\0")]
    found: dict[str, str | list[str]] = {}
    for name in sorted(names):
        count = int(words.pop(0))
        # printf writes one empty word for no arguments at all, but there is one here: the count.
        items, words = words[:count], words[count:]
        found[name] = items if name in lists else items[0]
    return found


def up_to(text: str, line: str) -> str:
    head, separator, _ = text.partition(f"\n{line}")
    assert separator
    return head + "\n"


@st.composite
def values_for(draw: st.DrawFn, template: str) -> dict[str, str | list[str]]:
    return {
        name: draw(st.lists(texts, max_size=3)) if name in LISTS else draw(texts)
        for name in sorted(placeholders(template))
    }


@settings(max_examples=50, deadline=None)
@given(values=values_for("master/build-binaries.sh.tmpl"))
def test_build_binaries_gets_its_values_unchanged(values: Mapping[str, str | list[str]]) -> None:
    script = up_to(render("master/build-binaries.sh.tmpl", values), "# Set by the supervisor for the worker.")
    assert variables_after(script, set(values), LISTS) == values


@settings(max_examples=50, deadline=None)
@given(values=values_for("bootstrap.sh.tmpl"))
def test_bootstrap_gets_its_values_unchanged(values: Mapping[str, str | list[str]]) -> None:
    files = {"ACTIVATE": "activate", "JOBRUNNER": "jobrunner", "VENV_EXEC": "venv_exec"}
    script = up_to(render("bootstrap.sh.tmpl", values), 'main "$@"')
    script += 'put_file() { local name=${2//-/_}; declare -g "got_$name=$3"; }\nwrite_wrappers\n'
    names = (set(values) - set(files)) | {f"got_{name}" for name in files.values()}
    found = variables_after(script, names, LISTS)
    expected = {f"got_{files[name]}" if name in files else name: value for name, value in values.items()}
    assert found == expected


@settings(max_examples=50, deadline=None)
@given(root=texts)
def test_activate_gets_its_root_unchanged(root: str) -> None:
    script = render("nodes/activate.sh.tmpl", {"ROOT": root}) + 'printf "%s\\0" "$VIRTUAL_ENV" "$PATH"'
    output = subprocess.run(
        ["sh"], input=script.encode(), capture_output=True, check=True, env={"PATH": "/usr/bin"}
    ).stdout
    assert output.decode().split("\0") == [f"{root}/venv", f"{root}/venv/bin:/usr/bin", ""]


@pytest.mark.parametrize("wrapper", ["jobrunner", "venv-exec"])
@settings(max_examples=25, deadline=None)
# a colon ends a directory in PATH, whatever one does
@given(name=texts.filter(lambda text: not set("/:") & set(text) and 0 < len(text.encode()) < 200))
def test_wrappers_work_wherever_they_are(wrapper: str, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("root") / f"-{name}"
    (root / "venv" / "bin").mkdir(parents=True)
    (root / "activate").write_text(render("nodes/activate.sh.tmpl", {"ROOT": str(root)}), encoding="utf-8")
    (root / wrapper).write_text(render(f"nodes/{wrapper}.sh.tmpl", {"ACTIVATE": f"{root}/activate"}), encoding="utf-8")
    python = root / "venv" / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\0" "$VIRTUAL_ENV" "$@"\n')
    python.chmod(0o755)
    command = [] if wrapper == "jobrunner" else ["python"]
    output = subprocess.check_output(["sh", root / wrapper, *command, NASTY, ""])
    assert output.decode().split("\0") == [f"{root}/venv", NASTY, "", ""]
