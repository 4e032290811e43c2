"""What the pages need of a store and of whoever looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keywordsai.server.aggregates import Overview
    from keywordsai.server.query import Selection
    from keywordsai.server.store import BriefLog, StoredLog

__all__ = ["PageStore", "Viewer"]


class Viewer(Protocol):
    """Who looks; `keywordsai.server.signin.Session` is one."""

    @property
    def required(self) -> bool:
        """Whether one has to sign in here at all."""
        ...

    @property
    def next(self) -> str:
        """Where the sign-in form leads to."""
        ...

    @property
    def message(self) -> str:
        """Why the form is shown again."""
        ...


class PageStore(Protocol):
    """What the page needs of a store; `keywordsai.server.store.Store` is one."""

    def find_one(self, log_id: str) -> StoredLog | None:
        """The log of that id, None if there is none."""
        ...

    def brief(
        self,
        selection: Selection,
        *,
        before: str | None,
        after: str | None,
        limit: int,
    ) -> Sequence[BriefLog]:
        """Logs in short, newest first, next to an id on one side of it."""
        ...

    def first_instant(self) -> int | None:
        """The earliest timestamp, None if there is no log."""
        ...

    def overview(self, selection: Selection, *, step: int) -> Overview:
        """Figures over time and by group."""
        ...
