"""Bringing files of other systems into a brand: streamed, reported by line, safe to run again."""

from server.imports.columns import ORDER_COLUMNS, SHARE_COLUMNS, ColumnSet, parse_columns, parse_delimiter
from server.imports.layout import Layout
from server.imports.orders import import_orders
from server.imports.report import Rejection, Report
from server.imports.shares import import_shares

__all__ = [
    "ORDER_COLUMNS",
    "SHARE_COLUMNS",
    "ColumnSet",
    "Layout",
    "Rejection",
    "Report",
    "import_orders",
    "import_shares",
    "parse_columns",
    "parse_delimiter",
]
