"""The printed schemas: what the code says, what was printed, and what would break a client of the last release."""

import re
from pathlib import Path

from graphql import build_schema, find_breaking_changes

import schema

PRINTED = Path(schema.__file__).parent
RELEASED = PRINTED / "released"
CHANGELOG = PRINTED.parent / "CHANGELOG.md"
# how graphql-core begins its sentences
_WORDS = frozenset({"A", "Argument", "Directive", "Enum", "Field", "Input", "Standard", "Type", "Union"})
SCHEMAS = {"staff": schema.staff_schema, "fan": schema.fan_schema}


def texts() -> dict[str, str]:
    """Return the SDL of both schemas by name, as the code says it now."""
    return {name: build().as_str() + "\n" for name, build in SCHEMAS.items()}


def write(folder: Path) -> None:
    """Print both schemas into the folder."""
    folder.mkdir(exist_ok=True)
    for name, text in texts().items():
        (folder / f"{name}.graphql").write_text(text, encoding="utf-8")


def stale() -> list[str]:
    """Return the printed files that are not what the code says."""
    files = {PRINTED / f"{name}.graphql": text for name, text in texts().items()}
    return [p.name for p, text in files.items() if not p.exists() or p.read_text(encoding="utf-8") != text]


def unannounced(old: str, new: str, announced: str) -> list[str]:
    """Return the changes from one SDL to the next that break clients and are not named in the announcement."""
    changes = [change.description for change in find_breaking_changes(build_schema(old), build_schema(new))]
    return [change for change in changes if _subject(change) not in announced]


def _subject(change: str) -> str:
    """Return what a change is about, such as `Fan.nickname` or `FanFilterInput`, from graphql-core's sentence."""
    names = [name for name in re.findall(r"\b[A-Z]\w*(?:\.\w+)?", change) if name not in _WORDS]
    return names[0] if names else change


def unannounced_changes() -> list[str]:
    """Return the breaking changes since the last release that the changelog does not name under Breaking."""
    announced = breaking_section(CHANGELOG.read_text(encoding="utf-8"))
    found: list[str] = []
    for name, text in texts().items():
        released = RELEASED / f"{name}.graphql"
        if released.exists():
            found += unannounced(released.read_text(encoding="utf-8"), text, announced)
    return found


def breaking_section(changelog: str) -> str:
    """Return what the changelog says under Breaking of what is not released yet."""
    unreleased = changelog.partition("## [Unreleased]")[2].partition("\n## ")[0]
    return unreleased.partition("### Breaking")[2].partition("\n### ")[0]
