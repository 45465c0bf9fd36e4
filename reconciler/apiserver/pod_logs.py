"""What a container wrote, as the response to GET pods/NAME/log: lines of text, and new ones as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, timedelta

from anyio import to_thread
from starlette.responses import Response, StreamingResponse

from reconciler.apiserver.api import Api
from reconciler.apiserver.log_options import Line, LogOptions, OpenLog
from reconciler.apiserver.options import Query
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError, bad_request, internal, not_found
from state.errors import StateError
from state.objects import Pod

#: Seconds between two looks for new lines.
_POLL_SECONDS = 0.1
_TEXT = "text/plain"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def log_response(api: Api, place: Place, query: Query) -> Response:
    """The response. Blocks for a moment.

    Raises:
        ApiError: there is no such pod or container, or nobody here knows what it wrote.
    """
    stored = api.storage.get(place.resource, place.namespace, place.name)
    if stored is None:
        raise not_found(*place.about)
    pod = stored.object
    assert isinstance(pod, Pod)
    options = LogOptions.read(query, place.name, api.clock())
    container = options.container or _only_container(pod)
    if container not in _names(pod):
        raise bad_request(f"container {container} is not valid for pod {place.name}")
    if not pod.spec.node_name:
        return Response(b"", media_type=_TEXT)
    source = api.subresources.logs
    if source is None:
        raise internal("no node of this cluster keeps logs")
    try:
        log = source.open(pod, container, previous=options.previous, tail=options.tail)
    except StateError as error:
        raise bad_request(str(error)) from error
    return StreamingResponse(_limited(_chunks(log, options), options.limit), media_type=_TEXT)


def _names(pod: Pod) -> list[str]:
    spec = pod.spec
    containers = [each.name for each in (*spec.containers, *spec.init_containers)]
    return [*containers, *(each.name for each in spec.ephemeral_containers)]


def _only_container(pod: Pod) -> str:
    """The container that is meant where none is named."""
    first, *others = (container.name for container in pod.spec.containers)
    if not others:
        return first
    choice = f"choose one of: [{' '.join((first, *others))}]"
    if pod.spec.init_containers:
        choice += f" or one of the init containers: [{' '.join(each.name for each in pod.spec.init_containers)}]"
    raise _ambiguous(pod, choice)


def _ambiguous(pod: Pod, choice: str) -> ApiError:
    return bad_request(f"a container name must be specified for pod {pod.metadata.name}, {choice}")


async def _chunks(log: OpenLog, options: LogOptions) -> AsyncIterator[bytes]:
    """The lines; with ``follow`` also those that come, until the container has ended."""
    while True:
        is_over = not options.follow or await to_thread.run_sync(log.has_ended)
        text = b"".join(_written(await to_thread.run_sync(log.read), options))
        if text:
            yield text
        if is_over:
            return
        await asyncio.sleep(_POLL_SECONDS)


def _written(lines: Iterable[Line], options: LogOptions) -> Iterator[bytes]:
    for line in lines:
        if options.since is None or line.at >= options.since:
            yield b"%s %s\n" % (_stamp(line.at), line.text) if options.timestamps else line.text + b"\n"


def _stamp(at: int) -> bytes:
    """The time as the kubelet writes it, in nanoseconds."""
    return (_EPOCH + timedelta(microseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()


async def _limited(chunks: AsyncIterator[bytes], limit: int | None) -> AsyncIterator[bytes]:
    """No more than so many bytes."""
    left = limit
    async for chunk in chunks:
        yield chunk if left is None else chunk[:left]
        if left is not None:
            left -= len(chunk)
            if left <= 0:
                return
