"""Requests to a real API server and its answers, as recorded in ``tests/golden/controllers``."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
from hypothesis import strategies as st

from state.objects import KINDS, AnyObject, decode_hook, encode_hook

FOLDER = Path(__file__).parents[1] / "golden" / "controllers"


@dataclass(frozen=True)
class Exchange:
    """One request and its answer; ``response`` has code, and body, fields or status."""

    name: str
    request: dict
    response: dict

    @property
    def causes(self) -> list[dict]:
        return self.response.get("status", {}).get("details", {}).get("causes") or []


@cache
def exchanges() -> tuple[Exchange, ...]:
    found = []
    for file in sorted(FOLDER.glob("*.json")):
        case = json.loads(file.read_text())
        for number, step in enumerate(case["steps"]):
            response = case["expected"].get("responses", {}).get(str(number))
            if step["op"] == "http" and response is not None:
                found.append(Exchange(f"{file.stem}-{number}", step, response))
    return tuple(found)


def creations() -> list[Exchange]:
    """Objects of typed kinds sent to be created."""
    return [
        exchange
        for exchange in exchanges()
        if exchange.request["method"] == "POST" and is_typed(exchange.request.get("body"))
    ]


def is_typed(body: object) -> bool:
    """Whether a request's body is an object of a typed kind."""
    kind = KINDS.get(body.get("kind")) if isinstance(body, dict) else None
    return kind is not None and body.get("apiVersion") == kind.api_version


def typed(body: dict) -> AnyObject:
    return convert(body, KINDS[body["kind"]].type)


def convert(body: dict, target: type) -> AnyObject:
    fields = {name: value for name, value in body.items() if name not in ("kind", "apiVersion") and value is not None}
    return msgspec.convert(fields, target, dec_hook=decode_hook)


def plain(obj: AnyObject) -> dict:
    return msgspec.json.decode(msgspec.json.encode(obj, enc_hook=encode_hook))


def damaged(draw, body: dict, values: list) -> dict:
    """A copy of a request's body with a few parts of it replaced by ``values``; ``draw`` is Hypothesis' data.draw."""
    body = json.loads(json.dumps(body))
    for path in draw(st.lists(st.sampled_from(_leaves(body)), max_size=4, unique=True)):
        way = path[: draw(st.integers(1, len(path)))]
        parent = body
        for key in way[:-1]:
            known = parent if isinstance(parent, dict) else dict(enumerate(parent)) if isinstance(parent, list) else {}
            parent = known.get(key)
        if way[0] not in {"kind", "apiVersion"} and isinstance(parent, dict):
            parent[way[-1]] = draw(st.sampled_from(values))
    return body


def _leaves(tree: object, path: tuple = ()) -> list[tuple]:
    if isinstance(tree, dict | list) and tree:
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return [leaf for key, child in items for leaf in _leaves(child, (*path, key))]
    return [path]
