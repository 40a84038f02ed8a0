"""After a restored backup who was erased is erased again, and nobody else."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from domain.database import Database
from domain.privacy.erasing import Erased
from server.commands.erase import _list, _lists, _replay
from server.commands.settings import CommandError
from server.erasures import ErasureFile, read, written
from server.settings import Settings
from tests.api.test_erase_me import ERASE, ME, OTHER, contents, hold_something, naming
from tests.api.test_export_my_data import work
from tests.conftest import DATABASE
from tests.world import Client, master_key_text


@pytest.fixture
def here(plain_settings: Settings, tmp_path: Path) -> Settings:
    """Return the settings a command runs with beside the test's server."""
    return plain_settings.model_copy(update={"master_key": type(plain_settings.master_key)(master_key_text())})


@pytest.mark.skipif(DATABASE != "sqlite", reason="a backup of the test is a copy of the file")
async def test_a_restored_backup_is_erased_again(
    client: Client, here: Settings, tmp_path: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    world, live = client.world, Path(str(database.url.database))
    await hold_something(world)
    async with database.engine.connect() as connection:
        await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    backup = shutil.copyfile(live, tmp_path / "backup.sqlite3")
    await client.data(ME, ERASE)
    await work(world)
    capsys.readouterr()
    await _list(here)
    printed = tmp_path / "printed.jsonl"
    printed.write_text(capsys.readouterr().out)
    restored = here.model_copy(update={"database_url": f"sqlite:///{backup}"})

    # of the two lists either would do, and both are no harm
    assert await _replay(restored, [here.erasure_file, printed]) == 1
    assert await _replay(restored, [here.erasure_file]) == 0

    other = Database(restored.database)
    rows = await contents(other)
    await other.dispose()
    assert naming(rows, world.fans[ME]) <= {"erasures", "jobs"}
    assert [row["nickname"] for row in rows["fans"] if row["id"] == world.fans[OTHER]] == [f"粉丝 {OTHER}"]
    assert len([row for row in rows["fans"] if row["erased_at"]]) == 1


async def test_who_got_the_number_of_an_erased_fan_stays(client: Client, here: Settings) -> None:
    world = client.world
    await client.data(ME, ERASE)
    await work(world)
    line = here.erasure_file.read_text().replace(f"[{world.fans[ME]}]", f"[{world.fans[OTHER]}]")
    here.erasure_file.write_text(line)

    assert await _replay(here, [here.erasure_file]) == 0

    assert (await client.data(OTHER, "{ me { nickname } }"))["me"]["nickname"] == f"粉丝 {OTHER}"


async def test_a_file_that_is_no_list_is_refused(client: Client, here: Settings, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"nobody\nat all\n")

    with pytest.raises(CommandError, match="there is no erasure in it"):
        await _replay(here, [wrong])
    with pytest.raises(CommandError, match="No such file"):
        await _replay(here, [tmp_path / "nowhere"])


FIRST, SECOND = (Erased(1, 2, [fan], [str(UUID(int=fan))], datetime(2026, 1, fan, tzinfo=UTC)) for fan in (3, 4))


@pytest.mark.parametrize("before", [b"", written(FIRST)], ids=["first", "later"])
@pytest.mark.parametrize("torn", [written(FIRST)[:20], written(FIRST)[:-1], b"\x00\xff"], ids=["cut", "whole", "trash"])
async def test_a_torn_line_hides_none_after_it(tmp_path: Path, before: bytes, torn: bytes) -> None:
    file = tmp_path / "list"
    file.write_bytes(before + torn)

    await ErasureFile(file).add(SECOND)

    with file.open("rb") as lines:
        found = list(read(lines))
    assert found[-1] == SECOND
    assert [one for one in found if one == FIRST] == [FIRST] * (bool(before) + torn.endswith(b"}"))


def test_a_line_glued_to_a_torn_one_is_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    # as lists were written before a torn line was seen to
    file = tmp_path / "list"
    file.write_bytes(written(FIRST)[:30] + written(SECOND) + b"nobody\n" + written(FIRST))

    assert list(_lists([file])) == [SECOND, FIRST]
    assert " ".join(capsys.readouterr().out.split()).count("is no erasure") == 2
