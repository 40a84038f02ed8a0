"""Relay connections over keyset pages."""

from typing import Any, Generic, TypeVar

import strawberry

from domain.page import Page, count_of

T = TypeVar("T")


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Whether there is more, and the cursors to ask for it."""

    has_next_page: bool = strawberry.field(description="Whether rows follow this page.")
    has_previous_page: bool = strawberry.field(description="Whether rows come before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first row; give it as `before`.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last row; give it as `after`.")


@strawberry.type(description="A row of a page with its cursor.")
class Edge(Generic[T]):
    """One row."""

    cursor: str = strawberry.field(description="Where the row stands in the list.")
    node: T = strawberry.field(description="The row.")


class _Edge:
    __slots__ = ("cursor", "node")

    def __init__(self, cursor: str, node: Any) -> None:
        self.cursor = cursor
        self.node = node


def _edges(root: Page[Any]) -> Any:
    return [_Edge(cursor, row) for cursor, row in zip(root.cursors, root.rows, strict=True)]


def _nodes(root: Page[Any]) -> Any:
    return root.rows


def _page_info(root: Page[Any]) -> Any:
    first, last = (root.cursors[0], root.cursors[-1]) if root.cursors else (None, None)
    return PageInfo(
        has_next_page=root.has_next, has_previous_page=root.has_previous, start_cursor=first, end_cursor=last
    )


async def _total(root: Page[Any], info: strawberry.Info[Any, Any]) -> Any:
    async with info.context.reading() as session:
        return await count_of(session, root)


@strawberry.type(
    description="A page of a list: `first` rows after a cursor or `last` before one, at most 100 (services: 1000)."
)
class Connection(Generic[T]):
    """A page of rows."""

    edges: list[Edge[T]] = strawberry.field(resolver=_edges, description="The rows with their cursors.")
    nodes: list[T] = strawberry.field(resolver=_nodes, description="The rows without their cursors.")
    page_info: PageInfo = strawberry.field(resolver=_page_info, description="Where the page stands in the list.")
    total_count: int = strawberry.field(
        resolver=_total,
        description="How many rows the whole list has for this caller. Counted only when asked for.",
    )
