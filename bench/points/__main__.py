"""Points earned by 32 clients at once, beside the database alone in the same run; ends with its bars.

    python -m bench.points [--seconds 6] [--rounds 5] [--clients 32] [--fans 100000] [--soak 60] [--write]

HTTP is not measured. `--plans` judges how the hot statements are answered among a million rows instead.
"""

import argparse

from sqlalchemy.engine import make_url

import migrations
from bench.bars import Bars
from bench.data.cluster import Missing
from bench.peers.report import figure, markdown, show, times
from bench.points import plans
from bench.points.measuring import CALL, EARN, SPEND, Beside, Found, Options, on_postgresql, on_sqlite
from bench.results import keep
from bench.settings import SETTINGS
from server.commands.settings import run
from tests.services import postgres, scratch

COLUMNS = ("", "a second", "p99 ms", "the database alone", "ratio")
PARTS = ("soak on PostgreSQL", "earns/s", "p99 ms", "worst second")
WHAT = {EARN: "earns of the ledger", CALL: "earnPoints calls", SPEND: "spends, each its own commit"}
# PERFORMANCE: at least the pgbench figure of the same single-earn statement, batched; nothing lost, nothing twice
BAR = 1.0


def main() -> None:
    """Measure, and judge."""
    given, bars = _options(), Bars()
    try:
        with postgres.running(durable=True, settings=SETTINGS) as cluster:
            cluster.create("scrm")
            migrations.upgrade(cluster.owner_url("scrm"))
            migrations.allow(cluster.owner_url("scrm"), postgres.APP)
            admin = make_url(cluster.admin_url).set(drivername="postgresql", database="scrm")
            urls = (cluster.app_url("scrm"), admin.render_as_string(hide_password=False))
            if given.plans:
                run(plans.judge(*urls, bars))
                bars.end()
            found = {"PostgreSQL": run(on_postgresql(*urls, given))}
    except Missing as error:
        raise SystemExit(str(error)) from None
    with scratch.folder("bench", on_disk=True) as folder:
        path = folder / "scrm.db"
        url = f"sqlite+aiosqlite:///{path}"
        migrations.upgrade(url)
        found["SQLite"] = run(on_sqlite(url, path, given))
    _report(found, bars, given)
    bars.end()


def _options() -> Options:
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=6)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--clients", type=int, default=32)
    options.add_argument("--fans", type=int, default=100_000)
    options.add_argument("--soak", type=float, default=60)
    options.add_argument("--write", action="store_true")
    options.add_argument("--plans", action="store_true")
    return Options(**vars(options.parse_args()))


def _report(found: dict[str, Found], bars: Bars, given: Options) -> None:
    lines = [
        _line(f"{WHAT[name]}, {database}", beside)
        for database, of in found.items()
        for name, beside in of.lines.items()
    ]
    parts = [
        (part.name, figure(part.rate), figure(part.p99), figure(part.worst))
        for of in found.values()
        for part in of.parts
    ]
    show(COLUMNS, lines)
    show(PARTS, parts)
    _judge(found, bars)
    if given.write:
        said = "\n".join(f"- {line}" for line in bars.lines)
        keep("points", f"{_heading(given)}\n\n{markdown(COLUMNS, lines)}\n\n{markdown(PARTS, parts)}\n\n{said}")


def _line(what: str, beside: Beside) -> tuple[str, ...]:
    against = ("-", "-")
    if beside.alone is not None and beside.ratio is not None:
        against = figure(beside.alone), times(beside.ratio)
    return what, figure(beside.rate), figure(beside.p99), *against


def _judge(found: dict[str, Found], bars: Bars) -> None:
    for database, of in found.items():
        for name, beside in of.lines.items():
            if beside.ratio is not None:
                what = f"points {database}, {WHAT[name]} vs the same statement alone"
                bars.judge(what, times(beside.ratio), f"{BAR:g}x", holds=beside.ratio >= BAR)
        for fault in of.faults:
            print(f"{database}: {fault}")
        what = f"points {database}, lost, twice or wrong of {of.acknowledged:,} acknowledged"
        bars.judge(what, str(len(of.faults)), "0", holds=not of.faults)


def _heading(given: Options) -> str:
    rounds = f"medians of {given.rounds} rounds of {given.seconds:g} s in turns"
    return f"""## Points

{given.clients} clients on {given.fans:,} fans, one process, without HTTP; {rounds} with the database alone: pgbench
with as many clients and one statement that writes the same rows, as superuser behind no wall, and sqlite3 on one
connection with the statements of one earn. The ratio is the median of each round's own, not the quotient of the
columns. PostgreSQL's tables are vacuumed before each. Every commit is durable; one request in 50 is sent again.
`earnPoints` is what the mutation does after GraphQL for a service of the brand (who reaches several costs a trip more):
key, rule, caps, grant, audit and ledger. A checkpoint is forced after each third of the soak."""


if __name__ == "__main__":
    main()
