"""Workers that are killed again and again, two at a time, then one that may finish. Run by test_jobs_killed.py.

They fork, because a fork starts in milliseconds what an interpreter needs a second for.
"""

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

from domain.database import Database
from domain.jobs import queue
from domain.jobs.runner import Runner
from domain.privacy import erasing, exporting
from domain.privacy.handlers import handlers
from domain.vault import Vault
from server.erasures import ErasureFile
from tests.world import MASTER_KEY

KILLS = 24
ROWS = 7


async def work(url: str, list_: str) -> None:
    """Do every job there is, in small steps."""
    # on a busy machine a worker may be killed ten times before its first step; giving up has a test of its own
    vars(queue)["MAX_TRIES"] = 1_000
    vars(erasing)["ROWS_PER_STEP"] = vars(exporting)["ROWS_PER_PART"] = ROWS
    database = Database(url)
    runner = Runner(database, handlers(Vault(MASTER_KEY), ErasureFile(Path(list_))), lease_seconds=0.3)
    idle = 0
    while idle < 10:
        idle = 0 if await runner.run_once() else idle + 1
        await asyncio.sleep(0.05 if idle else 0)
    await database.dispose()


def start(url: str, list_: str) -> int:
    child = os.fork()
    if child == 0:
        asyncio.run(work(url, list_))
        os._exit(0)
    return child


def main(url: str, list_: str) -> None:
    rng, hits = random.Random(5), 0
    children = [start(url, list_), start(url, list_)]
    for number in range(KILLS + 2):
        child = children.pop(0)
        if number < KILLS:
            time.sleep(rng.uniform(0.05, 0.3))
            os.kill(child, signal.SIGKILL)
            children.append(start(url, list_))
        _, status = os.waitpid(child, 0)
        hits += os.WIFSIGNALED(status)
    sys.stdout.write(f"\n{hits}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
