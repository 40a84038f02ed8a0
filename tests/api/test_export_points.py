"""exportPoints: a brand's ledger as CSV for finance, whole, safe to open, and for who may have it (T21)."""

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from sqlalchemy import func, select, update

from domain import clock
from domain.access.models import Grant, Staff
from domain.jobs.models import Job, JobKind
from domain.jobs.runner import Runner
from domain.points.exports import steps
from domain.points.exports.reports import MARK
from domain.points.ledger import service as ledger
from domain.points.ledger.rules import Earn, Spend
from domain.points.programme.queries import programme_of
from domain.privacy.models import ExportPart
from domain.tables import table_of
from server.handlers import all_handlers
from tests.api.test_points import ME, OTHER, adjust
from tests.cast import EVERYTHING, changed, snapshot
from tests.domain.test_point_chain import seal_all
from tests.world import Client

EXPORT = """mutation($i: ExportPointsInput!) { exportPoints(input: $i) { userErrors { code field message }
  job { id kind state done download { path expiresAt } } } }"""
JOB = "query($id: ID!) { node(id: $id) { ... on Job { state done error download { path } } } }"
# 23:30 of the last of October in Shanghai, an hour after it, and the last of November
OCTOBER, NOVEMBER = datetime(2026, 10, 31, 15, 30, tzinfo=UTC), datetime(2026, 10, 31, 16, 30, tzinfo=UTC)
LATE, NOW = datetime(2026, 11, 30, 15, 59, tzinfo=UTC), datetime(2026, 12, 2, tzinfo=UTC)
jobs, parts, grants, staff = (table_of(model) for model in (Job, ExportPart, Grant, Staff))


async def ask(client: Client, who: str = "B1", report: str = "TRANSFERS", **given: Any) -> dict[str, Any]:
    """Ask for a report of November and return the payload."""
    days = {"since": "2026-11-01", "until": "2026-11-30"}
    wanted = {"brandId": client.world.id("Brand", "g1/b1"), "report": report, **days, **given}
    with clock.at(NOW):
        found: dict[str, Any] = (await client.data(who, EXPORT, i=wanted))["exportPoints"]
    return found


async def work(client: Client) -> None:
    """Do all jobs there are."""
    with clock.at(NOW):
        runner = Runner(client.world.services.database, all_handlers(client.world.services))
        while await runner.run_once():
            pass


async def fetched(client: Client, who: str = "B1", **given: Any) -> str:
    """Return a report, from asking for it to fetching it."""
    asked = await ask(client, who, **given)
    assert (asked["userErrors"], asked["job"]["download"]) == ([], None)
    await work(client)
    again = (await ask(client, who, **given))["job"]
    assert (again["id"], again["state"]) == (asked["job"]["id"], "DONE")
    with clock.at(NOW):
        response = await client.http.get(again["download"]["path"])
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["cache-control"] == "no-store, private"
    return response.content.decode()


def table(text: str) -> list[dict[str, str]]:
    """Return the lines of a report by their heads."""
    assert text.startswith(MARK)
    return list(csv.DictReader(StringIO(text.removeprefix(MARK))))


async def autumn(client: Client) -> None:
    """Let the brand's fans earn and spend in October, at the turn of the month, and in November."""
    with clock.at(OCTOBER):
        await adjust(client, ME, points=100, growth=5)
    with clock.at(NOVEMBER):
        await adjust(client, OTHER, key="l", points=40, reason="=HYPERLINK(1)")
        world = client.world
        async with world.services.database.writing(EVERYTHING) as session:
            programme = await programme_of(session, world.nodes["g1/b1"])
            await ledger.spend(session, programme, Spend(world.fans[ME], 30, "+gift"), actor="test")
            waits = Earn(world.fans[ME], "w", 7, available_at=NOW + timedelta(days=9), reason='中文, "quoted"\nline')
            await ledger.earn(session, programme, [waits], actor="test")
    with clock.at(LATE):
        await adjust(client, ME, key="m", points=-20, reason="-1+1")
    with clock.at(NOW):
        await adjust(client, ME, key="n", points=1)


async def test_every_transfer_of_the_days_is_a_line_with_its_entries_and_nothing_else(client: Client) -> None:
    await autumn(client)
    with clock.at(NOW):
        await seal_all(client.world)

    rows = table(await fetched(client))

    assert [(row["kind"], row["points"], row["balance"], row["link"]) for row in rows] == [
        ("ADJUST", "40", "40", "2"),
        ("SPEND", "-30", "70", "3"),
        ("EARN", "7", "70", "4"),
        ("ADJUST", "-20", "50", "5"),
    ]
    assert {name: rows[1][name] for name in ("spendable", "redeemed", "issued", "growth_issued")} == {
        "spendable": "-30",
        "redeemed": "30",
        "issued": "0",
        "growth_issued": "0",
    }
    assert (rows[2]["pending"], rows[2]["issued"]) == ("7", "-7")
    # the brand's own time, with its offset
    assert rows[0]["recorded_at"] == "2026-11-01T00:30:00+08:00"
    assert rows[3]["recorded_at"] == "2026-11-30T23:59:00+08:00"


async def test_no_spreadsheet_calculates_a_text(client: Client) -> None:
    await autumn(client)

    rows = table(await fetched(client))

    assert [row["reason"] for row in rows][0::2] == ["'=HYPERLINK(1)", '中文, "quoted"\nline']
    assert (rows[3]["reason"], rows[1]["source"]) == ("'-1+1", "'+gift")
    # and a number below zero is one
    assert rows[3]["points"] == "-20"


@pytest.mark.parametrize("size", [1, 2, 1_000])
async def test_the_liability_is_told_by_month_whatever_the_steps(
    client: Client, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(steps, "IDS_AT_ONCE", size)
    await autumn(client)

    rows = table(await fetched(client, report="LIABILITY", since="2026-10-01"))

    shown = [tuple(int(row[name]) for name in ("opening", "issued", "redeemed", "expired", "closing")) for row in rows]
    assert [row["month"] for row in rows] == ["2026-10", "2026-11"]
    assert shown == [(0, 100, 0, 0, 100), (100, 27, 30, 0, 97)]
    later = table(await fetched(client, report="LIABILITY"))
    assert [(row["month"], row["opening"], row["closing"]) for row in later] == [("2026-11", "100", "97")]


async def test_a_report_in_many_steps_is_the_same_bytes_as_in_one(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await autumn(client)
    whole = await fetched(client)
    monkeypatch.setattr(steps, "IDS_AT_ONCE", 1)

    assert await fetched(client, "HQ1") == whole
    async with client.world.services.database.reading(EVERYTHING) as session:
        counts = select(func.count()).select_from(parts).group_by(parts.c.job_id).order_by(parts.c.job_id)
        first, second = (await session.execute(counts)).scalars()
    assert first == 1 < second


async def test_a_brand_without_transfers_has_a_report_of_its_head(client: Client) -> None:
    assert table(await fetched(client)) == []
    (month,) = table(await fetched(client, report="LIABILITY"))
    assert (month["opening"], month["closing"]) == ("0", "0")


async def test_the_same_report_is_one_job_for_who_asks_and_another_for_another(client: Client) -> None:
    first, again = await ask(client), await ask(client)
    other, longer = await ask(client, "HQ1"), await ask(client, since="2026-10-01")

    ids = [one["job"]["id"] for one in (first, again, other, longer)]
    assert (ids[0] == ids[1], len(set(ids))) == (True, 3)


@pytest.mark.parametrize(
    "given, field",
    [
        ({"until": "2026-12-02"}, "until"),
        ({"until": "2027-01-01"}, "until"),
        ({"since": "2026-12-01"}, "since"),
        ({"since": "2025-11-29"}, "since"),
        ({"since": "1999-12-31", "until": "2000-01-01"}, "since"),
    ],
)
async def test_days_that_are_not_over_or_too_many_are_refused(
    client: Client, given: dict[str, str], field: str
) -> None:
    before = await snapshot(client.world)

    refused = await ask(client, **given)

    assert [(one["code"], one["field"]) for one in refused["userErrors"]] == [("BAD_USER_INPUT", ["input", field])]
    assert changed(before, await snapshot(client.world)) == set()


async def test_a_right_that_was_taken_before_the_job_runs_fails_it(client: Client) -> None:
    await autumn(client)
    job = (await ask(client))["job"]
    async with client.world.services.database.writing(EVERYTHING) as session:
        number = select(jobs.c.principal).where(jobs.c.kind == JobKind.EXPORT_POINTS.value)
        principal = (await session.execute(number)).scalar_one()
        mine = staff.c.id == int(principal.removeprefix("staff:"))
        await session.execute(update(staff).where(mine).values(disabled_at=NOW))

    await work(client)

    found = (await client.data("HQ1", JOB, id=job["id"]))["node"]
    assert (found["state"], found["error"]) == ("FAILED", "Forbidden")
    async with client.world.services.database.reading(EVERYTHING) as session:
        assert (await session.execute(select(func.count()).select_from(parts))).scalar_one() == 0


async def test_a_link_is_for_who_asked_for_a_while_and_as_long_as_they_may(client: Client) -> None:
    await autumn(client)
    await fetched(client)
    with clock.at(NOW):
        job = (await ask(client))["job"]
        others = (await client.data("HQ1", JOB, id=job["id"]))["node"]
        path = job["download"]["path"]
        assert (await client.http.get(path)).status_code == 200
        assert (await client.http.get(path[:-2] + "xx")).status_code == 404
        # one kind of link opens nothing of the other
        assert (await client.http.get(path.replace("/reports/", "/fan/exports/"))).status_code == 404
    assert others["download"] is None
    with clock.at(NOW + timedelta(minutes=6)):
        assert (await client.http.get(path)).status_code == 404
    async with client.world.services.database.writing(EVERYTHING) as session:
        await session.execute(update(grants).values(expires_at=NOW - timedelta(days=1)))
    with clock.at(NOW):
        assert (await client.http.get(path)).status_code == 404


async def test_who_may_not_see_the_whole_ledger_takes_none_of_it_out(client: Client) -> None:
    before, days = await snapshot(client.world), {"since": "2026-11-01", "until": "2026-11-30"}
    wanted = {"brandId": client.world.id("Brand", "g1/b1"), "report": "TRANSFERS", **days}

    for who in ("D1", "S1", "B1READ", "ANALYST", "SERVICE"):
        assert await client.codes(who, EXPORT, i=wanted) == ["FORBIDDEN"], who
    for who in ("B2", "G2"):
        assert (await ask(client, who))["userErrors"][0]["code"] == "NOT_FOUND", who
    assert await snapshot(client.world) == before
