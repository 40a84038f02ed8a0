from pathlib import Path

import pytest

from graph.driver import Graph
from tests.conftest import GRAPH, GraphServer
from tests.fixtures import client, graph_client, plain_settings, world
from tests.server.deployed import Deployment

__all__ = ["client", "graph_client", "plain_settings", "world"]

if GRAPH == "neo4j":

    @pytest.fixture
    def outer_graph(graph_server: GraphServer, graph: Graph) -> GraphServer | None:
        """Return the run's Neo4j, empty before and after."""
        return graph_server

else:

    @pytest.fixture
    def outer_graph() -> GraphServer | None:
        """Return nothing: the deployment runs an engine of its own."""
        return None


@pytest.fixture
def deployment(tmp_path: Path, database_url: str, outer_graph: GraphServer | None) -> Deployment:
    """Return a deployment on the test's migrated, empty database; nothing of it runs yet."""
    return Deployment(tmp_path, database_url, outer_graph)
