from tests.fixtures import client, graph_client, plain, plain_settings, world

__all__ = ["client", "graph_client", "plain", "plain_settings", "world"]
