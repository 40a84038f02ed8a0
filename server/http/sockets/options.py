"""What bounds WebSockets."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """What an operator may set, and what tests make smaller; times are in seconds.

    `origins` are the pages of other hosts that may connect, as a browser names them; `*` stands for all.
    """

    origins: frozenset[str] = frozenset()
    connections: int = 10_000
    connections_per_caller: int = 100
    operations: int = 100
    initialisation_seconds: float = 10.0
    rights_seconds: float = 0.5
    send_seconds: float = 20.0
    request_seconds: float = 10.0
    most_cost: int = 20_000
    name: str = "graphql"
    log_requests: bool = False
    request_lines: Callable[..., None] | None = None
