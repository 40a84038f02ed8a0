"""A change that breaks clients is named in the changelog, or the gate stays shut."""

from server.sdl import breaking_section, unannounced, unannounced_changes

OLD = "type Query { fan: Int fans(first: Int): Int } enum Sort { A B } input Filter { x: Int }"
NEW = "type Query { fans(first: Int, after: Int!): String } enum Sort { A } input Filter { x: Int y: Int! }"


def test_each_kind_of_breaking_change_is_found_and_none_that_is_announced() -> None:
    found = unannounced(OLD, NEW, "")

    assert len(found) == 5
    assert unannounced(OLD, NEW, "`Query.fan`, `Query.fans`, `Sort.B` and `Filter.y`") == []
    assert unannounced(OLD, NEW, "`Query.fan`, `Sort.B`, `Filter.y`") != []
    assert unannounced(OLD, OLD + " type More { id: Int }", "") == []


def test_only_what_is_not_released_yet_announces() -> None:
    changelog = (
        "## [Unreleased]\n\n### Breaking\n\n- `A.b`\n\n### Added\n\n- `C.d`\n\n## [1.0]\n\n### Breaking\n\n- `E.f`\n"
    )

    assert breaking_section(changelog).strip() == "- `A.b`"


def test_nothing_breaks_unsaid() -> None:
    assert unannounced_changes() == []
