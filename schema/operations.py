"""The state of the deployment, and what happened in it."""

from datetime import datetime

import strawberry
from strawberry.scalars import JSON

from resolvers import nodes, operations
from schema.bind import Node, column, query
from schema.page import Connection


@strawberry.type(description="How far the graph is behind the truth.")
class GraphLag:
    pending: int = column("How many changes are on their way, counted up to 10,001.")
    oldest_seconds: float = column("How long the oldest of them has waited, in seconds; 0 where there is none.")
    dead: int = column("How many changes were given up after ten tries, counted up to 10,001.")


@strawberry.type(description="One line of the audit log.")
class AuditEntry:
    principal: str = column("Who did it.")
    action: str = column("What was done.")
    subject: str = column("What it was done to, as kind and number.")
    detail: JSON = column("What it was before and after, by ids and codes.")
    at: datetime = column("When.")


@strawberry.type
class OperationsQuery:
    node = query(nodes.get_node, Node, permission="viewer:read")
    nodes = query(nodes.list_nodes, list[Node | None], permission="viewer:read")
    graph_lag = query(operations.graph_lag, GraphLag, permission="graph:read")
    audit_log = query(operations.list_audit_entries, Connection[AuditEntry], permission="audit:read")
