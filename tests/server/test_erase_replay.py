"""After a restored backup who was erased is erased again, and nobody else."""

import shutil
from pathlib import Path

import pytest

from domain.database import Database
from server.commands.erase import _list, _replay
from server.commands.settings import CommandError
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


async def test_a_list_cut_short_by_a_crash_is_read_and_one_that_is_none_is_refused(
    client: Client, here: Settings, tmp_path: Path
) -> None:
    await client.data(ME, ERASE)
    await work(client.world)
    text = here.erasure_file.read_bytes()
    cut, wrong = tmp_path / "cut", tmp_path / "wrong"
    cut.write_bytes(text + text[:20])
    wrong.write_bytes(b"nobody\n" + text)

    assert await _replay(here, [cut]) == 0
    with pytest.raises(CommandError, match="line 1 is no erasure"):
        await _replay(here, [wrong])
    with pytest.raises(CommandError, match="No such file"):
        await _replay(here, [tmp_path / "nowhere"])
