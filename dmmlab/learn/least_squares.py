"""Least squares, by Levenberg and Marquardt: the weights of least data loss nearby, with exact derivatives."""

from __future__ import annotations

import numpy as np

from dmmlab.engine.sums import cholesky_solve, normal_equations, total
from dmmlab.learn.objective import Objective

Array = np.ndarray
ENOUGH = 1e-26  # data loss at which nothing but rounding is left
DAMPING = 1e-3  # to begin with, a share of the largest curvature that each weight has shown
MOST_DAMPING = 1e10
GAIN = 1e-3  # a step that gains less than this share of the loss gains little; the third in a row is the last


def least_squares(objective: Objective, weights: Array, free: Array, rounds: int = 40) -> tuple[Array, float]:
    """The weights (links,) of least data loss near given ones, and that loss; only those that are `free` move.

    Levenberg–Marquardt (Marquardt 1963; Moré 1978) on the errors at all ticks. It ends where nothing is left to gain,
    at the latest after so many `rounds`; a loss that is not finite comes back as it is.
    """
    with np.errstate(all="ignore"):  # a step may go too far; it is not taken then
        residuals, loss = _errors(objective, weights)
        damping, scale, idle = DAMPING, np.full(free.sum(), np.finfo(float).tiny), 0
        for _ in range(rounds if np.isfinite(loss) and free.any() else 0):
            matrix, right = np.empty((len(scale), len(scale))), np.empty(len(scale))
            normal_equations(np.ascontiguousarray(objective.jacobian(weights, free)), residuals, matrix, right)
            if not (np.isfinite(matrix).all() and np.isfinite(right).all()):
                break
            scale, before = np.maximum(scale, np.diagonal(matrix)), loss
            while damping < MOST_DAMPING:
                trial = weights.copy()
                trial[free] -= cholesky_solve(matrix, right, damping * scale)
                errors, there = _errors(objective, trial)
                if there < loss:
                    weights, residuals, loss, damping = trial, errors, there, max(damping / 10.0, 1e-12)
                    break
                damping *= 5.0
            idle = idle + 1 if loss > (1.0 - GAIN) * before else 0
            if loss < ENOUGH or loss == before or idle > 2:
                break
    return weights, loss


def _errors(objective: Objective, weights: Array) -> tuple[Array, float]:
    residuals = objective.residuals(weights)
    return residuals, float(total(residuals * residuals))
