"""The engine's directory on disk: its lock, its password, its recorded process."""

import contextlib
import fcntl
import os
import secrets
import signal
import subprocess
import time
from pathlib import Path

from graph.errors import GraphDirectoryInUse, GraphEngineError

ORPHAN_GRACE_SECONDS = 20.0
ORPHAN_KILL_SECONDS = 5.0


class EngineDirectory:
    """Own one engine directory, created readable by its owner only."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.password_file = self.root / "root.pw"
        self.pid_file = self.root / "engine.pid"
        self.console_log = self.root / "console.log"
        self._lock: int | None = None

    def acquire(self) -> None:
        """Lock the directory for this process; raise GraphDirectoryInUse naming the holder."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.root / "scrm.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(lock, 32).decode() or "unknown"
            os.close(lock)
            raise GraphDirectoryInUse(
                f"the graph directory {self.root} is in use by the server with process id {holder}; "
                "stop that server, or give this one another directory"
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        self._lock = lock

    def release(self) -> None:
        """Give up the lock; do nothing when it is not held."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def password(self) -> str:
        """Return the engine's password, making a new one at the first start or when the file was lost."""
        if self.password_file.exists() and (known := self.password_file.read_text()):
            return known
        # The engine reads the file only while it has no user file, so a new password needs a new user file.
        (self.root / "config" / "server-users.jsonl").unlink(missing_ok=True)
        secret = secrets.token_urlsafe(24)
        draft = self.password_file.with_suffix(".new")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600, exist_ok=False)
        draft.write_text(secret)
        draft.replace(self.password_file)
        return secret

    def rotate_console(self) -> None:
        """Keep the console output of the previous run and start a new file."""
        if self.console_log.exists():
            self.console_log.replace(self.console_log.with_suffix(".log.1"))

    def end_orphan(self) -> None:
        """Wait for, then end an engine that outlived its server; the caller holds the lock."""
        pid = self._recorded_pid()
        if pid is None:
            return
        _signal(pid, signal.SIGTERM)
        if not self._gone_within(pid, ORPHAN_GRACE_SECONDS):
            _signal(pid, signal.SIGKILL)
            if not self._gone_within(pid, ORPHAN_KILL_SECONDS):
                raise GraphEngineError(f"an earlier graph engine, process id {pid}, does not end")
        self.pid_file.unlink(missing_ok=True)

    def _recorded_pid(self) -> int | None:
        try:
            pid = int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None
        return pid if self._is_our_engine(pid) else None

    def _gone_within(self, pid: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self._is_our_engine(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _is_our_engine(self, pid: int) -> bool:
        """Tell whether the process is the engine of this directory: process ids are reused."""
        return f"-Darcadedb.server.rootPath={self.root}" in _command_of(pid)


def _command_of(pid: int) -> str:
    entry = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self").exists():
        # A process may end between the look and the read.
        with contextlib.suppress(OSError):
            return entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    listed = subprocess.run(
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
