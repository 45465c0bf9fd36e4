"""However much is wrong with an object, telling it takes no more room than anybody reads."""

from state.objects import Container, ObjectMeta, Pod, PodSpec
from state.validation import validate
from state.validation._report import MOST_PROBLEMS


def test_so_many_problems_are_told_and_no_more() -> None:
    """The first ones, as if there were no others."""
    containers = tuple(Container(name=f"c{number}") for number in range(2 * MOST_PROBLEMS))
    problems = validate(Pod(metadata=ObjectMeta(name="p"), spec=PodSpec(containers=containers)))
    assert len(problems) == MOST_PROBLEMS
    assert [str(each) for each in problems[:2]] == [
        "spec.containers[0].image: Required value",
        "spec.containers[1].image: Required value",
    ]
