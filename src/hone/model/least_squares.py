"""Non-negative least squares (C. Lawson, R. Hanson, Solving Least Squares Problems, 1974, chapter 23)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def nonnegative_least_squares(design: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ``x >= 0`` that makes ``|design @ x - target|`` least (Lawson and Hanson's active sets).

    Args:
        design: (rows, columns).
        target: (rows,).

    Returns:
        (columns,) values.
    """
    import numpy as np

    columns = design.shape[1]
    x, free = np.zeros(columns), np.zeros(columns, dtype=bool)
    small = 1e-12 * max(1.0, float(np.abs(design).max(initial=0.0)) * float(np.abs(target).max(initial=0.0)))
    for _ in range(10 * columns):
        gradient = np.where(free, -np.inf, design.T @ (target - design @ x))
        if free.all() or gradient.max() <= small:
            break
        free[int(gradient.argmax())] = True
        while True:
            step = np.zeros(columns)
            step[free] = np.linalg.lstsq(design[:, free], target, rcond=None)[0]
            below = free & (step <= 0)
            if not below.any():
                break
            share = float((x[below] / (x[below] - step[below])).min())
            x = x + share * (step - x)
            free &= x > small
        x = step
    return x
