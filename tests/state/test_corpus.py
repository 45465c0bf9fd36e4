"""Manifests that real projects publish: each object comes out as it went in, or is refused for a true reason."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from state.dump import dump, dump_json, dump_yaml
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
        return [
            place for key in {**source, **dumped} for place in lost(source.get(key), dumped.get(key), f"{path}.{key}")
        ]
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
        yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith("timestamp")]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    for document in yaml.load_all(text, Loader):
        if document is not None:
            yield from document["items"] if document["kind"].endswith("List") else [document]


def test_every_manifest_round_trips_or_is_refused_for_a_reason(capsys):
    """All files; the counts are printed."""
    counts = Counter()
    for entry in ENTRIES:
        text = (CORPUS / entry["file"]).read_text()
        loaded = load(text, origin=entry["file"])
        refused = {refusal.origin for refusal in loaded.refused}
        counts["files"] += 1
        counts["warnings"] += len(loaded.warnings)
        for refusal in loaded.refused:
            reasons = [name for name, words in TRUE_REASONS.items() if words in str(refusal)]
            assert reasons, str(refusal)
            counts[f"refused: {reasons[0]}"] += 1
        sources = list(plain(text))
        assert len(sources) == len(loaded.objects) + len(loaded.refused), entry["file"]
        if refused:
            continue  # which source belongs to which object is not worth finding out
        for source, obj in zip(sources, loaded.objects, strict=True):
            dumped = dump(obj)
            converted = current(source.get("apiVersion", ""), source["kind"]) != source.get("apiVersion")
            counts["custom" if isinstance(obj, CustomObject) else "typed"] += 1
            counts["converted"] += converted
            if not converted:
                additions = {".apiVersion", ".kind"} if "kind" not in source else set()
                assert set(lost(source, dumped)) <= additions, f"{entry['file']}: {obj.metadata.name}"
            assert load_strictly(dump_json(obj)) == (obj,)
            assert load_strictly(dump_yaml(obj)) == (obj,)
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
