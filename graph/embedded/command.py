"""The command line of the embedded engine: ArcadeDB with the JRE of its PyPI wheel, Bolt on loopback only."""

import importlib.util
import platform
from dataclasses import dataclass
from pathlib import Path

from graph.errors import GraphEngineMissing

HOST = "127.0.0.1"
STATEMENT_TIMEOUT_MS = 30_000


@dataclass(frozen=True)
class Launch:
    """What one start of the engine needs to know."""

    root: Path
    database: str
    heap: str
    development: bool
    password_file: Path
    bolt: int
    http: int


def wheel_directory() -> Path:
    """Find the files of the engine's wheel without importing it, which would load a JVM into this process."""
    spec = importlib.util.find_spec("arcadedb_embedded")
    home = Path(spec.origin).parent if spec is not None and spec.origin is not None else None
    if home is None or not (home / "jre" / "bin" / "java").is_file():
        raise GraphEngineMissing(
            f"the embedded graph engine (arcadedb-embedded) is not installed for {platform.system()} "
            f"{platform.machine()}; install it, or point SCRM_GRAPH_URI at a Neo4j server"
        )
    return home


def command_line(launch: Launch) -> list[str]:
    """Build the argument list for the engine; the password is in a file, so that `ps` does not show it."""
    home = wheel_directory()
    return [
        str(home / "jre" / "bin" / "java"),
        *_jvm_options(launch),
        *(f"-Darcadedb.{name}={value}" for name, value in _settings(launch).items()),
        "-cp",
        str(home / "jars" / "*"),
        "com.arcadedb.server.ArcadeDBServer",
    ]


def _jvm_options(launch: Launch) -> list[str]:
    return [
        "-Xms128m",
        f"-Xmx{launch.heap}",
        "-XX:+UseCompactObjectHeaders",
        "-XX:+ExitOnOutOfMemoryError",
        *(["-XX:TieredStopAtLevel=1"] if launch.development else []),
        "--add-modules=jdk.incubator.vector",
        "--enable-native-access=ALL-UNNAMED",
        "--add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED",
        "--add-opens=java.base/java.nio.channels.spi=ALL-UNNAMED",
        "--add-opens=java.base/java.lang=ALL-UNNAMED",
        "-Djava.awt.headless=true",
        "-Dfile.encoding=UTF8",
        "-Dpolyglot.engine.WarnInterpreterOnly=false",
        f"-XX:ErrorFile={launch.root}/hs_err_pid%p.log",
    ]


def _settings(launch: Launch) -> dict[str, object]:
    return {
        "server.rootPath": launch.root,
        "server.databaseDirectory": launch.root / "databases",
        "server.logsDirectory": launch.root / "log",
        "server.rootPasswordPath": launch.password_file,
        "server.mode": "development" if launch.development else "production",
        "server.plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
        "server.defaultDatabases": f"{launch.database}[]",
        # Both hosts default to 0.0.0.0.
        "server.httpIncomingHost": HOST,
        "server.httpIncomingPort": launch.http,
        "bolt.host": HOST,
        "bolt.port": launch.bolt,
        "bolt.defaultDatabase": launch.database,
        # Only production mode flushes by default; an acknowledged write must survive in every mode.
        "txWalFlush": 1,
        # The engine ignores the driver's transaction timeout, this is the only one it keeps.
        "command.timeout": STATEMENT_TIMEOUT_MS,
        "opencypher.loadCsv.allowFileUrls": "false",
        "opencypher.loadCsv.allowRemoteUrls": "false",
        "polyglotEngineEnabled": "false",
        "serverMetrics": "false",
    }
