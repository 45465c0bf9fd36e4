"""Manifests from files and directories."""

import pytest

from reconciler.files import load_files, manifest_files

MANIFEST = "apiVersion: v1\nkind: Namespace\nmetadata: {{name: '{}'}}\n"


@pytest.fixture
def tree(tmp_path):
    """Manifests on three levels, and files that are none."""
    for name in ("b/2.yaml", "b/1.yml", "a.json", "c/d/e.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MANIFEST.format(path.stem))
    (tmp_path / "a.json").write_text('{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}')
    (tmp_path / "README.md").write_text("{{")
    return tmp_path


def names(loaded):
    return [obj.metadata.name for obj in loaded.objects]


def test_directories_are_taken_whole_and_sorted(tree):
    """The order of objects doesn't depend on the file system."""
    loaded = load_files([tree])
    assert names(loaded) == ["a", "1", "2", "e"]
    assert loaded.origins == tuple(str(tree / name) for name in ("a.json", "b/1.yml", "b/2.yaml", "c/d/e.yaml"))
    assert not loaded.refused


def test_files_are_taken_in_the_given_order(tree):
    """Whatever their suffix: who names a file means it."""
    (tree / "x.txt").write_text(MANIFEST.format("x"))
    assert names(load_files([tree / "x.txt", str(tree / "c"), tree / "a.json"])) == ["x", "e", "a"]


def test_what_cannot_be_read_costs_only_itself(tree):
    """Missing files, empty directories, broken files."""
    (tree / "empty").mkdir()
    (tree / "broken.yaml").write_text("a: [")
    (tree / "gone.yaml").symlink_to(tree / "nowhere")
    loaded = load_files([tree / "missing.yaml", tree, tree / "empty"])
    assert names(loaded) == ["a", "1", "2", "e"]
    assert [str(refusal).partition(": Invalid value: ")[::2] for refusal in loaded.refused] == [
        (str(tree / "missing.yaml"), "No such file or directory"),
        (str(tree / "broken.yaml"), "line 2, column 1: did not find expected node content while parsing a flow node"),
        (str(tree / "gone.yaml"), "No such file or directory"),
        (str(tree / "empty"), "the directory has no file that ends in .json, .yaml, .yml"),
    ]


def test_links_do_not_lead_in_circles(tree):
    """A link to a directory is not followed, one to a file is."""
    (tree / "b" / "up").symlink_to(tree, target_is_directory=True)
    (tree / "b" / "3.yaml").symlink_to(tree / "a.json")
    assert [path.name for path in manifest_files(tree / "b")] == ["1.yml", "2.yaml", "3.yaml"]


def test_validation_is_passed_on(tree):
    """To every file."""
    (tree / "a.json").write_text('{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}, "x": 1}')
    assert len(load_files([tree]).refused) == 1
    loaded = load_files([tree], validation="warn")
    assert not loaded.refused
    assert len(loaded.warnings) == 1
