"""Relay connections over keyset pages."""

from typing import Any, Generic, TypeVar

import strawberry

from domain.page import Page
from resolvers.pages import totals_of
from schema.bind import relation, value

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


def _edges(page: Page[Any]) -> list[_Edge]:
    return [_Edge(cursor, row) for cursor, row in zip(page.cursors, page.rows, strict=True)]


def _nodes(page: Page[Any]) -> Any:
    return page.rows


def _page_info(page: Page[Any]) -> PageInfo:
    first, last = (page.cursors[0], page.cursors[-1]) if page.cursors else (None, None)
    return PageInfo(
        has_next_page=page.has_next, has_previous_page=page.has_previous, start_cursor=first, end_cursor=last
    )


@strawberry.type(
    description="A page of a list: `first` rows after a cursor or `last` before one, at most 100 (services: 1000)."
)
class Connection(Generic[T]):
    """A page of rows."""

    edges: list[Edge[T]] = value(_edges, list[Edge[T]], "The rows with their cursors.")
    nodes: list[T] = value(_nodes, list[T], "The rows without their cursors.")
    page_info: PageInfo = value(_page_info, PageInfo, "Where the page stands in the list.")
    total_count: int = relation(totals_of, int)
