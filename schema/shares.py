"""Cascades: who passed which content to whom."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from resolvers import shares, tenancy
from schema.bind import Node, column, entity, query, relation
from schema.generations import Generation
from schema.page import Connection
from schema.tenancy import Brand

if TYPE_CHECKING:
    from schema.fans import Fan

OneFan = Annotated["Fan", strawberry.lazy("schema.fans")]


@strawberry.type(description="A cascade's shape in the graph now. It may lag behind `size`: see graphLag.")
class CascadeShape:
    depth: int = column("The distance of the farthest fan from the seed.")
    fan_count: int = column("How many fans the graph has in it, the seed too.")
    breadth: list[Generation] = column("How many fans there are at each distance from the seed.", size=12)


@strawberry.type(description="One fan on the way from a seed.")
class PathStep:
    position: int = column("The distance from the seed, which is at 0.")
    fan: OneFan | None = column("The fan; null where the caller may not see them.")


@entity("One content's way through a brand's fans (传播路径), a tree from its seed.")
class Cascade(Node):
    source: str = column("The system its content comes from.")
    code: str = column("The content's code there.")
    size: int = column("How many fans it has, the seed too.")
    created_at: datetime = column("When it was first heard of.")
    shape = relation(shares.shapes_of, CascadeShape | None, permission="graph:read")
    seed = relation(shares.seeds_of, OneFan | None, permission="fan:read")
    path = relation(shares.paths_of, list[PathStep] | None, permission="graph:read", size=12)
    brand = relation(tenancy.brands_of, Brand | None)


@strawberry.type
class SharesQuery:
    cascade = query(shares.get_cascade, Cascade, permission="share:read")
    cascades = query(shares.list_cascades, Connection[Cascade], permission="share:read")
