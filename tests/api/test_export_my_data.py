import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from domain import clock
from domain.events.models import FanEvent
from domain.jobs.models import Job, JobKind
from domain.jobs.runner import Runner
from domain.privacy import exporting
from domain.privacy.handlers import handlers
from domain.privacy.models import ExportPart
from domain.privacy.service import EXPORTS_KEPT, prune_exports
from domain.tables import table_of
from tests.cast import EVERYTHING, add
from tests.world import Client, World

ME, OTHER = "g1/b1/d1#2", "g1/b1/d1#3"
EXPORT = """mutation($sections: [String!]) { exportMyData(input: {sections: $sections}) {
  job { id kind state done download { path } } userErrors { code field message } } }"""
JOB = "query($id: ID!) { myJob(id: $id) { state done finishedAt download { path expiresAt } } }"
parts, jobs = table_of(ExportPart), table_of(Job)


def phone_of(name: str) -> str:
    """Return the phone the world gives a fan."""
    return f"1380000{sum(name.encode()) % 10_000:04d}"


def runner_of(world: World) -> Runner:
    return Runner(world.services.database, handlers(world.services.vault, world.services.erasure_list))


async def work(world: World) -> None:
    """Do all jobs there are."""
    runner = runner_of(world)
    while await runner.run_once():
        pass


async def exported(client: Client, who: str = ME, sections: list[str] | None = None) -> dict[str, Any]:
    """Return the document of a fan, from asking for it to fetching it."""
    asked = (await client.data(who, EXPORT, sections=sections))["exportMyData"]
    assert asked["userErrors"] == []
    assert (asked["job"]["state"], asked["job"]["download"]) == ("QUEUED", None)
    await work(client.world)
    job = (await client.data(who, JOB, id=asked["job"]["id"]))["myJob"]
    assert job["state"] == "DONE"
    response = await client.http.get(job["download"]["path"])
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store, private"
    found: dict[str, Any] = json.loads(response.content)
    return found


async def test_a_fan_takes_along_all_that_is_held_about_them(client: Client) -> None:
    world = client.world
    place = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"], "fan_id": world.fans[ME]}
    now = clock.now()
    event = {"name": "scan", "occurred_at": now, "received_at": now, "properties": {"at": "店"}, "clamped": False}
    await add(world, FanEvent, **place, **event)
    await client.data(
        ME,
        """mutation { setMyConsents(input: {policy: "2026-01", choices: [{purpose: MARKETING, granted: true}]})
        { userErrors { code } } }""",
    )

    found = await exported(client)

    assert found["format"] == "scrm-export/1"
    assert found["profile"][0]["nickname"] == f"粉丝 {ME}"
    assert found["profile"][0]["phone"] == phone_of(ME)
    assert [(i["kind"], i["issuer"], i["value"]) for i in found["identities"]] == [("EXTERNAL_ID", "test", ME)]
    assert [(o["number"], o["amount"], [line["title"] for line in o["lines"]]) for o in found["orders"]] == [
        (ME, 2000, ["茶"])
    ]
    assert {tag["name"] for tag in found["tags"]} == {"tag of g1", "tag of g1/b1"}
    assert [(c["purpose"], c["granted"]) for c in found["consents"]] == [("MARKETING", True)]
    assert [(e["name"], e["properties"]) for e in found["events"]] == [("scan", {"at": "店"})]
    (made,), (received,) = found["sharesMade"], found["sharesReceived"]
    assert (made["from"], received["to"]) == ("me", "me")
    assert found["referrals"][0]["invitee"] == made["to"]
    assert found["referredBy"][0]["referrer"] == received["from"] != made["to"]


async def test_nothing_in_it_is_of_another_fan(client: Client) -> None:
    found = json.dumps(await exported(client), ensure_ascii=False)
    world = client.world

    strangers = [name for name in world.fans if name != ME]
    assert not [name for name in strangers if name in found]
    phones = {phone_of(name) for name in strangers} - {phone_of(ME)}
    assert not [phone for phone in phones if phone in found]
    assert not [name for name in strangers if world.id("Fan", name) in found]


async def test_the_ends_of_two_documents_cannot_be_put_together(client: Client) -> None:
    first = await exported(client, ME, ["sharesMade"])
    second = await exported(client, "g1/b1/d1#4", ["sharesReceived"])

    # both name the fan between them and nobody can see it
    assert set(first) == {"format", "brand", "madeAt", "sharesMade"}
    assert first["sharesMade"][0]["to"].startswith("fan-")
    assert first["sharesMade"][0]["to"] != second["sharesReceived"][0]["from"]


async def test_a_document_in_many_pieces_is_one_json_document(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = await exported(client)
    monkeypatch.setattr(exporting, "ROWS_PER_PART", 1)

    pieces = await exported(client)

    async with client.world.services.database.reading(EVERYTHING) as session:
        counts = (await session.execute(select(func.count(parts.c.job_id)).group_by(parts.c.job_id))).scalars().all()
    assert min(counts) == 1
    assert max(counts) > 5
    for document in (whole, pieces):
        del document["madeAt"], document["sharesMade"], document["sharesReceived"]
        del document["referrals"], document["referredBy"]
    assert pieces == whole


async def test_it_is_sealed_where_it_lies(client: Client) -> None:
    await exported(client)

    async with client.world.services.database.reading(EVERYTHING) as session:
        sealed = b"".join((await session.execute(select(parts.c.sealed))).scalars())
    assert ME.encode() not in sealed
    assert "粉丝".encode() not in sealed


async def test_another_fan_finds_neither_the_job_nor_the_document(client: Client) -> None:
    asked = (await client.data(ME, EXPORT))["exportMyData"]["job"]["id"]
    await work(client.world)

    assert await client.codes(OTHER, JOB, id=asked) == ["NOT_FOUND"]
    assert (await client.data(OTHER, "{ myJobs(first: 5) { totalCount } }"))["myJobs"] == {"totalCount": 0}
    assert (await client.data(ME, "{ myJobs(first: 5) { totalCount } }"))["myJobs"] == {"totalCount": 1}


async def test_a_link_that_is_old_bent_or_made_for_something_else_opens_nothing(client: Client) -> None:
    await exported(client)
    world = client.world
    async with world.services.database.reading(EVERYTHING) as session:
        job_id = (await session.execute(select(jobs.c.id))).scalar_one()
    tokens, lasts = world.services.tokens, timedelta(minutes=5)
    with clock.at(clock.now() - lasts):
        old = tokens.mint_download(job_id, world.fans[ME], lasts)
    links = {
        "old": old,
        "bent": tokens.mint_download(job_id, world.fans[ME], lasts)[:-2] + "xx",
        "of another": tokens.mint_download(job_id, world.fans[OTHER], lasts),
        "of no job": tokens.mint_download(job_id + 1, world.fans[ME], lasts),
        "an access token": world.token(ME),
        "nothing": "x",
    }

    answers = {name: await client.http.get(f"/fan/exports/{link}") for name, link in links.items()}

    assert {name: (a.status_code, a.json()) for name, a in answers.items()} == dict.fromkeys(
        links, (404, {"error": "NOT_FOUND"})
    )
    link = tokens.mint_download(job_id, world.fans[ME], lasts)
    bearer = {"authorization": f"Bearer {link}"}
    used = await client.http.post("/fan/graphql", json={"query": "{ me { nickname } }"}, headers=bearer)
    assert used.status_code == 401


async def test_asking_again_while_it_is_made_asks_for_nothing_new_and_three_a_day_are_enough(client: Client) -> None:
    first = (await client.data(ME, EXPORT))["exportMyData"]["job"]["id"]
    assert (await client.data(ME, EXPORT))["exportMyData"]["job"]["id"] == first
    for _ in range(2):
        await work(client.world)
        await client.data(ME, EXPORT)
    await work(client.world)

    assert await client.codes(ME, EXPORT) == ["RATE_LIMITED"]
    assert await client.codes(OTHER, EXPORT) == []


async def test_an_unknown_section_is_named_and_nothing_is_made(client: Client) -> None:
    for sections in (["orders", "secrets"], [], ["orders", "orders"]):
        (error,) = (await client.data(ME, EXPORT, sections=sections))["exportMyData"]["userErrors"]
        assert (error["code"], error["field"]) == ("BAD_USER_INPUT", ["input", "sections"])

    async with client.world.services.database.reading(EVERYTHING) as session:
        assert (await session.execute(select(func.count()).select_from(jobs))).scalar_one() == 0


async def test_documents_go_after_seven_days(client: Client) -> None:
    await exported(client)
    world = client.world
    asked = (await client.data(ME, "{ myJobs(first: 1) { nodes { id } } }"))["myJobs"]["nodes"][0]["id"]
    earlier = clock.now() - EXPORTS_KEPT - timedelta(minutes=1)
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(update(jobs).values(created_at=earlier))
        await session.execute(update(parts).values(created_at=earlier))

    assert await prune_exports(world.services.database) == 1

    assert (await client.data(ME, JOB, id=asked))["myJob"]["download"] is None


async def test_staff_see_that_there_is_a_job_and_not_what_it_made(client: Client) -> None:
    await exported(client)
    query = "{ jobs(first: 5) { totalCount nodes { id kind state download { path } } } }"

    (job,) = (await client.data("B1", query))["jobs"]["nodes"]
    assert (job["kind"], job["download"]) == (JobKind.EXPORT_FAN, None)
    assert (await client.data("B2", query))["jobs"]["totalCount"] == 0
    assert await client.codes("D1", query) == ["FORBIDDEN"]


async def test_two_workers_make_one_document(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "ROWS_PER_PART", 1)
    asked = (await client.data(ME, EXPORT))["exportMyData"]["job"]["id"]

    await asyncio.gather(*(work(client.world) for _ in range(3)))
    await work(client.world)

    job = (await client.data(ME, JOB, id=asked))["myJob"]
    document = json.loads((await client.http.get(job["download"]["path"])).content)
    assert len(document["orders"]) == 1
    assert job["done"] == sum(len(rows) for rows in document.values() if isinstance(rows, list))
