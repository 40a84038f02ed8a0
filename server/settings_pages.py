"""The pages about settings, made from the settings: docs/settings.md and .env.example."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

from pydantic import SecretStr

from server.settings import Settings

PAGE = """# Settings

Every setting is an environment variable or a line of a `.env` file in the working directory; the environment wins.
This page is made by `scrm settings --markdown` from `server/settings.py`, and a test compares the two.

| Variable | Default | What it is |
|---|---|---|
"""
PRODUCTION = """
In production (`SCRM_ENVIRONMENT=production`) nothing starts without `SCRM_MASTER_KEY`, `SCRM_SIGNING_SECRET`, an https
`SCRM_STAFF_JWKS_URL` and a PostgreSQL `SCRM_DATABASE_URL`, nor with `SCRM_DEVELOPMENT_LOGIN` on. A new master key:
`python -c "import base64, os; print(base64.b64encode(os.urandom(32)).decode())"`. Keep it: without it personal data
cannot be read again. `scrm doctor` tries the settings on what they name.
"""
ENV = (
    "# Copy to .env and take the # off what you set. What is absent has the default shown here; "
    "docs/settings.md is the full table.\n"
)


def settings_page() -> str:
    """Return docs/settings.md."""
    rows = [f"| `{name}` | {f'`{default}`' if default else ''} | {says} |" for name, default, says in _settings()]
    return PAGE + "\n".join(rows) + "\n" + PRODUCTION


def env_example() -> str:
    """Return .env.example: each setting commented out at its default."""
    return ENV + "".join(f"\n# {says}\n# {name}={default}\n" for name, default, says in _settings())


def _settings() -> Iterator[tuple[str, str, str]]:
    for name, field in Settings.model_fields.items():
        if not field.description:
            raise TypeError(f"the setting {name} needs a description")
        yield f"SCRM_{name.upper()}", _written(field.default), field.description


def _written(default: Any) -> str:
    if isinstance(default, SecretStr) or default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return str(default.value if isinstance(default, Enum) else default)
