"""/healthz, /livez and /readyz as kube-apiserver's: one word for machines, a line for each check with ``?verbose``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import structlog
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from reconciler.apiserver.queries import read_query
from state.errors import StateError

log = structlog.get_logger("reconciler")

#: Says why something isn't well; "" if it is. May block.
Check = Callable[[], str]
_HEADERS = {"X-Content-Type-Options": "nosniff"}


def check(work: Callable[[], object]) -> Check:
    """A check that something can be done."""

    def found() -> str:
        try:
            work()
        except StateError as error:
            return str(error)
        return ""

    return found


def _fine() -> str:
    return ""


def health_pages(checks: Mapping[str, Mapping[str, Check]]) -> dict[str, Callable[[Request], Awaitable[Response]]]:
    """The pages of endpoints (``readyz``) by path; each endpoint has checks with names."""
    pages: dict[str, Callable[[Request], Awaitable[Response]]] = {}
    for name, named in checks.items():
        page = _Endpoint(name, named)
        pages |= {f"/{name}": page.whole, f"/{name}/": page.one}
    return pages


class _Endpoint:
    def __init__(self, name: str, checks: Mapping[str, Check]) -> None:
        self._name = name
        self._checks: dict[str, Check] = {"ping": _fine, "log": _fine, **checks}

    async def whole(self, request: Request) -> Response:
        """All checks but those that the request excludes."""
        query = read_query(request.scope["query_string"])
        excluded = set(query.get("exclude", ()))
        lines, failed = [], []
        for name, work in self._checks.items():
            if name in excluded:
                lines.append(f"[+]{name} excluded: ok")
                continue
            why = await to_thread.run_sync(work)
            lines.append(f"[-]{name} failed: reason withheld" if why else f"[+]{name} ok")
            if why:
                failed.append(name)
                log.warning("a health check failed", endpoint=self._name, check=name, cause=why)
        unknown = sorted(excluded - set(self._checks))
        if unknown:
            names = ",".join(f'"{name}"' for name in unknown)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
        if failed:
            return _text("\n".join((*lines, f"{self._name} check failed\n")), 500)
        if "verbose" not in query:
            return _text("ok")
        return _text("\n".join((*lines, f"{self._name} check passed\n")))

    async def one(self, request: Request) -> Response:
        """One check, at its own path."""
        work = self._checks.get(request.scope["path"].strip("/").partition("/")[2])
        if work is None:
            return PlainTextResponse("404 page not found\n", 404, _HEADERS)
        why = await to_thread.run_sync(work)
        return _text(f"internal server error: {why}\n", 500) if why else _text("ok")


def _text(text: str, code: int = 200) -> Response:
    return PlainTextResponse(text, code, _HEADERS)
