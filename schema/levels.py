"""Levels of brands, and where fans stand."""

from datetime import datetime

import strawberry

from domain.levels.models import Demotion
from domain.tenancy.queries import brand_of_each
from resolvers import levels, tenancy
from schema.arguments import enum_type
from schema.bind import Node, Payload, column, entity, mutation, query, relation, value
from schema.ids import encode
from schema.page import Connection
from schema.scalars import Int64
from schema.tenancy import Brand

enum_type(Demotion)
MAX_LEVELS = 20


@strawberry.type(description="What a level gives.")
class LevelBenefit:
    name = value(lambda row: row["name"], str, "What it is called.")
    description = value(lambda row: row["description"], str | None, "What it is.")


@entity("A level (等级) of a brand, reached with growth.")
class Level(Node):
    code: str = column("Its code for programs.")
    name: str = column("Its name.")
    growth: Int64 = column("The growth it takes; 0 for the level that everybody has.")
    rank: int = column("Its place on the ladder: 0 for the level that everybody has, and 1 and up for the others.")
    description: str | None = column("What it means.")
    benefits: list[LevelBenefit] = column("What it gives.", size=20)
    archived_at: datetime | None = column("When it was taken off the ladder, where it is.")
    created_at: datetime = column("When it was made.")
    brand = relation(tenancy.brands_of, Brand | None, each=brand_of_each)


@strawberry.type(description="How a brand keeps its levels.")
class LevelProgramme:
    brand_id = value(lambda row: encode("Brand", row.brand_id), strawberry.ID, "The brand's id.")
    demotion: Demotion = column("What becomes of a level that growth does not carry any more.")
    valid_months: int | None = column("For PERIODIC: how many months a level is kept.")
    version: int = column("It grows with every change; 0 where nothing was ever said.")
    settled: bool = column("Whether all fans were looked at since the newest change.")
    levels: list[Level] = column("The levels in force, lowest first.", size=MAX_LEVELS)


@strawberry.type(description="Where a fan stands on their brand's ladder.")
class FanLevel:
    level: Level | None = column("The level; null where they reach none and the brand has none that everybody has.")
    since: datetime | None = column("Since when; null for the level that everybody has.")
    valid_until: datetime | None = column("Until when it is kept at least, where it is kept for months.")
    growth: Int64 = column("The growth that counts.")
    next: Level | None = column("The next level; null at the top.")
    missing: Int64 | None = column("The growth the next level still takes.")


@strawberry.type(description="A level of my brand.")
class MyLevel:
    code: str = column("Its code for programs.")
    name: str = column("Its name.")
    growth: Int64 = column("The growth it takes; 0 for the level that everybody has.")
    rank: int = column("Its place on the ladder: 0 for the level that everybody has, and 1 and up for the others.")
    description: str | None = column("What it means.")
    benefits: list[LevelBenefit] = column("What it gives.", size=20)


@strawberry.type(description="Where I stand on my brand's ladder.")
class MyStanding:
    level: MyLevel | None = column("My level; null where I reach none and the brand has none that everybody has.")
    since: datetime | None = column("Since when; null for the level that everybody has.")
    valid_until: datetime | None = column("Until when it is kept at least, where it is kept for months.")
    growth: Int64 = column("My growth that counts.")
    next: MyLevel | None = column("The next level; null at the top.")
    missing: Int64 | None = column("The growth the next level still takes.")


@strawberry.type(description="How many fans a change of levels moves from one to another.")
class LevelMove:
    before: Level | None = column("The level they have now.")
    after: Level | None = column("The level they would have.")
    fans: Int64 = column("How many they are.")


@strawberry.type(description="What setLevels answers.")
class SetLevelsPayload(Payload):
    programme: LevelProgramme | None = column("How the brand keeps its levels now, or would.")
    moves: list[LevelMove] | None = column("For a dry run: which fans it would move.", size=20)


@strawberry.type
class LevelsQuery:
    level_programme = query(levels.level_programme, LevelProgramme, permission="fan:read")
    levels = query(levels.list_levels, Connection[Level], permission="fan:read", cut=levels.cut_levels)


@strawberry.type
class LevelsMutation:
    set_levels = mutation(levels.set_levels, SetLevelsPayload, permission="level:write")


@strawberry.type
class FanLevelsQuery:
    my_levels = query(levels.my_levels, list[MyLevel], permission="me:read")
