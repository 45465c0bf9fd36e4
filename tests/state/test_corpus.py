"""Manifests that real projects publish: each object comes out as it went in, or is refused for a true reason."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from state.dump import dump, dump_json, dump_yaml
from state.entries import entries
from state.load import load, load_strictly
from state.objects import CustomObject
from state.versions import current

CORPUS = Path(__file__).parents[2] / ".." / "shared" / "manifests"
if not (CORPUS / "INDEX.json").is_file():
    pytest.skip("the collection of published manifests is not beside this checkout", allow_module_level=True)
ENTRIES = json.loads((CORPUS / "INDEX.json").read_text())["entries"]

#: What may be wrong with a published manifest, by words of the message.
TRUE_REASONS = {
    "version not served": "was removed in Kubernetes",
    "repeated key": "already set in map",
    "unknown field": "unknown field",
    "wrong type": "must be a",
}


def lost(source, dumped, path=""):
    """The places of a manifest that did not come out as they went in. Empty values may be left out, and be added."""
    empty = (None, "", 0, False, [], {})
    if isinstance(source, dict) and isinstance(dumped, dict):
        source = {str(key): value for key, value in source.items()}
        added = {"apiVersion", "kind"} - set(source)  # which the API server, too, adds to an object within a list
        keys = [key for key in {**source, **dumped} if key not in added]
        return [place for key in keys for place in lost(source.get(key), dumped.get(key), f"{path}.{key}")]
    if isinstance(source, list) and isinstance(dumped, list) and len(source) == len(dumped):
        return [
            place
            for index, pair in enumerate(zip(source, dumped, strict=True))
            for place in lost(*pair, f"{path}[{index}]")
        ]
    if source in ([], {}, None) and dumped in empty:
        return []
    return [] if source == dumped and isinstance(source, bool) == isinstance(dumped, bool) else [path]


def plain(text):
    """The documents of a text as PyYAML reads them, but with dates as text."""

    class Loader(yaml.CSafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith("timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    for document in yaml.load_all(text, Loader):
        if document is not None:
            yield from document["items"] if document["kind"].endswith("List") else [document]


def check_round_trip(obj, source, origin):
    """Nothing of the source is lost, and nothing of the object, by way of JSON or YAML."""
    if current(source.get("apiVersion", ""), source["kind"]) == source.get("apiVersion"):
        assert lost(source, dump(obj)) == [], origin
    assert load_strictly(dump_json(obj)) == (obj,), origin
    assert load_strictly(dump_yaml(obj)) == (obj,), origin


def test_every_manifest_round_trips_or_is_refused_for_a_reason(capsys):
    """All files; the counts are printed."""
    counts = Counter()
    for entry in ENTRIES:
        text = (CORPUS / entry["file"]).read_text()
        loaded = load(text, origin=entry["file"])
        objects = dict(zip(loaded.origins, loaded.objects, strict=True))
        counts["files"] += 1
        counts["warnings"] += len(loaded.warnings)
        for refusal in loaded.refused:
            reasons = [name for name, words in TRUE_REASONS.items() if words in str(refusal)]
            assert reasons, str(refusal)
            counts[f"refused: {reasons[0]}"] += 1
        for source, place in zip(plain(text), entries(text, entry["file"]), strict=True):
            obj = objects.pop(place.origin, None)
            if obj is not None:
                counts["custom" if isinstance(obj, CustomObject) else "typed"] += 1
                counts["converted"] += current(source.get("apiVersion", ""), source["kind"]) != source.get("apiVersion")
                check_round_trip(obj, source, place.origin)
        assert not objects
    with capsys.disabled():
        print(f"\n{', '.join(f'{name} {count}' for name, count in sorted(counts.items()))}")
    assert counts["files"] == len(ENTRIES)
    assert counts["typed"] > 1_400


def test_files_with_repeated_keys_are_found():
    """All that the index knows, and no others."""
    found = {
        entry["file"]
        for entry in ENTRIES
        if any("already set in map" in str(refusal) for refusal in load((CORPUS / entry["file"]).read_text()).refused)
    }
    assert found == {entry["file"] for entry in ENTRIES if entry.get("duplicate_keys")}


@pytest.mark.parametrize("file", sorted((CORPUS / "_yaml-dialect").rglob("*.yaml")), ids=lambda file: file.name)
def test_go_yamls_dialect_is_read(file):
    """Kubernetes' own documentation has an example that is YAML only to Go."""
    assert load_strictly(file.read_bytes())
