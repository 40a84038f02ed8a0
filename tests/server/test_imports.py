"""Files of other systems, brought into a brand: whatever is in them, however often, however interrupted."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from domain.database import Database
from domain.errors import BadInput, Conflict, NotFound
from domain.fans.models import Fan
from domain.orders.models import Order, OrderState
from domain.orders.service import record_orders
from domain.persons.models import Identity
from domain.scope import system_scope
from domain.shares.models import Cascade, Share
from domain.tables import table_of
from domain.tenancy.models import Brand, Group
from domain.vault import Vault
from server.imports import (
    ORDER_COLUMNS,
    SHARE_COLUMNS,
    Layout,
    Rejection,
    Report,
    import_orders,
    import_shares,
    parse_columns,
    parse_delimiter,
)
from server.imports import feed as feeding
from server.imports import orders as importing_orders
from server.imports import report as reports
from server.imports import shares as importing_shares
from server.imports.columns import split
from server.imports.layout import Times, zone
from server.imports.lines import MAX_LINE_BYTES, lines
from server.imports.rows import order_row

REAL_FILES = Path(__file__).resolve().parents[3] / "shared" / "data"
MASTER_KEY = b"0123456789abcdef" * 2
SYSTEM = system_scope("test")
FIRST, SECOND = 1, 2

ORDERS = Layout("fan,placed_on,quantity,amount", "shop")
NUMBERED = Layout("number,fan,placed_at,amount,state", "shop", header=True)
SHARES = Layout("reached,sharer,cascade", "posts")
SHANGHAI = Times(zone("Asia/Shanghai"))

fans, orders, identities = table_of(Fan), table_of(Order), table_of(Identity)
cascades, shares = table_of(Cascade), table_of(Share)


class Silent:
    """Listens to nothing."""

    def advance(self, stage: str, done: int, total: int) -> None:
        pass


class Cut(Exception):
    """The import is cut off here."""


class CutAfter:
    """Cuts an import off after so many batches."""

    def __init__(self, batches: int) -> None:
        self._left = batches

    def advance(self, stage: str, done: int, total: int) -> None:
        self._left -= 1
        if self._left <= 0:
            raise Cut


@pytest.fixture
async def vault(database: Database) -> Vault:
    """Two brands of one group, with the group's data key."""
    made = Vault(MASTER_KEY)
    async with database.writing(SYSTEM) as session:
        session.add(Group(id=1, code="g1", name="G1"))
        await session.flush()
        session.add_all([Brand(id=brand, group_id=1, code=f"b{brand}", name="B") for brand in (FIRST, SECOND)])
        await made.create_key(session, 1)
    return made


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "BATCH", 3)
    monkeypatch.setattr(importing_shares, "BATCH", 3)


def written(folder: Path, *rows: str, encoding: str = "utf-8") -> Path:
    path = folder / "file.csv"
    path.write_bytes("".join(f"{row}\n" for row in rows).encode(encoding))
    return path


async def fetched(database: Database, statement: Any) -> list[Any]:
    async with database.reading(SYSTEM) as session:
        return list((await session.execute(statement)).all())


async def names(database: Database, vault: Vault) -> dict[int, str]:
    """Return what the files call each fan."""
    statement = select(fans.c.id, identities.c.value_cipher).join(
        identities, identities.c.person_id == fans.c.person_id
    )
    async with database.reading(SYSTEM) as session:
        keys = await vault.of_group(session, 1)
        found = (await session.execute(statement)).all()
    return {row.id: keys.open(row.value_cipher, "identities.value") for row in found}


async def purchases(database: Database, vault: Vault, brand_id: int = FIRST) -> list[Any]:
    called = await names(database, vault)
    columns = (orders.c.fan_id, orders.c.number, orders.c.amount, orders.c.item_count, orders.c.placed_at)
    found = await fetched(database, select(*columns).where(orders.c.brand_id == brand_id))
    return sorted((called[row.fan_id], *row[1:]) for row in found)


async def trees(database: Database, vault: Vault, brand_id: int = FIRST) -> dict[str, tuple[str, int, set[Any]]]:
    """Return each cascade's seed, size and (sharer, reached) pairs."""
    called = await names(database, vault)
    found = await fetched(database, select(cascades).where(cascades.c.brand_id == brand_id))
    edges = await fetched(database, select(shares).where(shares.c.brand_id == brand_id))
    pairs: dict[int, set[Any]] = {row.id: set() for row in found}
    for edge in edges:
        pairs[edge.cascade_id].add((called[edge.from_fan_id], called[edge.to_fan_id]))
    return {row.code: (called[row.seed_fan_id], row.size, pairs[row.id]) for row in found}


async def order_import(database: Database, vault: Vault, path: Path, layout: Layout = ORDERS) -> Report:
    return await import_orders(database, vault, FIRST, path, layout, Silent())


async def share_import(database: Database, vault: Vault, path: Path, layout: Layout = SHARES) -> Report:
    return await import_shares(database, vault, FIRST, path, layout, Silent())


def counts(report: Report) -> tuple[int, int, int, int, int]:
    return report.total, report.created, report.updated, report.unchanged, report.rejected


# -- columns, layouts and rows


def test_columns_are_named_in_the_order_of_the_file_and_an_underscore_skips_one() -> None:
    assert parse_columns("household, fan,_,placed_on,_,amount", ORDER_COLUMNS) == (
        *("household", "fan", "_", "placed_on", "_", "amount"),
    )


@pytest.mark.parametrize(
    "text, says",
    [
        ("fan,placed_on,amount,colour", "no column 'colour'"),
        ("fan,fan,placed_on,amount", "fan is named twice"),
        ("placed_on,amount", "must be fan"),
        ("fan,amount", "placed_at or placed_on"),
        ("fan,placed_on,placed_at,amount", "placed_at or placed_on"),
        ("", "no column ''"),
    ],
)
def test_columns_that_make_no_order_are_refused(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse_columns(text, ORDER_COLUMNS)


def test_an_order_column_is_no_share_column() -> None:
    with pytest.raises(BadInput, match="no column 'amount'"):
        parse_columns("reached,sharer,cascade,amount", SHARE_COLUMNS)


def test_delimiters_have_names_or_are_one_character() -> None:
    assert [parse_delimiter(name) for name in ("whitespace", "tab", "pipe", ";")] == [None, "\t", "|", ";"]


@pytest.mark.parametrize("text", ["", "ab", "x", '"', "\n"])
def test_other_delimiters_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="delimiter"):
        parse_delimiter(text)


def test_a_quoted_column_may_hold_the_delimiter() -> None:
    assert split('a, "b,c" ,"say ""d"""', ",") == ["a", '"b', 'c"', 'say "d"']
    assert split('a,"b,c"', ",") == ["a", "b,c"]


def test_quotes_that_do_not_close_are_a_fault_of_the_line() -> None:
    with pytest.raises(ValueError, match="quotes"):
        split('a,"b', ",")


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"encoding": "klingon"}, "no text encoding"),
        ({"encoding": "utf-16"}, "convert the file to UTF-8"),
        ({"date_format": "%Y-%m"}, "no date format"),
        ({"date_format": "%Q"}, "no date format"),
        ({"date_format": "day"}, "no date format"),
        ({"time_zone": "Mars/Olympus"}, "no time zone"),
        ({"time_zone": "../etc"}, "no time zone"),
        ({"source": ""}, "source"),
        ({"source": "x" * 65}, "source"),
    ],
)
def test_a_layout_that_cannot_be_followed_is_refused(changes: dict[str, Any], says: str) -> None:
    layout = Layout(**{"columns": "fan,placed_on,amount", "source": "shop", **changes})

    with pytest.raises(BadInput, match=says):
        layout.check(ORDER_COLUMNS)


def test_a_date_is_the_natural_day_of_its_zone() -> None:
    assert SHANGHAI.day("2024-03-01").isoformat() == "2024-02-29T16:00:00+00:00"
    assert Times(zone("America/New_York"), "%Y%m%d").day("20240701").isoformat() == "2024-07-01T04:00:00+00:00"


def test_a_moment_keeps_its_own_zone_and_is_otherwise_in_the_files() -> None:
    assert SHANGHAI.moment("2024-03-01T08:00:00").isoformat() == "2024-03-01T00:00:00+00:00"
    assert SHANGHAI.moment("2024-03-01T08:00:00Z").isoformat() == "2024-03-01T08:00:00+00:00"


@pytest.mark.parametrize("text", ["1997011", "19970230", "199701011", "97-01-01", ""])
def test_a_date_that_only_nearly_fits_its_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not %Y%m%d"):
        Times(zone("UTC"), "%Y%m%d").day(text)


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"fan": ""}, "fan: is empty"),
        ({"fan": "x" * 256}, "fan: has more than 255"),
        ({"fan": "a\0b"}, "fan: has a NUL"),
        ({"number": "x" * 129}, "number: has more than 128"),
        ({"number": ""}, "number: is empty"),
        ({"placed_on": "yesterday"}, "placed_on: 'yesterday' is not an ISO 8601 date"),
        ({"placed_on": "0001-01-01"}, "placed_on: '0001-01-01' is out of range"),
        ({"amount": "-1"}, "amount: is negative"),
        ({"amount": "1e9"}, "amount: '1e9' is not a number"),
        ({"amount": "1_000"}, "is not a number"),
        ({"amount": "１２"}, "is not a number"),
        ({"amount": "NaN"}, "is not a number"),
        ({"amount": "1" + "0" * 11 + "." + "0" * 27 + "1"}, "too many digits"),
        ({"quantity": "two"}, "quantity: 'two' is not a whole number"),
        ({"quantity": "-2"}, "quantity: is negative"),
        ({"state": "LOST"}, "state: 'LOST' is none of CREATED"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_by_column(changes: dict[str, str], says: str) -> None:
    values = {"fan": "7", "number": "1", "placed_on": "2024-03-01", "amount": "1.50", "quantity": "2", "state": "paid"}

    with pytest.raises(ValueError, match=says):
        order_row(values | changes, SHANGHAI)


def test_a_purchase_is_told_from_others_by_all_but_its_state() -> None:
    row = {"fan": " 7 ", "placed_on": "2024-03-01", "amount": "1.50"}

    same = order_row({**row, "fan": "７", "amount": "1.5", "state": "refunded"}, SHANGHAI)
    other = order_row({**row, "amount": "1.51"}, SHANGHAI)

    assert same.state is OrderState.REFUNDED
    assert order_row(row, SHANGHAI).content() == same.content() != other.content()


# -- lines


def test_lines_of_every_kind_are_numbered_as_an_editor_numbers_them() -> None:
    too_long = b"x" * (3 * MAX_LINE_BYTES)
    stream = BytesIO(b"\xef\xbb\xbfa,b\r\n\n" + too_long + b"\n\xff,b\nc,d,e\nlast,one")

    found = list(lines(stream, Layout("fan,amount", "shop")))

    assert [(line.number, line.values or line.fault) for line in found] == [
        (1, {"fan": "a", "amount": "b"}),
        (3, "is longer than 64 KiB"),
        (4, "is not utf-8 from byte 1 on"),
        (5, "has 3 columns, not 2"),
        (6, {"fan": "last", "amount": "one"}),
    ]
    assert found[-1].end == len(stream.getvalue())


def test_the_longest_line_that_is_a_row_is_one() -> None:
    row = b"x" * (MAX_LINE_BYTES - 3) + b",b\n"

    (found,) = lines(BytesIO(row[1:]), Layout("fan,amount", "shop"))

    assert found.fault is None


# -- files


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda path: None, "cannot be read: No such file"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (lambda path: path.touch(), "is empty"),
    ],
)
async def test_a_file_that_is_none_is_refused(
    database: Database, vault: Vault, tmp_path: Path, make: Any, says: str
) -> None:
    path = tmp_path / "orders.csv"
    make(path)

    with pytest.raises(BadInput, match=says):
        await order_import(database, vault, path)


async def test_a_brand_that_is_not_there_is_refused(database: Database, vault: Vault, tmp_path: Path) -> None:
    path = written(tmp_path, "7,2024-03-01,1,1.00")

    with pytest.raises(NotFound, match="no brand 99"):
        await import_orders(database, vault, 99, path, ORDERS, Silent())


async def test_a_rejects_file_that_cannot_be_made_is_refused(database: Database, vault: Vault, tmp_path: Path) -> None:
    path = written(tmp_path, "7,2024-03-01,1,1.00")

    with pytest.raises(BadInput, match="cannot be written"):
        await import_orders(database, vault, FIRST, path, ORDERS, Silent(), tmp_path / "no" / "rejects.csv")

    assert await purchases(database, vault) == []


async def test_progress_counts_the_bytes_of_the_file(
    database: Database, vault: Vault, tmp_path: Path, small_batches: None
) -> None:
    path = written(tmp_path, *[f"{fan},2024-03-01,1,1.00" for fan in range(10, 17)])
    seen: list[tuple[int, int]] = []

    class Listening:
        def advance(self, stage: str, done: int, total: int) -> None:
            seen.append((done, total))

    await import_orders(database, vault, FIRST, path, ORDERS, Listening())

    size = path.stat().st_size
    row = size // 7
    assert seen == [(3 * row, size), (6 * row, size), (size, size), (size, size)]


# -- orders


async def test_orders_come_in_with_their_fans_and_the_fans_sums(
    database: Database, vault: Vault, tmp_path: Path
) -> None:
    path = written(tmp_path, "7,2024-03-01,2,29.33", "7,2024-03-05,1,0.67", "8,2024-03-02,,5")

    report = await order_import(database, vault, path)

    assert counts(report) == (3, 3, 0, 0, 0)
    called = await names(database, vault)
    found = await fetched(database, select(fans))
    assert {called[row.id]: (row.order_count, row.spend) for row in found} == {"7": (2, 3000), "8": (1, 500)}
    assert [row[3] for row in await purchases(database, vault)] in ([2, 1, 0], [1, 2, 0])


async def test_a_file_again_changes_nothing(database: Database, vault: Vault, tmp_path: Path) -> None:
    path = written(tmp_path, *["7,2024-03-01,2,29.33"] * 3, "8,2024-03-02,1,5")
    await order_import(database, vault, path)
    before = await purchases(database, vault)

    report = await order_import(database, vault, path)

    assert counts(report) == (4, 0, 0, 4, 0)
    assert await purchases(database, vault) == before


async def test_equal_rows_are_separate_purchases_even_in_different_batches(
    database: Database, vault: Vault, tmp_path: Path, small_batches: None
) -> None:
    path = written(tmp_path, *["7,2024-03-01,2,29.33"] * 8)

    await order_import(database, vault, path)

    (fan,) = await fetched(database, select(fans))
    assert (fan.order_count, fan.spend) == (8, 8 * 2933)


async def test_an_order_with_a_number_follows_what_the_next_file_says(
    database: Database, vault: Vault, tmp_path: Path
) -> None:
    head = "number,fan,placed,amount,state"
    await order_import(
        database, vault, written(tmp_path, head, "A1,7,2024-03-01,10,PAID", "A2,7,2024-03-02,5,paid"), NUMBERED
    )

    report = await order_import(
        database, vault, written(tmp_path, head, "A1,8,2024-03-01,10,refunded", "A2,7,2024-03-02,5,paid"), NUMBERED
    )

    assert counts(report) == (2, 0, 1, 1, 0)
    called = await names(database, vault)
    assert {called[row.id]: row.spend for row in await fetched(database, select(fans))} == {"7": 500, "8": 0}


async def test_every_bad_row_is_named_by_line_and_the_others_come_in(
    database: Database, vault: Vault, tmp_path: Path
) -> None:
    path = written(
        tmp_path,
        *("7,2024-03-01,1,1.00", "", "7,2024-03-01,1", "7,2024-02-30,1,1.00", "7,2024-03-01,1,-1.00"),
        *("7,2024-03-01,1,1.005", ",2024-03-01,1,1.00", "7,2999-01-01,1,1.00", "7,2024-03-01,x,1.00"),
        *(
            '7,"2024-03-01,1,1.00',
            "7,2024-03-01,99999999999,1.00",
            "7,2024-03-01,1,99999999999999999",
            "8,2024-03-01,1,2.00",
        ),
    )

    report = await order_import(database, vault, path)

    assert counts(report) == (12, 2, 0, 0, 10)
    assert report.rejections == [
        Rejection(3, "has 3 columns, not 4"),
        Rejection(4, "placed_on: '2024-02-30' is not an ISO 8601 date"),
        Rejection(5, "amount: is negative"),
        Rejection(6, "amount: has more decimals than CNY"),
        Rejection(7, "fan: is empty"),
        Rejection(8, "placed_on: lies in the future"),
        Rejection(9, "quantity: 'x' is not a whole number"),
        Rejection(10, "the quotes of the line do not close"),
        Rejection(11, "quantity: must not be negative"),
        Rejection(12, "amount: is too large"),
    ]


async def test_the_report_keeps_some_rejections_and_the_file_all(
    database: Database, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "KEPT_REJECTIONS", 2)
    path, rejects = written(tmp_path, *["bad"] * 5), tmp_path / "rejects.csv"

    report = await import_orders(database, vault, FIRST, path, ORDERS, Silent(), rejects)

    assert (report.rejected, len(report.rejections)) == (5, 2)
    assert rejects.read_text(encoding="utf-8").splitlines()[:2] == ["line,reason", '1,"has 1 columns, not 4"']
    assert len(rejects.read_text(encoding="utf-8").splitlines()) == 6


async def test_a_file_may_be_in_a_chinese_encoding(database: Database, vault: Vault, tmp_path: Path) -> None:
    path = written(tmp_path, "粉丝甲,2024-03-01,1,1.00", encoding="gb18030")

    await order_import(database, vault, path, Layout(ORDERS.columns, "shop", encoding="gb18030"))

    assert list((await names(database, vault)).values()) == ["粉丝甲"]


@pytest.mark.parametrize("cut", [1, 2, 3])
async def test_an_import_that_was_cut_off_and_run_again_is_a_clean_import(
    database: Database, vault: Vault, tmp_path: Path, small_batches: None, cut: int
) -> None:
    rows = [f"{1 + fan % 4},2024-03-01,1,{fan % 3}.00" for fan in range(11)]
    path = written(tmp_path, *rows)
    await import_orders(database, vault, SECOND, path, ORDERS, Silent())

    with pytest.raises(Cut):
        await import_orders(database, vault, FIRST, path, ORDERS, CutAfter(cut))
    report = await order_import(database, vault, path)

    assert (report.created, report.unchanged) == (11 - 3 * cut, 3 * cut)
    assert await purchases(database, vault) == await purchases(database, vault, SECOND)


async def test_two_imports_of_one_file_at_once_make_each_order_once(
    database: Database, vault: Vault, tmp_path: Path, small_batches: None
) -> None:
    path = written(tmp_path, *[f"{1 + fan % 5},2024-03-01,1,{fan}.00" for fan in range(20)])

    both = await asyncio.gather(*[order_import(database, vault, path) for _ in range(2)])

    assert sum(report.created for report in both) == 20
    assert len(await purchases(database, vault)) == 20
    assert sum(row.order_count for row in await fetched(database, select(fans))) == 20


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make as many batches meet another change as the list says."""
    left = [0]
    record = record_orders

    async def recorded(*arguments: Any) -> Any:
        results = await record(*arguments)
        left[0] -= 1
        if left[0] >= 0:
            raise Conflict
        return results

    monkeypatch.setattr(importing_orders, "record_orders", recorded)
    monkeypatch.setattr(feeding, "_FIRST_PAUSE_SECONDS", 0)
    return left


async def test_a_batch_that_meets_another_change_is_tried_again(
    database: Database, vault: Vault, tmp_path: Path, busy: list[int]
) -> None:
    busy[0] = 4

    report = await order_import(database, vault, written(tmp_path, "7,2024-03-01,1,1.00"))

    assert counts(report) == (1, 1, 0, 0, 0)


async def test_a_batch_is_given_up_after_five_tries(
    database: Database, vault: Vault, tmp_path: Path, busy: list[int]
) -> None:
    busy[0] = 5

    with pytest.raises(Conflict):
        await order_import(database, vault, written(tmp_path, "7,2024-03-01,1,1.00"))

    assert await purchases(database, vault) == []


# -- shares


async def test_shares_grow_cascades_whose_first_sharer_is_the_seed(
    database: Database, vault: Vault, tmp_path: Path
) -> None:
    path = written(tmp_path, "2,1,a", "3,1,a", "4,3,a", "2,1,b")

    report = await share_import(database, vault, path)

    assert counts(report) == (4, 4, 0, 0, 0)
    assert await trees(database, vault) == {
        "a": ("1", 4, {("1", "2"), ("1", "3"), ("3", "4")}),
        "b": ("1", 2, {("1", "2")}),
    }


async def test_shares_again_change_nothing(database: Database, vault: Vault, tmp_path: Path) -> None:
    path = written(tmp_path, "2,1,a", "3,2,a", "2,1,a")
    await share_import(database, vault, path)

    report = await share_import(database, vault, path)

    assert counts(report) == (3, 0, 0, 3, 0)
    assert (await trees(database, vault))["a"][1] == 3


async def test_fans_numbered_anew_in_each_cascade_are_not_taken_for_one(
    database: Database, vault: Vault, tmp_path: Path
) -> None:
    path = written(tmp_path, "2,1,a", "2,1,b")

    await share_import(database, vault, path, Layout(SHARES.columns, "posts", local_names=True))

    assert sorted((await names(database, vault)).values()) == ["a:1", "a:2", "b:1", "b:2"]


async def test_a_share_waits_for_its_sharer_across_batches(
    database: Database, vault: Vault, tmp_path: Path, small_batches: None
) -> None:
    path = written(tmp_path, "2,1,a", "6,5,a", "5,4,a", "2,1,b", "2,1,c", "2,1,d", "4,3,a", "2,1,e", "3,2,a")

    report = await share_import(database, vault, path)

    assert counts(report) == (9, 9, 0, 0, 0)
    assert (await trees(database, vault))["a"][2] == {("1", "2"), ("2", "3"), ("3", "4"), ("4", "5"), ("5", "6")}


async def test_shares_that_cannot_be_are_named_by_line(
    database: Database, vault: Vault, tmp_path: Path, small_batches: None
) -> None:
    path = written(tmp_path, "2,1,a", "9,8,a", "3,3,a", "1,2,a", "3,2,", "3,2,a", "only", "10,9,a")

    report = await share_import(database, vault, path)

    assert counts(report) == (8, 2, 0, 0, 6)
    assert report.rejections == [
        Rejection(2, "sharer: no share brings the cascade to this fan"),
        Rejection(3, "reached: a fan cannot reach themselves"),
        Rejection(4, "reached: the seed of a cascade is reached by nobody"),
        Rejection(5, "cascade: is empty"),
        Rejection(7, "has 1 columns, not 3"),
        Rejection(8, "sharer: no share brings the cascade to this fan"),
    ]


async def test_rows_in_no_order_make_the_same_trees_when_the_seed_is_named(
    database: Database, vault: Vault, tmp_path: Path, small_batches: None
) -> None:
    rows = [f"{node},{(node + 1) // 3 or 1},{code}" for code in "abc" for node in range(2, 9)]
    await import_shares(database, vault, SECOND, written(tmp_path, *rows), SHARES, Silent())
    random.Random(7).shuffle(rows)
    named = Layout(SHARES.columns, "posts", seed="1")

    report = await share_import(database, vault, written(tmp_path, *rows), named)

    assert counts(report) == (21, 21, 0, 0, 0)
    assert await trees(database, vault) == await trees(database, vault, SECOND)


async def test_a_later_file_goes_on_with_a_cascade_whose_seed_it_does_not_name_again(
    database: Database, vault: Vault, tmp_path: Path
) -> None:
    named = Layout(SHARES.columns, "posts", seed="1")
    await share_import(database, vault, written(tmp_path, "2,1,a"), named)

    report = await share_import(database, vault, written(tmp_path, "3,2,a", "3,2,b"), named)

    assert counts(report) == (2, 1, 0, 0, 1)
    assert list(await trees(database, vault)) == ["a"]


async def test_too_many_waiting_shares_end_the_import_with_a_reason(
    database: Database, vault: Vault, tmp_path: Path, small_batches: None
) -> None:
    path = written(tmp_path, "2,1,a", *[f"{node},{node - 1},a" for node in range(20, 10, -1)])

    with pytest.raises(BadInput, match=r"More than 4 shares wait .* the first on line \d+"):
        await import_shares(database, vault, FIRST, path, SHARES, Silent(), max_waiting=4)

    assert (await trees(database, vault))["a"][1] == 2


def contested(number: int) -> list[str]:
    """Make rows in no order, with several sharers for a fan and some rows that never fit."""
    chance = random.Random(number)
    rows = ["1,0,a", "1,0,b"]
    rows += [f"{chance.randrange(1, 14)},{chance.randrange(14)},{chance.choice('ab')}" for _ in range(34)]
    return rows


@pytest.mark.parametrize("number", range(6))
async def test_shares_cut_off_anywhere_and_run_again_make_the_same_trees(
    database: Database, vault: Vault, tmp_path: Path, small_batches: None, number: int
) -> None:
    path = written(tmp_path, *contested(number))
    clean = await import_shares(database, vault, SECOND, path, SHARES, Silent())

    for cut in (2, 5, 7, 9):
        with pytest.raises(Cut):
            await import_shares(database, vault, FIRST, path, SHARES, CutAfter(cut))
    again = await share_import(database, vault, path)

    assert await trees(database, vault) == await trees(database, vault, SECOND)
    assert again.rejections == clean.rejections


async def test_two_imports_of_one_file_at_once_make_each_share_once(
    database: Database, vault: Vault, tmp_path: Path, small_batches: None
) -> None:
    path = written(tmp_path, *contested(3))
    await import_shares(database, vault, SECOND, path, SHARES, Silent())

    await asyncio.gather(*[share_import(database, vault, path) for _ in range(2)])

    assert await trees(database, vault) == await trees(database, vault, SECOND)


# -- killed

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from domain.database import Database
from domain.vault import Vault
from server.imports import Layout, import_orders, import_shares
from server.imports import feed, orders, shares

url, brand, path, kind, when, left = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:6], int(sys.argv[6])
feed.BATCH = shares.BATCH = 3

def count():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

class Progress:
    def advance(self, stage, done, total):
        if when == "between":
            count()

def killing(record):
    async def recorded(*arguments):
        results = await record(*arguments)
        if when == "inside":
            count()
        return results
    return recorded

orders.record_orders = killing(orders.record_orders)
shares.record_shares = killing(shares.record_shares)
work, layout = {
    "orders": (import_orders, Layout("fan,placed_on,quantity,amount", "shop")),
    "shares": (import_shares, Layout("reached,sharer,cascade", "posts")),
}[kind]
asyncio.run(work(Database(url), Vault(b"0123456789abcdef" * 2), brand, path, layout, Progress()))
"""


async def killed(database: Database, path: Path, kind: str, when: str, left: int) -> int:
    """Import in a process of its own, which is killed at the given batch, inside its transaction or after it."""
    url = database.url.render_as_string(hide_password=False)
    root = Path(feeding.__file__).parents[2]
    arguments = (url, str(FIRST), str(path), kind, when, str(left))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, *arguments, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    return await process.wait()


@pytest.mark.parametrize("when", ["inside", "between"])
async def test_orders_whose_import_was_killed_are_a_clean_import_after_the_next(
    database: Database, vault: Vault, tmp_path: Path, when: str
) -> None:
    path = written(tmp_path, *[f"{fan % 4},2024-03-01,1,{fan % 3}.00" for fan in range(11)])
    await import_orders(database, vault, SECOND, path, ORDERS, Silent())

    assert await killed(database, path, "orders", when, 3) == -signal.SIGKILL
    await order_import(database, vault, path)

    assert await purchases(database, vault) == await purchases(database, vault, SECOND)


@pytest.mark.parametrize("when", ["inside", "between"])
async def test_shares_whose_import_was_killed_are_a_clean_import_after_the_next(
    database: Database, vault: Vault, tmp_path: Path, when: str
) -> None:
    path = written(tmp_path, *contested(1))
    await import_shares(database, vault, SECOND, path, SHARES, Silent())

    assert await killed(database, path, "shares", when, 6) == -signal.SIGKILL
    await share_import(database, vault, path)

    assert await trees(database, vault) == await trees(database, vault, SECOND)


# -- the real files


def real(name: str) -> Path:
    path = REAL_FILES / name
    if not path.exists():
        pytest.skip(f"{name} is not on this machine")
    return path


@pytest.mark.slow
async def test_the_real_orders_come_in_to_the_cent(database: Database, vault: Vault) -> None:
    path = real("cdnow_sample.txt")
    rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    layout = Layout("household,fan,placed_on,quantity,amount", "cdnow", delimiter="whitespace", date_format="%Y%m%d")

    report = await import_orders(database, vault, FIRST, path, layout, Silent())

    assert counts(report) == (6919, 6919, 0, 0, 0)
    cents = int(sum(Decimal(row[4]) for row in rows) * 100)
    found = await fetched(database, select(func.count(), func.sum(fans.c.spend), func.sum(fans.c.order_count)))
    assert [tuple(map(int, row)) for row in found] == [(2357, cents, 6919)]
    assert counts(await import_orders(database, vault, FIRST, path, layout, Silent())) == (6919, 0, 0, 6919, 0)


def sizes_of(rows: Sequence[Sequence[str]]) -> dict[str, int]:
    return {code: count + 1 for code, count in Counter(row[2] for row in rows).items()}


@pytest.mark.slow
async def test_the_real_cascades_have_the_sizes_their_file_says(database: Database, vault: Vault) -> None:
    path = real("share_cascades.csv")
    rows = [line.split(",") for line in path.read_text(encoding="ascii").splitlines()]
    layout = Layout("reached,sharer,cascade,generation", "cascades")

    report = await import_shares(database, vault, FIRST, path, layout, Silent())

    assert counts(report) == (34005, 34005, 0, 0, 0)
    found = await fetched(database, select(cascades.c.code, cascades.c.size))
    assert {row.code: row.size for row in found} == sizes_of(rows)
    assert len(found) == 7736
