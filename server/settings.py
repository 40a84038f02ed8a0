"""Every setting, from environment variables `SCRM_*` or a `.env` file. docs/settings.md is made from here."""

import base64
import os
import secrets
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from authz.tokens import TokenSettings
from domain.vault import KEY_BYTES


class Environment(StrEnum):
    """Where the deployment stands. Production refuses every convenience that would be a hole there."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class SettingsError(Exception):
    """The settings do not make a deployment; the message says which and why."""


LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)]
# the names a URL may give, and the driver each means
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


class Settings(BaseSettings):
    """The settings of one process."""

    model_config = SettingsConfigDict(env_prefix="SCRM_", env_file=".env", extra="ignore", frozen=True)

    environment: Environment = Field(Environment.DEVELOPMENT, description="`development` or `production`.")
    data_dir: Path = Field(Path(".scrm"), description="Where SQLite, the embedded graph and development keys are kept.")
    erasure_list: str = Field("", description="File of who was erased, backed up apart; empty for the data directory.")
    host: str = Field("127.0.0.1", description="The address the server listens on.")
    port: int = Field(8000, ge=0, le=65535, description="The port the server listens on.")
    database_url: str = Field("", description="SQLAlchemy URL; empty for SQLite in the data directory.")
    migration_url: str = Field("", description="URL of the role that owns the tables; empty for the database URL.")
    database_pool_size: int = Field(
        10,
        ge=1,
        le=200,
        description="Connections to PostgreSQL a process keeps, as many again for direct reads, and six.",
    )
    graph_uri: str = Field("", description="Bolt URI of Neo4j; empty for the embedded engine.")
    graph_user: str = Field("neo4j", description="Neo4j user.")
    graph_password: SecretStr = Field(SecretStr(""), description="Neo4j password.")
    graph_database: str = Field("neo4j", description="Neo4j database.")
    graph_heap: str = Field("512m", pattern=r"^\d+[kmgKMG]$", description="Heap of the embedded engine.")
    master_key: SecretStr = Field(SecretStr(""), description="Base64 of the 32 bytes that wrap the groups' data keys.")
    signing_secret: SecretStr = Field(SecretStr(""), description="Secret of at least 32 characters for our own tokens.")
    staff_issuer: str = Field("headless-scrm", description="Expected `iss` of tokens.")
    staff_audience: str = Field("headless-scrm:staff", description="Expected `aud` of staff tokens.")
    fan_audience: str = Field("headless-scrm:fan", description="Expected `aud` of fan tokens.")
    staff_jwks_url: str = Field("", description="Key set of the identity provider; empty for HS256 in development.")
    development_login: bool | None = Field(None, description="Fan login without WeChat; on in development only.")
    graphiql: bool | None = Field(None, description="GraphiQL at the endpoints; on in development only by default.")
    introspection: bool | None = Field(None, description="Introspection for all; on in development by default.")
    get_queries: bool = Field(default=False, description="Queries by GET.")
    socket_origins: str = Field(
        "", description="Origins of other hosts' pages that may open WebSockets, by commas; `*`: all."
    )
    socket_limit: int = Field(10_000, ge=1, description="WebSockets a process holds open.")
    max_cost: int = Field(20_000, ge=1, description="Points one operation may cost.")
    bucket_size: int = Field(100_000, ge=1, description="Points a caller may hold.")
    bucket_restore: int = Field(10_000, ge=1, description="Points a caller gets back each second.")
    request_seconds: float = Field(10.0, gt=0, description="Time limit of a request.")
    drain_seconds: float = Field(5.0, ge=0, description="Time between not ready and refusing, at SIGTERM.")
    graceful_seconds: int = Field(20, ge=0, description="Time that requests under way get at shutdown.")
    executor: Literal["look_ahead", "compiled", "reference"] = Field(
        "look_ahead", description="How queries run: `look_ahead`, `compiled` or `reference` (graphql-core alone)."
    )
    event_months: int = Field(
        0, ge=0, le=1200, description="Months events are kept, of 31 days; 0 keeps them for ever."
    )
    worker: bool = Field(default=True, description="Run the projector in the server's process.")
    log_level: LogLevel = Field("INFO", description="Least level logged: DEBUG, INFO, WARNING or ERROR.")
    log_requests: bool = Field(default=True, description="Log a line for each operation.")
    log_json: bool = Field(default=True, description="Log JSON lines; off for people.")

    @field_validator("database_url", "migration_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        try:
            known = not url or make_url(url).drivername in {*_DRIVERS, *_DRIVERS.values()}
        except (ArgumentError, ValueError):
            known = False
        if not known:
            raise ValueError("must be a URL such as postgresql://user:password@host/database")
        return url

    @model_validator(mode="after")
    def _hold_production_to_its_rules(self) -> Self:
        if self.environment is Environment.PRODUCTION:
            problems = self.production_problems()
            if problems:
                raise ValueError("; ".join(problems))
        return self

    def production_problems(self) -> list[str]:
        """Return what makes these settings unfit for production."""
        jwks = self.staff_jwks_url
        rules = (
            (not self.master_key.get_secret_value(), "SCRM_MASTER_KEY is required"),
            (len(self.signing_secret.get_secret_value()) < 32, "SCRM_SIGNING_SECRET needs 32 characters or more"),
            (not jwks, "SCRM_STAFF_JWKS_URL is required: staff tokens come from an identity provider"),
            (bool(jwks) and not jwks.startswith("https://"), "SCRM_STAFF_JWKS_URL must be an https address"),
            (self.development_login is True, "SCRM_DEVELOPMENT_LOGIN cannot be on"),
            (not self.database_url.startswith("postgres"), "SCRM_DATABASE_URL must name a PostgreSQL database"),
        )
        return [text for wrong, text in rules if wrong]

    @property
    def is_development(self) -> bool:
        return self.environment is Environment.DEVELOPMENT

    @property
    def allows_development_login(self) -> bool:
        return self.is_development and self.development_login is not False

    @property
    def shows_graphiql(self) -> bool:
        return self.is_development if self.graphiql is None else self.graphiql

    @property
    def allowed_origins(self) -> frozenset[str]:
        return frozenset(origin.strip() for origin in self.socket_origins.split(",") if origin.strip())

    @property
    def allows_introspection(self) -> bool:
        return self.is_development if self.introspection is None else self.introspection

    @property
    def database(self) -> str:
        """The application's database URL with the async driver named."""
        return _with_driver(self.database_url or f"sqlite:///{self.data_dir.resolve() / 'scrm.db'}")

    @property
    def owner_database(self) -> str:
        """The URL migrations run under."""
        return _with_driver(self.migration_url) if self.migration_url else self.database

    @property
    def erasure_file(self) -> Path:
        return Path(self.erasure_list) if self.erasure_list else self.data_dir / "erasures.jsonl"

    @property
    def graph_directory(self) -> Path:
        return self.data_dir / "graph"

    @cached_property
    def key_material(self) -> bytes:
        """The master key. In development one is made at first use and kept in the data directory."""
        text = self.master_key.get_secret_value() or _kept_secret(self.data_dir / "master.key", KEY_BYTES)
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError as error:
            raise SettingsError("SCRM_MASTER_KEY is not base64") from error
        if len(key) != KEY_BYTES:
            raise SettingsError(f"SCRM_MASTER_KEY must be {KEY_BYTES} bytes in base64")
        return key

    @cached_property
    def tokens(self) -> TokenSettings:
        """What tokens are made and checked with."""
        secret = self.signing_secret.get_secret_value() or _kept_secret(self.data_dir / "signing.key", 48)
        return TokenSettings(
            issuer=self.staff_issuer,
            audience_staff=self.staff_audience,
            audience_fan=self.fan_audience,
            hs256_secret=secret,
            jwks_url=self.staff_jwks_url or None,
        )


def _with_driver(url: str) -> str:
    parsed = make_url(url)
    name = _DRIVERS.get(parsed.drivername, parsed.drivername)
    return parsed.set(drivername=name).render_as_string(hide_password=False)


def _kept_secret(path: Path, size: int) -> str:
    """Return the secret in the file, making it, readable by its owner alone, where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = base64.b64encode(secrets.token_bytes(size))
    # written whole under another name first, so that two processes at once end with one secret and never half of one
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(made)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()
