"""The journal: what was saved is found again, whatever happens to the last line; damage elsewhere is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.live import journal
from reconciler.live.journal import Journal, JournalError
from state.objects import ConfigMap, CustomObject, ObjectMeta, Opaque, Pod
from state.snapshot import Change, Key, Snapshot


def config(name: str, value: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data={"value": value})


def after(snapshot: Snapshot, *objects: ConfigMap, gone: str = "") -> Snapshot:
    changes = [Change(Key.of(obj), snapshot.get(Key.of(obj)), obj) for obj in objects]
    if gone:
        key = Key("ConfigMap", "default", gone)
        changes.append(Change(key, snapshot.get(key), None))
    return snapshot.apply(changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def saved(path: Path) -> list[Snapshot]:
    """Snapshots that were saved one after the other, without closing."""
    log = Journal(path)
    first = after(log.snapshot, config("a", "1"), config("b", "1"))
    second = after(first, config("a", "2"), gone="b")
    for snapshot in (first, second):
        log.save(snapshot)
    return [first, second]


def test_a_new_journal_holds_what_the_old_one_saved(path: Path) -> None:
    """Objects, their removal, and the revision."""
    *_, last = saved(path)
    assert Journal(path).snapshot == last
    assert journal.read(path) == last


def test_every_kind_of_object_comes_back_as_it_was(path: Path) -> None:
    """Typed and custom objects, cluster-scoped ones too."""
    custom = CustomObject(
        api_version="example.com/v1", kind="Widget", metadata=ObjectMeta(name="w"), body=Opaque({"spec": {"x": [1]}})
    )
    pod = Pod(metadata=ObjectMeta(name="p", namespace="x", uid="u", resource_version="3"))
    snapshot = Snapshot.of([custom, pod], 7)
    Journal(path).save(snapshot)
    found = Journal(path).snapshot
    assert list(found) == list(snapshot)
    assert found.revision == 7
    log = Journal(path)
    log.save(snapshot.apply([Change(Key.of(custom), custom, None)]))
    assert list(Journal(path).snapshot) == [pod]


def test_a_torn_last_line_is_dropped_and_the_line_before_it_counts(path: Path) -> None:
    """Cut anywhere within the last line."""
    first, second = saved(path)
    whole = path.read_bytes()
    start = whole[:-1].rindex(b"\n") + 1
    for cut in range(start, len(whole)):
        path.write_bytes(whole[:cut])
        log = Journal(path)
        assert log.snapshot == first
        assert log.dropped_bytes == cut - start
        log.save(second)
        assert journal.read(path) == second


@given(st.data())
def test_no_damage_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """One changed byte: an error, or (if the end of the last line is gone) the state before; never another one."""
    path = tmp_path_factory.mktemp("damaged") / "journal"
    first, _ = saved(path)
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    if place == len(whole) - 1:
        assert journal.read(path) == first
    else:
        with pytest.raises(JournalError, match=r"is damaged at byte|is not a journal"):
            journal.read(path)


def test_a_journal_that_has_grown_is_written_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It doesn't grow with the number of changes, and what is saved after that is there, too."""
    monkeypatch.setattr(journal, "_LEAST_BYTES", 2_000)
    log = Journal(path)
    snapshot = log.snapshot
    longest = 0
    for number in range(200):
        snapshot = after(snapshot, config("a", str(number)))
        log.save(snapshot)
        longest = max(longest, path.stat().st_size)
        assert journal.read(path) == snapshot
    assert longest < 4_000


def test_a_failed_write_leaves_the_last_state_and_can_be_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, say: half a line is written over by the next attempt."""
    log = Journal(path)
    first = after(log.snapshot, config("a", "1"))
    log.save(first)

    def half(file: int, data: bytes, position: int) -> None:
        os.pwrite(file, data[: len(data) // 2], position)
        raise OSError(28, "No space left on device")

    second = after(first, config("a", "2" * 1000))
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_write_all", half)
        with pytest.raises(JournalError, match="No space left on device"):
            log.save(second)
    assert journal.read(path) == first
    third = after(first, config("a", "3"))
    log.save(third)
    assert journal.read(path) == third


def test_another_file_is_no_journal(path: Path) -> None:
    """It is refused by name, and not overwritten."""
    path.write_text("hello\n")
    with pytest.raises(JournalError, match="is not a journal of this program's format 1"):
        Journal(path)
    assert path.read_text() == "hello\n"
