"""One SQLite file behind one thread: every statement of the agent runs there, in order.

Not here: what the tables mean.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from node.errors import GpunodeError, JournalError
from node.journal import schema
from node.marks import Mark, marked

T = TypeVar("T")

Relief = Callable[[], bool]
"""Frees some space on the journal's disk; False when it cannot. Called in the journal's thread."""

LOCK_WAIT = 5.0
"""Seconds another process may hold the file (a reader's checkpoint, a backup) before it is an error."""


class Database:
    """An open journal file. `write` is one durable transaction; `read` sees committed facts."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        executor: ThreadPoolExecutor,
        relieve: Relief = lambda: False,
    ) -> None:
        self.path = path
        self._relieve = relieve
        self._connection = connection
        self._executor = executor
        self._closed = False

    @classmethod
    async def open_writable(cls, path: Path, relieve: Relief = lambda: False) -> Database:
        """Open or create the file (mode 0600, its folder 0700) and bring its schema up to date. `relieve` is asked for
        space when the disk is full.

        Raises JournalError when it is locked by another agent, damaged, newer than this program, or its folder
        cannot be written.
        """
        database = await cls._open(path, lambda path: _relieved(lambda: _connect_writable(path), relieve))
        database._relieve = relieve
        return database

    @classmethod
    async def open_readonly(cls, path: Path) -> Database:
        """Open an existing file for reading, whether or not an agent writes to it; raises JournalError."""
        return await cls._open(path, _connect_readonly)

    @classmethod
    async def _open(cls, path: Path, connect: Callable[[Path], sqlite3.Connection]) -> Database:
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        loop = asyncio.get_running_loop()
        try:
            connection = await loop.run_in_executor(executor, _guarded, path, lambda: connect(path))
        except BaseException:
            executor.shutdown(wait=False)
            raise
        return cls(path, connection, executor)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the journal's thread."""
        return await self._submit(lambda: work(self._connection))

    async def write(self, mark: Mark, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one transaction that is on disk when this returns; nothing of it stays if it raises."""

        def transaction() -> T:
            with marked(mark):
                return _relieved(committed, self._relieve)

        def committed() -> T:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                value = work(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                # Some errors (a full disk) end the transaction by themselves, others leave it open, a failed COMMIT
                # among them: left open, it would refuse every write to come.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            return value

        return await self._submit(transaction)

    async def close(self) -> None:
        """Finish what was asked, then close the file; harmless twice."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._connection.close)
        self._executor.shutdown(wait=True)

    async def _submit(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise JournalError(f"{self.path}: the journal is closed", hint="the agent is shutting down")
        loop = asyncio.get_running_loop()
        # Shielded: a cancelled task must not leave a write that is or is not on disk depending on luck.
        return await asyncio.shield(loop.run_in_executor(self._executor, _guarded, self.path, work))


def _relieved(work: Callable[[], T], relieve: Relief) -> T:
    """Run `work`, again and again as long as it fails for lack of space and space can be found."""
    while True:
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            if not _lacks_space(error) or not relieve():
                raise


def _lacks_space(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # A quota, or a side file that cannot grow, is an input/output error to SQLite.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _guarded(path: Path, work: Callable[[], T]) -> T:
    """Run `work`, turning SQLite's errors into JournalErrors with a hint."""
    try:
        return work()
    except GpunodeError:
        raise
    except (sqlite3.Error, OSError, OverflowError) as error:
        raise _explain(path, error) from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # A cell holds what no version of ours writes there.
        raise JournalError(
            f"{path}: the journal is damaged ({type(error).__name__})",
            hint="keep a copy, move the file away and start again; wallets and the chain hold what was earned",
        ) from error


def _explain(path: Path, error: Exception) -> JournalError:
    text = str(error)
    if "locked" in text or "busy" in text:
        return JournalError(
            f"{path}: the journal is in use by another agent",
            hint="stop the other agent, or give this one its own data folder",
        )
    if isinstance(error, sqlite3.DatabaseError) and ("malformed" in text or "not a database" in text):
        return JournalError(
            f"{path}: the journal is damaged ({text})",
            hint="keep a copy, move the file away and start again; wallets and the chain hold what was earned",
        )
    if "full" in text:
        return JournalError(f"{path}: the disk is full", hint="free space on the disk that holds the data folder")
    return JournalError(f"{path}: the journal cannot be used: {text}", hint="check the folder and its permissions")


def _connect_writable(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Made before SQLite sees it: its own side files take the mode of this one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)
    connection = sqlite3.connect(path, timeout=LOCK_WAIT, isolation_level=None, check_same_thread=False)
    try:
        schema.check_version(schema.version_of(connection))
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        schema.migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_readonly(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise JournalError(f"{path}: no journal here yet", hint="the agent writes it at its first start: gpunode run")
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=LOCK_WAIT, isolation_level=None, check_same_thread=False)
    try:
        schema.check_version(schema.version_of(connection))
        if schema.version_of(connection) < len(schema.MIGRATIONS):
            raise JournalError(
                f"{path}: the journal has an older schema",
                hint="start the agent once; it brings the journal up to date",
            )
    except BaseException:
        connection.close()
        raise
    return connection
