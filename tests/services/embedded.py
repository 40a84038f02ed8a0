"""A throw-away embedded graph engine for a test run."""

from pathlib import Path

from graph.embedded import EmbeddedGraph
from tests.services.neo4j_server import Auth, Stop


async def start(root: Path) -> tuple[str, Auth, Stop]:
    """Start an engine in an empty folder; return its address, its credentials and how to stop it."""
    engine = EmbeddedGraph(root, development=True)
    await engine.start()
    return engine.uri, engine.auth, engine.stop
