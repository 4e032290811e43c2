"""What was pushed where: two tables beside the logs, in the same database.

An account is a base URL and an API key. Of the key a salted digest is kept, by which
the account is known again, and nothing else.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import attrs
import sqlalchemy as sa

from keywordsai.server.ids import seqs_of
from keywordsai.server.store import Store, StoredLog
from keywordsai.server.tables import logs

__all__ = ["DELIVERED", "REFUSED", "Ended", "Memory", "Wanted"]

DELIVERED, REFUSED = 1, 2

_metadata = sa.MetaData()

_accounts = sa.Table(
    "push_accounts",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("base_url", sa.Text, nullable=False),
    sa.Column("salt", sa.String(32), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
)

_pushed = sa.Table(
    "pushed_logs",
    _metadata,
    sa.Column("account", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("log_id", sa.String(32), primary_key=True),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("words", sa.Text),
)


@attrs.frozen
class Ended:
    """A log that need not be sent again.

    Attributes:
        log_id: Which.
        state: `DELIVERED` or `REFUSED`.
        status: The HTTP status that it was refused with.
        words: What the service said then.
    """

    log_id: str
    state: int = DELIVERED
    status: int | None = None
    words: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Wanted:
    """Which logs are to be pushed.

    Attributes:
        since: The earliest timestamp, microseconds; None for no bound.
        until: The latest timestamp, microseconds; None for no bound.
        refused: Whether those too that were refused before.
    """

    since: int | None = None
    until: int | None = None
    refused: bool = False


class Memory:
    """What was pushed from a database to one account.

    Args:
        store: The database.
        base_url: Where the logs go.
        api_key: With which key.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database cannot be used; as every method.
        StoreFull: Its disk is full.
    """

    def __init__(self, store: Store, *, base_url: str, api_key: str) -> None:
        self._store = store
        with store.writing() as connection:
            _metadata.create_all(connection)
            self._account = _account(connection, base_url, api_key)
            gone = _pushed.c.log_id.not_in(sa.select(logs.c.id))
            connection.execute(sa.delete(_pushed).where(gone))

    def count(self, wanted: Wanted) -> int:
        """How many are to be sent."""
        query = sa.select(sa.func.count()).select_from(logs)
        with self._store.reading() as connection:
            found = connection.execute(query.where(*self._conditions(wanted)))
            return int(found.scalar_one())

    def ended(self, state: int) -> int:
        """How many were delivered, or refused, so far."""
        mine = (_pushed.c.account == self._account, _pushed.c.state == state)
        query = sa.select(sa.func.count()).select_from(_pushed).where(*mine)
        with self._store.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def newest(self) -> str:
        """The last id there is: a push ends with it, whatever comes meanwhile."""
        return self._store.newest_id() or ""

    def next(
        self, wanted: Wanted, *, after: str, last: str, most: int
    ) -> Sequence[StoredLog]:
        """The next logs to send, in the order of their ids.

        Args:
            wanted: Which.
            after: The id of the last one taken before, ``""`` to begin.
            last: The id to end with.
            most: How many at most.
        """
        # Their index is the seq, which is in the order of the ids.
        first, end = seqs_of(after)[0], seqs_of(last)[1]
        query = (
            sa.select(logs.c.id)
            .where(
                *(logs.c.seq.between(first, end), logs.c.id > after, logs.c.id <= last),
                *self._conditions(wanted),
            )
            .order_by(logs.c.seq)
            .limit(most)
        )
        with self._store.reading() as connection:
            ids = connection.execute(query).scalars().all()
        found = map(self._store.find_one, ids)  # None: it was removed meanwhile
        return [log for log in found if log is not None]

    def remember(self, ended: Sequence[Ended]) -> None:
        """Never send these again, but refused ones when that is asked for."""
        ids = [one.log_id for one in ended]
        rows = [{"account": self._account, **attrs.asdict(one)} for one in ended]
        with self._store.writing() as connection:
            mine = (_pushed.c.account == self._account, _pushed.c.log_id.in_(ids))
            connection.execute(sa.delete(_pushed).where(*mine))
            connection.execute(sa.insert(_pushed), rows)

    def _conditions(self, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
        done = [_pushed.c.account == self._account, _pushed.c.log_id == logs.c.id]
        if wanted.refused:
            done.append(_pushed.c.state == DELIVERED)
        conditions = [~sa.exists().where(*done)]
        if wanted.since is not None:
            conditions.append(logs.c.timestamp >= wanted.since)
        if wanted.until is not None:
            conditions.append(logs.c.timestamp <= wanted.until)
        return conditions


def _account(connection: sa.Connection, base_url: str, api_key: str) -> int:
    """The number of an account, a new one if it was not pushed to before."""
    query = sa.select(_accounts).where(_accounts.c.base_url == base_url)
    for known in connection.execute(query):
        if known.fingerprint == _fingerprint(known.salt, base_url, api_key):
            return int(known.id)
    salt = os.urandom(16).hex()
    row: dict[str, Any] = {
        "base_url": base_url,
        "salt": salt,
        "fingerprint": _fingerprint(salt, base_url, api_key),
    }
    made = connection.execute(sa.insert(_accounts).values(row))
    (number,) = made.inserted_primary_key or (0,)
    return int(number)


def _fingerprint(salt: str, base_url: str, api_key: str) -> str:
    text = f"{api_key}\n{base_url}".encode()
    key = bytes.fromhex(salt)
    return hashlib.blake2b(text, key=key, digest_size=32).hexdigest()
