"""The solver of the assignment problem finds the least total cost."""

from itertools import permutations

import numpy as np
import pytest

from segcore_transformers.assignment import assign


def least_cost(costs):
    """Try every assignment of the shorter side."""
    costs = costs if costs.shape[0] <= costs.shape[1] else costs.T
    rows = range(costs.shape[0])
    return min(
        costs[rows, list(columns)].sum()
        for columns in permutations(range(costs.shape[1]), len(rows))
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 3), (2, 6), (4, 6), (5, 5), (6, 3), (5, 1)])
@pytest.mark.parametrize("seed", range(8))
def test_no_assignment_is_cheaper(shape, seed):
    costs = np.random.default_rng(seed).normal(size=shape)
    rows, columns = assign(costs)
    assert costs[rows, columns].sum() == pytest.approx(least_cost(costs), abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_equal_costs_are_no_trouble(seed):
    costs = np.random.default_rng(seed).integers(0, 3, (5, 6)).astype(float)
    rows, columns = assign(costs)
    assert costs[rows, columns].sum() == least_cost(costs)


@pytest.mark.parametrize("shape", [(40, 100), (150, 100), (7, 7), (0, 5), (5, 0)])
def test_the_shorter_side_is_paired_completely(shape):
    rows, columns = assign(np.random.default_rng(0).random(shape))
    assert len(rows) == len(columns) == min(shape)
    assert len(set(columns)) == len(columns)
    assert (np.diff(rows) > 0).all()


def test_a_hidden_permutation_is_found():
    """Costs of 0 stand where they belong, all others are above: there is one answer."""
    generator = np.random.default_rng(3)
    hidden = generator.permutation(60)
    costs = generator.random((60, 60)) + 0.1
    costs[np.arange(60), hidden] = 0.0
    # adding a number to a row or a column shifts the total of every assignment alike
    costs += generator.normal(size=(60, 1)) + generator.normal(size=(1, 60))
    assert assign(costs)[1].tolist() == hidden.tolist()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_costs_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        assign(np.array([[1.0, bad], [0.0, 2.0]]))
