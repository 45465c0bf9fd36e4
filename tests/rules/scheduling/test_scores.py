"""Scores in numbers, from kube-scheduler's own tests of its plugins."""

import pytest

from rules.scheduling.framework import scaled_to_max
from rules.scheduling.plugins.image_locality import priority, share
from rules.scheduling.plugins.inter_pod_affinity import scaled
from rules.scheduling.plugins.node_resources_balanced_allocation import balance
from rules.scheduling.plugins.node_resources_fit import (
    REQUESTED_TO_CAPACITY_RATIO,
    NodeResourcesFit,
    Strategy,
    broken_linear,
    least_allocated,
    most_allocated,
)
from rules.scheduling.plugins.pod_topology_spread import rounded
from rules.scheduling.resources import is_extended, is_scalar

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("shape", "utilization", "score"),
    [
        (((10, 1), (90, 9)), 0, 1),
        (((10, 1), (90, 9)), 10, 1),
        (((10, 1), (90, 9)), 15, 1),
        (((10, 1), (90, 9)), 20, 2),
        (((10, 1), (90, 9)), 89, 8),
        (((10, 1), (90, 9)), 90, 9),
        (((10, 1), (90, 9)), 100, 9),
        (((0, 2), (40, 10), (100, 0)), 20, 6),
        (((0, 2), (40, 10), (100, 0)), 70, 5),
        (((0, 2), (40, 10), (100, 0)), 99, 1),
        (((0, 2), (40, 2), (100, 2)), 70, 2),
    ],
)
def test_a_shape_is_a_line_through_its_points_rounded_towards_the_point_before(shape, utilization, score):
    assert broken_linear(shape, utilization) == score


@pytest.mark.parametrize(
    ("function", "requested", "allocatable", "score"),
    [
        (least_allocated, 0, 4000, 100),
        (least_allocated, 3000, 4000, 25),
        (least_allocated, 3001, 4000, 24),
        (least_allocated, 4001, 4000, 0),
        (least_allocated, 5, 0, 0),
        (most_allocated, 3000, 4000, 75),
        (most_allocated, 4001, 4000, 100),
        (most_allocated, 5, 0, 0),
    ],
)
def test_a_share_of_a_resource(function, requested, allocatable, score):
    assert function(requested, allocatable) == score


@pytest.mark.parametrize(
    ("utilizations", "weights", "score"),
    [
        ((75, 50), (1, 1), 38),  # 37.5, half away from zero
        ((50, 50), (1, 1), 50),
        ((0, 50), (1, 1), 75),
        ((100, 50), (1, 1), 50),  # what scores nothing doesn't count in the mean
        ((75, 50), (3, 1), 31),  # 31.25
    ],
)
def test_the_ratio_strategy_rounds_the_mean_of_what_scores(utilizations, weights, score):
    """With the shape that prefers empty nodes."""
    fit = NodeResourcesFit(Strategy(REQUESTED_TO_CAPACITY_RATIO, shape=((0, 100), (100, 0))))
    scores = [fit.resource_score(used, 100) for used in utilizations]
    counted = [(score, weight) for score, weight in zip(scores, weights, strict=True) if score > 0]
    total = sum(score * weight for score, weight in counted) / sum(weight for _, weight in counted)
    assert int(total + 0.5) == score


@pytest.mark.parametrize(
    ("fractions", "score"),
    [
        ((0.5, 0.5), 100),
        ((0.6, 0.5), 95),
        ((1.0, 0.0), 50),
        ((0.75, 0.25), 75),
        ((0.25,), 100),
        ((), 100),
        ((0.6, 0.5, 0.1), 78),  # deviation 0.216…
        ((0.0, 1.0, 1.0), 52),
    ],
)
def test_balance_is_what_the_standard_deviation_leaves(fractions, score):
    assert balance(fractions) == score


@pytest.mark.parametrize(
    ("scores", "reverse", "expected"),
    [
        ([1, 2, 3, 4], False, [25, 50, 75, 100]),
        ([1, 2, 3, 4], True, [75, 50, 25, 0]),
        ([1000, 10, 20, 30], False, [100, 1, 2, 3]),
        ([1000, 10, 20, 30], True, [0, 99, 98, 97]),
        ([1, 1, 1, 1], True, [0, 0, 0, 0]),
        ([0, 0, 0], False, [0, 0, 0]),
        ([0, 0, 0], True, [100, 100, 100]),
        ([1000, 1, 1, 1], False, [100, 0, 0, 0]),
        ([], True, []),
    ],
)
def test_scores_are_scaled_to_the_largest(scores, reverse, expected):
    assert scaled_to_max(scores, reverse=reverse) == expected


@pytest.mark.parametrize(
    ("size", "holders", "nodes", "containers", "score"),
    [
        (40 * MIB, 1, 2, 2, 0),  # scaled to 20 MiB, below the least
        (250 * MIB, 1, 2, 2, 5),
        (140 * MIB, 2, 2, 1, 11),
        (4000 * MIB, 1, 2, 1, 100),
    ],
)
def test_images_count_by_size_and_by_how_many_nodes_have_them(size, holders, nodes, containers, score):
    assert priority(share(size, holders, nodes), containers) == score


@pytest.mark.parametrize(
    ("score", "least", "most", "expected"), [(5, -5, 5, 100), (0, -5, 5, 50), (1, 0, 3, 33), (2, 2, 2, 0)]
)
def test_affinity_is_scaled_between_the_least_and_the_most(score, least, most, expected):
    assert scaled(score, least, most) == expected


@pytest.mark.parametrize(("value", "whole"), [(0.5, 1), (1.4999, 1), (2.5, 3), (-0.5, -1)])
def test_halves_are_rounded_away_from_zero(value, whole):
    assert rounded(value) == whole


@pytest.mark.parametrize(
    ("name", "scalar", "extended"),
    [
        ("cpu", False, False),
        ("example.com/foo", True, True),
        ("kubernetes.io/foo", True, False),
        ("my.kubernetes.io/foo", True, False),
        ("requests.example.com/foo", False, False),
        ("hugepages-2Mi", True, False),
        ("attachable-volumes-csi-x", True, False),
        ("foo", False, False),
    ],
)
def test_which_resources_are_counted_and_which_are_somebody_elses(name, scalar, extended):
    assert (is_scalar(name), is_extended(name)) == (scalar, extended)


def test_only_extended_resources_can_be_left_to_somebody_else():
    fit = NodeResourcesFit(
        ignored=frozenset(("hugepages-2Mi", "example.com/a")), ignored_groups=frozenset(("group.io",))
    )
    names = ("hugepages-2Mi", "example.com/a", "example.com/b", "group.io/c", "cpu")
    assert [fit.is_ignored(name) for name in names] == [False, True, False, True, False]
