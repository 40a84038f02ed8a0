"""The state of the deployment, and what happened in it."""

from domain.audit import AuditEntry, list_entries
from domain.outbox.upkeep import Lag, lag
from domain.page import Page, PageArgs
from resolvers.context import Context


async def graph_lag(context: Context) -> Lag:
    """Say how far the graph is behind the truth."""
    async with context.reading() as session:
        return await lag(session, context.scope, "graph")


async def list_audit_entries(context: Context, *, page: PageArgs) -> Page[AuditEntry]:
    """List the audit log of the nodes the caller may audit, in the order things happened."""
    async with context.reading() as session:
        return await list_entries(session, context.scope, page)
