"""What a request carries to its resolvers."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property

from sqlalchemy.ext.asyncio import AsyncSession

from authz.templates import Templates
from authz.tokens import Tokens
from authz.viewer import Viewer
from domain.database import Database
from domain.gather import Gathered
from domain.live.hub import Hub
from domain.points.earning import together
from domain.privacy.erasing import ErasureList
from domain.scope import Scope
from domain.vault import Vault
from graph.driver import Graph
from resolvers.loaders import Loaders


@dataclass(frozen=True)
class Services:
    """What lives as long as the process."""

    database: Database
    vault: Vault
    graph: Graph
    templates: Templates
    tokens: Tokens
    erasure_list: ErasureList
    development_login: bool = False
    # how long events are kept; 0 for ever
    event_months: int = 0

    @cached_property
    def hub(self) -> Hub:
        """Return what reads new events for all who listen in this process."""
        return Hub(self.database)

    @cached_property
    def earning(self) -> Gathered[together.Asked, together.Answered]:
        """Return where calls that earn wait for each other, to share a transaction."""
        return together.gathered(self.database)


@dataclass(frozen=True)
class Context:
    """Who asks, what they may reach, and the ways to data that hold them to it. There is no session to share."""

    viewer: Viewer
    scope: Scope
    services: Services
    loaders: Loaders = field(default_factory=Loaders)
    max_page: int = 100

    def reading(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Open a session of its own for one read or one batch of reads."""
        return self.services.database.reading(self.scope)

    @asynccontextmanager
    async def transaction(self, *, dry_run: bool = False) -> AsyncIterator[AsyncSession]:
        """Open the one transaction of a mutation; a dry run does everything and takes it back at the end."""
        async with self.services.database.writing(self.scope, dry_run=dry_run) as session:
            yield session
