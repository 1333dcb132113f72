"""What `make run` installs is what is pinned, each file by its hash, here and on other machines."""

import re
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def requirements(name: str) -> list[Requirement]:
    lines = (line.partition(" #")[0] for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]


def locked() -> dict[Requirement, set[str]]:
    """What the lock asks for, with the hashes of the files that may be taken for it."""
    text = (ROOT / "requirements-lock.txt").read_text()
    entries = re.findall(r"^(\S[^\\]*)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.M)
    assert len(entries) == len(re.findall(r"^\S", text, re.M)), "an entry without a hash"
    return {Requirement(entry): set(re.findall(r"sha256:(\w+)", rest)) for entry, rest in entries}


def exact(requirement: Requirement) -> str:
    (one,) = requirement.specifier
    assert one.operator == "==", requirement
    return one.version


def test_the_lock_has_each_requirement_in_the_same_version() -> None:
    lock = {canonicalize_name(one.name): exact(one) for one in locked() if one.marker is None}
    wanted = {canonicalize_name(one.name): exact(one) for one in requirements("requirements.txt")}
    assert {name: lock.get(name) for name in wanted} == wanted


def test_everything_that_is_needed_here_is_locked_in_the_version_that_is_tested() -> None:
    here = [one for one in locked() if one.marker is None or one.marker.evaluate()]
    tested = {one.name: version(one.name) for one in here if one.name != "setuptools"}
    assert tested == {one.name: exact(one) for one in here if one.name != "setuptools"}
    names = {canonicalize_name(one.name) for one in here}
    for one in here:
        for line in needs(one):
            assert canonicalize_name(line.name) in names, f"{one.name} needs {line.name}"


def needs(one: Requirement) -> list[Requirement]:
    extras = {"", *one.extras}
    found = [Requirement(line) for line in requires(one.name) or ()]
    return [
        need
        for need in found
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def test_compiled_packages_are_locked_for_both_kinds_of_machine() -> None:
    # A package with compiled code has a file for each Python and machine; a plain one has two.
    hashes = {one.name: len(found) for one, found in locked().items() if one.marker is None}
    for name in ("numpy", "pandas", "numba", "msgspec", "orjson", "sqlalchemy"):
        assert hashes[name] >= 10, name


def test_all_that_is_vendored_is_listed_with_its_licence() -> None:
    assets = ROOT / "assets"
    listed = (assets / "LICENSES.md").read_text()
    ours = {"desk.css", "theme.js", "icon.svg", "start.js", "LICENSES.md"}
    for path in assets.rglob("*"):
        if path.is_file() and path.name not in ours and not path.name.startswith("desk_"):
            assert f"`{path.relative_to(assets)}`" in listed, path
