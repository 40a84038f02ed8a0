"""The `scrm` command, as a person types it: what it does, what it says, and its exit code."""

from pathlib import Path

import pytest

from domain.database import Database
from tests.conftest import DATABASE
from tests.server.deployed import Deployment, Finished
from tests.world import World

pytestmark = pytest.mark.slow

COMMANDS = ("serve", "worker", "demo", "migrate", "doctor", "token", "import", "graph")
ORDERS = ["--source", "shop", "--columns", "fan,placed_on,quantity,amount"]


def refused(finished: Finished, says: str) -> bool:
    """Tell whether a command ended with 1 and exactly this line."""
    return (finished.code, finished.err) == (1, f"scrm: {says}\n")


async def test_it_explains_itself_and_hides_what_is_for_those_who_work_on_it(deployment: Deployment) -> None:
    helped, of_import, unknown = await deployment.each(["--help"], ["import", "--help"], ["nonsense"])

    assert helped.code == of_import.code == 0
    assert all(f" {command} " in helped.out for command in COMMANDS)
    assert " sdl " not in helped.out
    assert " settings " not in helped.out
    assert " orders " in of_import.out
    assert " shares " in of_import.out
    assert unknown.code == 2


async def test_migrating_is_safe_to_repeat_and_says_where_the_database_is(deployment: Deployment) -> None:
    if DATABASE == "sqlite":
        Path(deployment.database_url.partition(":///")[2]).unlink()

    first, second, checked, printed = await deployment.each(
        ["migrate"], ["migrate"], ["migrate", "--check"], ["sdl", "--check"]
    )
    unknown, nowhere = (
        await deployment.scrm("migrate", "nonsense"),
        await deployment.having(SCRM_MIGRATION_URL="postgresql://scrm:hunter2@127.0.0.1:9/scrm").scrm("migrate"),
    )

    assert (first.code, first.err) == (second.code, second.err) == (0, "")
    assert first.out == second.out
    assert first.out.startswith("The database is at ")
    assert (checked.code, printed.code) == (0, 0)
    assert (unknown.code, nowhere.code) == (1, 1)
    for finished in (unknown, nowhere):
        assert finished.err.startswith("scrm: the database was not migrated: ")
        assert finished.err.count("\n") == 1
        assert "hunter2" not in finished.err


async def test_tokens_are_minted_for_those_who_are_there(deployment: Deployment, world: World) -> None:
    fan = world.fans["g1/b1/d1#1"]

    staff, of_fan, unknown, nobody, both = await deployment.each(
        ["token", "--staff", "HQ1"],
        ["token", "--fan", str(fan), "--hours", "1"],
        ["token", "--fan", "999999999999"],
        ["token"],
        ["token", "--staff", "HQ1", "--fan", str(fan)],
    )

    assert [finished.code for finished in (staff, of_fan)] == [0, 0]
    assert staff.out.count(".") == of_fan.out.count(".") == 2
    assert staff.out.count("\n") == of_fan.out.count("\n") == 1
    assert refused(unknown, "there is no fan 999999999999")
    assert refused(nobody, "give either --staff or --fan")
    assert refused(both, "give either --staff or --fan")


async def test_production_mints_no_tokens_by_hand(deployment: Deployment) -> None:
    production = deployment.having(
        SCRM_ENVIRONMENT="production",
        SCRM_STAFF_JWKS_URL="https://login.example.com/keys",
        SCRM_DATABASE_URL="postgresql://scrm@127.0.0.1:9/scrm",
    )

    (finished,) = await production.each(["token", "--staff", "HQ1"])

    assert refused(finished, "tokens are minted by hand in development only")


async def test_an_import_reports_each_bad_row_and_is_refused_for_a_brand_that_is_none(
    deployment: Deployment, world: World, tmp_path: Path
) -> None:
    file, rejects = tmp_path / "orders.csv", tmp_path / "rejects.csv"
    file.write_text("a,2026-01-02,1,10.00\nb,2026-02-30,1,5.00\nc,2026-01-03,1,ten\n[red]d,2026-01-04,1,1.00\n")
    orders = ["import", "orders", str(file), *ORDERS]

    first, second, unknown, ambiguous, lost, layout = await deployment.each(
        [*orders, "--brand", "g1/b1", "--rejects", str(rejects)],
        [*orders, "--brand", "g1/b1"],
        [*orders, "--brand", "b99"],
        [*orders, "--brand", "b1"],
        ["import", "orders", str(tmp_path / "none.csv"), *ORDERS, "--brand", "g1/b1"],
        [*orders[:-1], "fan,price", "--brand", "g1/b1"],
    )

    assert first.code == second.code == 0
    assert "4 rows: 2 created, 0 updated, 0 unchanged, 2 rejected\n" in first.out
    assert "4 rows: 0 created, 0 updated, 2 unchanged, 2 rejected\n" in second.out
    assert [line.partition(":")[0] for line in first.out.splitlines()[-2:]] == ["line 2", "line 3"]
    assert "'2026-02-30' is not an ISO 8601 date" in first.out
    assert len(rejects.read_text().splitlines()) >= 2
    assert refused(unknown, "there is no brand b99")
    assert refused(ambiguous, "several groups have a brand b1: say GROUP/b1")
    for finished in (lost, layout):
        assert finished.code == 1
        assert finished.err.startswith("scrm: ")
        assert finished.err.count("\n") == 1


async def test_the_graph_is_rebuilt_and_compared(deployment: Deployment, world: World, database: Database) -> None:
    brand = str(world.nodes["g1/b1"])

    before, rebuilt, wiped, after, unknown = await deployment.each(
        ["graph", "verify"],
        ["graph", "rebuild"],
        ["graph", "rebuild", "--brand", brand, "--wipe"],
        ["graph", "verify"],
        ["graph", "compare"],
    )

    assert before.code == 1
    assert before.err.endswith("scrm: the graph differs from the tables; `scrm graph rebuild` mends it\n")
    for finished in (rebuilt, wiped, after):
        assert (finished.code, finished.err) == (0, "")
        assert finished.out.endswith("The graph is equal to the tables.\n")
    assert unknown.code == 2
