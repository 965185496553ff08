"""The assignment problem: give each row a column of its own so that the costs are least.

Solved by shortest augmenting paths, row by row: Jonker and Volgenant, "A Shortest Augmenting Path
Algorithm for Dense and Sparse Linear Assignment Problems", Computing 38, 1987. It takes
O(rows^2 * columns) steps, vectorised over the columns; a few classes against a hundred queries take
a millisecond, which is no reason to depend on another package.
"""

from __future__ import annotations

import numpy as np

__all__ = ["assign"]


def assign(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair rows with columns at the least total cost: (rows, columns), int64, rows ascending.

    `costs` is (R, C) of finite numbers; min(R, C) pairs come back, so that the shorter side is
    paired completely. Raises ValueError where a cost is not finite.
    """
    costs = np.asarray(costs, dtype=np.float64)
    if not np.isfinite(costs).all():
        raise ValueError("costs must be finite: no assignment is better than another otherwise")
    if costs.shape[0] > costs.shape[1]:
        columns, rows = assign(costs.T)
        order = np.argsort(rows)
        return rows[order], columns[order]
    row_of = np.full(costs.shape[1], -1, np.int64)
    # row and column potentials: costs less both are never negative, and 0 on the pairs so far
    row_potential = np.zeros(costs.shape[0])
    column_potential = np.zeros(costs.shape[1])
    for row in range(costs.shape[0]):
        _augment(row, costs, row_of, row_potential, column_potential)
    columns = np.flatnonzero(row_of >= 0)
    order = np.argsort(row_of[columns])
    return row_of[columns][order], columns[order]


def _augment(
    row: int,
    costs: np.ndarray,
    row_of: np.ndarray,
    row_potential: np.ndarray,
    column_potential: np.ndarray,
) -> None:
    """Pair one more row, moving others along the shortest path to a free column.

    `row_of` (C,) is the row of each column or -1; it and the potentials are changed in place.
    """
    start = row
    distance = np.full(costs.shape[1], np.inf)
    reached_from = np.full(costs.shape[1], start, np.int64)
    is_done = np.zeros(costs.shape[1], bool)
    length = 0.0
    while True:
        through = length + costs[row] - row_potential[row] - column_potential
        is_shorter = ~is_done & (through < distance)
        distance[is_shorter] = through[is_shorter]
        reached_from[is_shorter] = row
        column = int(np.argmin(np.where(is_done, np.inf, distance)))
        length = distance[column]
        if row_of[column] < 0:
            break
        is_done[column] = True
        row = int(row_of[column])
    visited = np.flatnonzero(is_done)
    row_potential[start] += length
    row_potential[row_of[visited]] += length - distance[visited]
    column_potential[visited] -= length - distance[visited]
    column_of = {int(row_of[done]): int(done) for done in visited}
    while True:
        row = int(reached_from[column])
        row_of[column] = row
        if row == start:
            return
        column = column_of[row]
