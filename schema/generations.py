"""Numbers by generation, of cascades and of downlines."""

import strawberry

from schema.bind import column


@strawberry.type(description="How many fans there are at one distance from a start.")
class Generation:
    number: int = column("The distance: 0 is the start itself.")
    fan_count: int = column("How many fans are there.")
