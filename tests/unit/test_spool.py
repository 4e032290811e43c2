"""The queue in SQLite, and the folder of its files."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from keywordsai.delivery.folder import SpoolFolder
from keywordsai.delivery.source import Source
from keywordsai.delivery.spool import Spool

URL = "https://api.example.test/api"


@pytest.fixture(params=["memory", "file"])
def spool(request, tmp_path):
    path = str(tmp_path / "spool.db") if request.param == "file" else None
    made = Spool(path)
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path):
    return SpoolFolder(str(tmp_path / "spool"), base_url=URL, api_key="a-key")


def again(folder, *, api_key="a-key", base_url=URL):
    """The folder as another process sees it: locks are of open files, not of names."""
    return SpoolFolder(folder.path, base_url=base_url, api_key=api_key)


def names(folder):
    return sorted(path.name for path in Path(folder.path).iterdir())


def die(folder):
    """What the system does to a process's locks when it dies."""
    folder.abandon()


class TestSpool:
    def test_takes_in_order_and_keeps(self, spool):
        for number in range(5):
            spool.put(b"%d" % number, 1.0, giver=3)
        first = spool.take(0, 3)
        assert [entry.body for entry in first] == [b"0", b"1", b"2"]
        assert [entry.giver for entry in first] == [3, 3, 3]
        assert [entry.body for entry in spool.take(first[-1].id, 9)] == [b"3", b"4"]
        assert spool.count() == (5, 0)

    def test_ids_are_never_used_again(self, spool):
        first = spool.put(b"a", 1.0)
        spool.remove([first])
        assert spool.put(b"b", 1.0) > first

    def test_large_logs_come_few_at_a_time(self, spool):
        for _ in range(5):
            spool.put(b"x" * 5_000_000, 1.0)
        assert len(spool.take(0, 100)) == 2

    def test_keys_are_made_of_the_place_unless_given(self, spool):
        spool.put(b"a", 1.0)
        spool.put(b"b", 1.0, key="mine")
        one, two = spool.take(0, 9)
        assert one.key == spool.take(0, 9)[0].key != two.key == "mine"
        assert (one.alone, two.alone) == (False, True)

    def test_the_dead_are_set_apart_with_the_words(self, spool):
        one, two = spool.put(b"a", 1.0), spool.put(b"b", 1.0)
        spool.settle([one], [(two, 422, "no" * 1000)])
        assert spool.count() == (0, 1)
        assert spool.take(0, 9) == []
        assert not spool.any_pending(0, two)

    def test_a_failing_settlement_changes_nothing(self, spool):
        one = spool.put(b"a", 1.0)
        with pytest.raises(sqlite3.Error):
            spool.settle([one], [(one, object(), "")])
        assert spool.count() == (1, 0)
        spool.settle([one], [])
        assert spool.count() == (0, 0)

    def test_handed_on_it_takes_no_more(self, spool):
        spool.put(b"a", 1.0)
        spool.retire()
        for call in (
            lambda: spool.put(b"b", 1.0),
            lambda: spool.take(0, 9),
            spool.count,
        ):
            with pytest.raises(sqlite3.OperationalError, match="handed on"):
                call()

    def test_a_file_is_for_its_owner_only(self, tmp_path):
        mask = os.umask(0)
        try:
            spool = Spool(str(tmp_path / "a.db"))
        finally:
            os.umask(mask)
        spool.put(b"a", 1.0)
        spool.count()
        for path in tmp_path.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        spool.close()

    def test_closed_for_a_fork_it_opens_again(self, tmp_path):
        spool = Spool(str(tmp_path / "a.db"))
        first = spool.put(b"a", 1.0)
        with spool.closed_for_fork():
            assert not list(tmp_path.glob("*-wal"))
        assert spool.put(b"b", 1.0) == first + 1
        assert spool.count() == (2, 0)
        spool.close()

    def test_the_write_ahead_log_is_moved_on_demand(self, tmp_path):
        spool = Spool(str(tmp_path / "a.db"))
        for _ in range(200):
            spool.put(b"x" * 1000, 1.0)
        assert spool.wal_size() > 200_000
        before = Path(spool.path).stat().st_size
        spool.checkpoint()
        assert Path(spool.path).stat().st_size > before
        spool.close()
        assert Spool(None).wal_size() == 0


class TestSource:
    def source(self, spool, **options):
        return Source(spool, clock=time.time, **options)

    def test_a_full_disk_delays_what_is_written_not_what_is_sent(
        self, spool, monkeypatch
    ):
        source = self.source(spool)
        spool.put(b"a", 1.0)
        spool.put(b"b", 1.0)
        (one,), (two,) = (job.entries for job in source.take(9, bulk=False))
        with monkeypatch.context() as full:
            full.setattr(
                spool, "_transaction", lambda: _raise(sqlite3.OperationalError("full"))
            )
            source.delivered(one.id)
            source.settle([], [(two.id, 422, "no")])
            source.tidy()
            assert source.unwritten() == 2
            assert spool.count() == (2, 0)
        source.tidy()
        assert source.unwritten() == 0
        assert spool.count() == (0, 1)

    def test_a_batch_that_cannot_be_fixed_is_not_one(self, spool, monkeypatch):
        source = self.source(spool)
        spool.put(b"a", 1.0)
        spool.put(b"b", 1.0)
        monkeypatch.setattr(
            spool, "fix_batch", lambda _ids: _raise(sqlite3.OperationalError("full"))
        )
        jobs = source.take(9, bulk=True)
        assert [job.batch for job in jobs] == [None, None]

    def test_batches_are_of_five_megabytes_at_most(self, spool):
        source = self.source(spool)
        for _ in range(5):
            spool.put(b"x" * 2_000_000, 1.0)
        found = []
        while jobs := source.take(9, bulk=True):
            found += [len(job.entries) for job in jobs]
        assert sum(found) == 5
        assert max(found) == 2

    def test_with_a_key_of_their_own_logs_go_alone(self, spool):
        source = self.source(spool)
        spool.put(b"a", 1.0)
        spool.put(b"b", 1.0, key="mine")
        spool.put(b"c", 1.0)
        jobs = source.take(9, bulk=True)
        assert [(len(job.entries), job.batch is None) for job in jobs] == [
            (1, True),
            (2, False),
        ]
        assert jobs[0].key == "mine"

    def test_from_before_the_clock_was_set_nothing_is_too_old(self, spool):
        spool.put(b"a", 3.0)
        source = self.source(spool)
        assert source.age(spool.take(0, 1)[0]) == 0.0


def _raise(error):
    raise error


class TestFolder:
    def test_is_for_its_owner_only(self, folder):
        spool = folder.create()
        path = Path(folder.path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert {stat.S_IMODE(one.stat().st_mode) for one in path.iterdir()} == {0o600}
        folder.retire(spool)

    def test_holds_no_key(self, folder):
        spool = folder.create()
        spool.put(b"{}", time.time())
        folder.retire(spool)
        for path in Path(folder.path).iterdir():
            assert b"a-key" not in path.read_bytes()
            assert "a-key" not in path.name

    def test_an_empty_queue_leaves_nothing(self, folder):
        folder.retire(folder.create())
        assert names(folder) == ["salt"]

    def test_what_lives_is_not_adopted(self, folder):
        spool = folder.create()
        spool.put(b"{}", time.time())
        assert list(again(folder).adopt()) == []
        assert list(folder.adopt()) == []
        folder.retire(spool)

    def test_what_died_is_adopted_once(self, folder):
        spool = folder.create()
        spool.put(b"{}", time.time())
        spool.close()
        die(folder)
        heir, late = again(folder), again(folder)
        (adopted,) = heir.adopt()
        assert adopted.adopted
        assert adopted.count() == (1, 0)
        assert list(late.adopt()) == []
        heir.retire(adopted)  # unfinished: for the next
        (adopted,) = late.adopt()
        adopted.remove([adopted.take(0, 1)[0].id])
        late.retire(adopted)
        assert names(folder) == ["salt"]

    def test_the_dead_stay_behind_and_are_not_adopted(self, folder):
        spool = folder.create()
        spool.settle([], [(spool.put(b"{}", 1.0), 422, "no")])
        folder.retire(spool)
        assert [Path(name).suffix for name in names(folder)] == [".dead", ""]
        assert list(again(folder).adopt()) == []

    @pytest.mark.parametrize(
        "other", [{"api_key": "another"}, {"base_url": "https://b.test/api"}]
    )
    def test_another_account_is_stranded_here(self, folder, other):
        spool = folder.create()
        spool.put(b"{}", time.time())
        spool.put(b"{}", time.time())
        here = again(folder, **other)
        assert here.stranded() == 0  # its process lives
        spool.close()
        die(folder)
        assert list(here.adopt()) == []
        assert here.stranded() == 2
        (adopted,) = here.adopt(all_accounts=True)
        here.retire(adopted)

    def test_a_lock_without_a_queue_is_no_queue(self, folder):
        stem = Path(folder.path, f"{folder.account}-abc")
        stem.with_suffix(".db").write_bytes(b"")
        stem.with_suffix(".db").unlink()
        stem.with_suffix(".lock").write_bytes(b"")
        assert list(folder.adopt()) == []

    def test_what_cannot_be_read_is_set_aside(self, folder, caplog):
        path = Path(folder.path, f"{folder.account}-abc.db")
        path.write_bytes(b"no database, and longer than a header of one is" * 50)
        with caplog.at_level(logging.WARNING, "keywordsai"):
            assert list(folder.adopt()) == []
        assert path.with_name(path.name + ".corrupt").exists()
        assert not path.exists()
        assert "set aside" in caplog.text

    def test_foreign_files_are_let_alone(self, folder):
        for name in ("notes.txt", "x.db", "-.db", f"{'0' * 32}.db"):
            Path(folder.path, name).write_text("not ours")
        assert list(folder.adopt(all_accounts=True)) == []
        assert folder.stranded() == 0
        assert Path(folder.path, "x.db").read_text() == "not ours"

    def test_a_folder_that_cannot_be_one(self, tmp_path):
        file = tmp_path / "file"
        file.write_text("")
        with pytest.raises(OSError, match=r"(?i)not a directory|exists"):
            SpoolFolder(str(file / "spool"), base_url=URL, api_key="a")
