"""What is kept for long."""

from __future__ import annotations

from state.kept import by_identity


def test_results_are_remembered_by_identity():
    seen = []

    @by_identity
    def size(text):
        """How long it is."""
        seen.append(text)
        return len(text)

    first, second = ["a"], ["a"]
    assert [size(first), size(first), size(second), size(first)] == [1, 1, 1, 1]
    assert seen == [first, second]
    assert size.__doc__ == "How long it is."


def test_no_more_than_so_many_are_kept():
    seen = []
    name = by_identity(seen.append, most=2)
    objects = [[], [], []]
    for each in (*objects, objects[2], objects[0]):
        name(each)
    assert [id(each) for each in seen] == [id(objects[k]) for k in (0, 1, 2, 0)]
