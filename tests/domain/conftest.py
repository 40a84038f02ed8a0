from tests.books import books
from tests.fixtures import client, graph_client, plain_settings, world

__all__ = ["books", "client", "graph_client", "plain_settings", "world"]
