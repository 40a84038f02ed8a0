"""The pages about settings say what the settings are."""

from pathlib import Path

from pydantic_settings import BaseSettings
from sqlalchemy.engine import make_url

from server.settings import Settings
from server.settings_pages import env_example, settings_page

ROOT = Path(__file__).parents[2]


def test_the_table_of_settings_is_what_the_code_says() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

    assert page == settings_page(), "run `scrm settings --markdown > docs/settings.md`"
    for name in Settings.model_fields:
        assert f"| `SCRM_{name.upper()}` |" in page


def test_the_example_of_an_env_file_is_what_the_code_says() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example(), (
        "run `scrm settings --env > .env.example`"
    )


def test_the_example_with_every_line_taken_in_is_the_defaults(tmp_path: Path) -> None:
    lines = [line.removeprefix("# ") for line in env_example().splitlines() if line.startswith("# SCRM_")]
    optional = [f"{line}null" if line.endswith(("LOGIN=", "GRAPHIQL=", "INTROSPECTION=")) else line for line in lines]
    file = tmp_path / "env"
    file.write_text("\n".join(line for line in optional if not line.endswith("null")))

    assert issubclass(Settings, BaseSettings)
    assert Settings(_env_file=file) == Settings(_env_file=None)
    assert make_url(Settings(_env_file=file).database).get_backend_name() == "sqlite"
