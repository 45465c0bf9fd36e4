"""A store in etcd, for several programs on one state. Speaks etcd's v3 API over gRPC, with the stubs of ``aetcd``.

Conditions are transactions on the key's revision. All watches of a process share one stream of the whole key space:
there every revision has an event, so that a gap can't go unseen, and how far the news has come is always known.

Keys and revisions are etcd's own; what others write there shows as well.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import grpc
from aetcd import rpc

from state.store.base import Store
from state.store.feed import Feed
from state.store.records import (
    FIRST_REVISION,
    LAST,
    CompactedError,
    Entry,
    Event,
    FutureRevisionError,
    Page,
    Refused,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    Tls,
    TooLargeError,
    Write,
    decide,
    overdue,
)
from state.store.table import Table, changed_since

#: Recent changes kept in memory for watches; older ones are asked for again.
_WINDOW_BYTES = 16 * 2**20
#: Writes under way at the same time for one caller.
_IN_FLIGHT = 128
#: Seconds for one answer, and for all of the history that a late watch needs.
_TIMEOUT, _HISTORY_TIMEOUT = 10.0, 120.0
#: Seconds between two tries to follow the changes.
_RETRY = 0.2
#: In etcd the range from this key to this end is all keys.
_ALL = b"\0"
#: Ends a stream whose server has lost the cluster's leader, which otherwise would stay silent.
_NEEDS_LEADER = (("hasleader", "true"),)
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),  # a list can have any size
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.use_local_subchannel_pool", 1),
)
_DELETE = 1


class EtcdStore(Store):
    """The store at some endpoints (``HOST:PORT``) of one cluster; when one fails, the next is asked.

    ``keep`` is how many revisions of history are kept; 0 leaves compaction to others. ``window_bytes`` bounds the
    memory used for recent changes. Without ``tls`` nothing is encrypted.

    Raises:
        StoreUnavailableError: there is no etcd.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        keep: int = 0,
        window_bytes: int = _WINDOW_BYTES,
        tls: Tls | None = None,
    ) -> None:
        self._place = ",".join(endpoints)
        self._keep = keep
        self._members = tuple(_Member(endpoint, tls) for endpoint in endpoints)
        #: Which member is asked.
        self._turn = 0
        self._closing = threading.Event()
        try:
            self.feed = Feed(self.revision(), window_bytes)
        except BaseException:
            self._hang_up()
            raise
        self._follower = threading.Thread(target=self._follow, name="etcd-watch", daemon=True)
        self._follower.start()

    @classmethod
    def at(cls, place: str, *, keep: int = 0, tls: Tls | None = None) -> EtcdStore:
        """The store of a URL, without its scheme: ``//HOST:PORT[,HOST:PORT…]``."""
        endpoints = place.removeprefix("//").rstrip("/").split(",")
        if not place.startswith("//") or not all(map(_is_endpoint, endpoints)):
            raise StoreError(f"'etcd:{place}' names no store; expected 'etcd://HOST:PORT[,HOST:PORT…]'")
        return cls(endpoints, keep=keep, tls=tls)

    def close(self) -> None:
        """Hangs up."""
        if not self._closing.is_set():
            self.feed.close(f"the store at {self._place} is closed")
            self._hang_up()
            self._follower.join()

    def _hang_up(self) -> None:
        self._closing.set()
        for member in self._members:
            member.channel.close()

    # -- reading -------------------------------------------------------------------------------------------------------

    def revision(self) -> int:
        """The revision of the last change in the cluster."""
        return int(self._read(rpc.RangeRequest(key=_ALL, count_only=True)).header.revision)

    def get(self, key: str) -> Entry | None:
        """What the key holds now."""
        found = self._read(rpc.RangeRequest(key=key.encode())).kvs
        return _entry(found[0]) if found else None

    def list(self, prefix: str, *, revision: int | None = None, limit: int | None = None, after: str = "") -> Page:
        """The entries with a prefix as of a revision."""
        try:
            return self._list(prefix, revision, limit, after)
        except CompactedError:
            page = None if revision is None else self._remembered(prefix, revision, limit, after)
            if page is None:
                raise
            return page

    def _remembered(self, prefix: str, revision: int, limit: int | None, after: str) -> Page | None:
        """A list of older days, of which etcd knows nothing any more and this process still does: the newest one that
        it has heard of, with the later changes taken back. As kube-apiserver, whose watch cache goes back so far.
        """
        with self.feed.lock:
            if revision < self._compacted or not self.feed.has(revision):
                return None
            now, events = self.feed.revision, self.feed.since(revision)
        table = Table(self._list(prefix, now, None, "").entries)
        return table.older_page(prefix, revision, limit, after, changed_since(events, revision, prefix, after))

    def _list(self, prefix: str, revision: int | None, limit: int | None, after: str) -> Page:
        start = max(prefix, after + "\0") if after else prefix or "\0"
        wanted = 0 if revision is None else max(revision, FIRST_REVISION)
        answer = self._read(
            rpc.RangeRequest(key=start.encode(), range_end=(prefix + LAST).encode(), limit=limit, revision=wanted)
        )
        found = tuple(map(_entry, answer.kvs))
        return Page(found, wanted or answer.header.revision, answer.count - len(found))

    def _read(self, request: Any) -> Any:
        """Asks one member after the other until one answers."""
        for _ in range(len(self._members) - 1):
            with suppress(StoreUnavailableError):
                return self._call("Range", request)
        return self._call("Range", request)

    def _call(self, method: str, request: Any) -> Any:
        with self._member(getattr(request, "revision", 0)) as member:
            return getattr(member.kv, method)(request, timeout=_TIMEOUT)

    @contextmanager
    def _member(self, revision: int = 0) -> Iterator[_Member]:
        """The member to ask now; says in the store's words what it says. The next one is asked after a failure."""
        turn = self._turn
        try:
            if self._closing.is_set():
                raise StoreUnavailableError(f"the store at {self._place} is closed")
            yield self._members[turn]
        except ValueError as error:  # so grpc says that its channel was closed meanwhile
            if not self._closing.is_set():
                raise
            raise StoreUnavailableError(f"the store at {self._place} is closed") from error
        except grpc.RpcError as error:
            failure = self._explained(error, revision)
            if isinstance(failure, StoreUnavailableError):
                self._turn = (turn + 1) % len(self._members)
            raise failure from error

    def _explained(self, error: Any, revision: int) -> StoreError:
        code, text = error.code(), error.details() or ""
        if code is grpc.StatusCode.OUT_OF_RANGE and "future" in text:
            return FutureRevisionError(revision, self.revision())
        if code is grpc.StatusCode.OUT_OF_RANGE and "compacted" in text:
            return CompactedError(revision, self._find_compacted())
        message = f"etcd at {self._place}: {text} ({code.name})"
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "space" in text:
            return StoreFullError(message)
        if code is grpc.StatusCode.INVALID_ARGUMENT and "too large" in text:
            return TooLargeError(message)
        return StoreUnavailableError(message)

    # -- writing -------------------------------------------------------------------------------------------------------

    def _write(self, writes: Sequence[Write]) -> Sequence[Entry | Refused]:
        if len(writes) == 1:
            results = [self._write_one(writes[0])]
        else:
            results = [result for part in _independent(writes) for result in self._write_together(part)]
        newest = max((result.revision for result in results if isinstance(result, Entry)), default=0)
        self.compact(overdue(newest, self._compacted, self._keep))
        return results

    def _write_one(self, write: Write) -> Entry | Refused:
        return self._settled(write, lambda: self._call("Txn", _transaction(write)))

    def _write_together(self, writes: Sequence[Write]) -> Sequence[Entry | Refused]:
        """Sends all, then waits for all: when this ends, none is under way any more."""
        with self._member() as member:
            calls = [member.kv.Txn.future(_transaction(write), timeout=_TIMEOUT) for write in writes]
            for call in calls:
                call.exception()
        return [self._settled(write, partial(self._answer, call)) for write, call in zip(writes, calls, strict=True)]

    def _answer(self, call: Any) -> Any:
        with self._member():
            return call.result()

    def _settled(self, write: Write, answer: Callable[[], Any]) -> Entry | Refused:
        """What came of a write. Etcd says that it is full of the write, too, by which it first goes over its quota and
        which it has done.
        """
        try:
            return _outcome(write, answer())
        except StoreFullError:
            found = None if write.value is None else self.get(write.key)
            if found is None or found.value != write.value or found.revision == write.expected:
                raise
            return found

    def compact(self, revision: int) -> None:
        """Has etcd forget what was before a revision."""
        if revision > max(self._compacted, FIRST_REVISION):
            with suppress(CompactedError):  # another program did it already
                self._call("Compact", rpc.CompactionRequest(revision=revision))
        self._compacted = max(self._compacted, revision)

    # -- what changed --------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Brings all changes into the feed until the store is closed; for a thread of its own."""
        try:
            while not self._closing.is_set():
                try:
                    self._check_going_forward()
                    for events in self._changes(self.feed.revision):
                        self.feed.append(events, events[-1].revision)
                except CompactedError as error:
                    self.feed.skip(error.compacted)
                except StoreUnavailableError:
                    self._closing.wait(_RETRY)
        except StoreError as error:
            self.feed.close(str(error))
        except BaseException as error:
            self.feed.close(f"following etcd at {self._place} failed: {error!r}")
            raise

    def _check_going_forward(self) -> None:
        now = self.revision()
        if now < self.feed.revision:
            raise StoreError(f"etcd at {self._place} went back from revision {self.feed.revision} to {now}")

    def _changes(self, after: int, timeout: float | None = None) -> Iterator[Sequence[Event]]:
        """All changes of all keys after a revision, as they come; what happened at one revision comes together."""
        create = rpc.WatchCreateRequest(key=_ALL, range_end=_ALL, start_revision=after + 1, prev_kv=True)
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        requests.put(rpc.WatchRequest(create_request=create))
        with self._member(after) as member:
            answers = member.watch(iter(requests.get, None), timeout=timeout, metadata=_NEEDS_LEADER)
            try:
                for answer in answers:
                    if answer.compact_revision:
                        raise CompactedError(after, answer.compact_revision)
                    if answer.canceled:
                        raise StoreUnavailableError(f"etcd at {self._place} ended a watch: {answer.cancel_reason}")
                    if answer.events:
                        yield [_event(event) for event in answer.events]
            finally:
                requests.put(None)
                answers.cancel()

    def _find_compacted(self) -> int:
        """The revision at which history begins. Etcd says so to a watch that wants all of it, and to nobody else."""
        try:
            next(self._changes(0, _TIMEOUT), None)
        except CompactedError as error:
            return error.compacted
        return self._compacted

    def _history(self, prefix: str, after: int, upto: int) -> Sequence[Event]:
        found: list[Event] = []
        if upto > FIRST_REVISION:
            for events in self._changes(after, _HISTORY_TIMEOUT):
                found.extend(event for event in events if event.revision <= upto and event.key.startswith(prefix))
                if events[-1].revision >= upto:
                    break
        return found


class _Member:
    """One server of the cluster."""

    def __init__(self, endpoint: str, tls: Tls | None) -> None:
        if tls is None:
            self.channel = grpc.insecure_channel(endpoint, options=_OPTIONS)
        else:
            known = grpc.ssl_channel_credentials(tls.authority or None, tls.key or None, tls.certificate or None)
            self.channel = grpc.secure_channel(endpoint, known, options=_OPTIONS)
        self.kv = rpc.KVStub(self.channel)
        self.watch = rpc.WatchStub(self.channel).Watch


def _is_endpoint(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 2**16


def _entry(found: Any) -> Entry:
    return Entry(found.key.decode(), found.value, found.mod_revision)


def _event(event: Any) -> Event:
    """An event; of keys that aren't text, which others wrote, the key is as near as can be."""
    now, before = event.kv, event.prev_kv
    key = now.key.decode(errors="replace")
    previous = Entry(key, before.value, before.mod_revision) if before.mod_revision else None
    return Event(now.mod_revision, key, None if event.type == _DELETE else now.value, previous)


def _independent(writes: Sequence[Write]) -> Iterator[Sequence[Write]]:
    """Parts of the writes that can be under way together: not too many, and no two of one key."""
    part: dict[str, Write] = {}
    for write in writes:
        if write.key in part or len(part) == _IN_FLIGHT:
            yield list(part.values())
            part = {}
        part[write.key] = write
    yield list(part.values())


def _transaction(write: Write) -> Any:
    """Do it if the condition holds; else say what the key holds."""
    key = write.key.encode()
    condition = rpc.Compare(key=key, target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=write.expected or 0)
    if write.expected is None:
        condition.result = rpc.Compare.GREATER
    if write.value is None:
        change = rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key, prev_kv=True))
    else:
        change = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=write.value))
    look = rpc.RequestOp(request_range=rpc.RangeRequest(key=key))
    conditions, looks = [condition], [look]
    if write.fence is not None:
        fence, at = write.fence.key.encode(), write.fence.revision
        conditions.append(rpc.Compare(key=fence, target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=at))
        looks.append(rpc.RequestOp(request_range=rpc.RangeRequest(key=fence)))
    return rpc.TxnRequest(compare=conditions, success=[change], failure=looks)


def _outcome(write: Write, answer: Any) -> Entry | Refused:
    if answer.succeeded:
        value = write.value
        if value is None:
            value = answer.responses[0].response_delete_range.prev_kvs[0].value
        return Entry(write.key, value, answer.header.revision)
    found = {entry.key: entry for each in answer.responses for entry in map(_entry, each.response_range.kvs)}
    refused = decide(write, found.get(write.key), found.get)
    assert refused is not None, f"etcd refused {write}, which {found} allows"
    return refused
