"""Pruning: pull links to zero while training, solve for what is left exactly, then cut link by link.

Three instruments, each deterministic. `train_sparse`: Adam whose every step also pulls each weight towards zero by a
fixed share of the usual step, and stops it there (proximal L1), so that links vanish for good while the machine learns.
`solve`: least squares of second order, which takes what is left to a data loss of zero. `cut`: remove the link whose
removal costs least, computed exactly as a batch of leave-one-out machines, solve again, keep it if the loss is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np

from dmmlab.files import DMMError
from dmmlab.learn.least_squares import least_squares
from dmmlab.learn.objective import SOLVED, Objective
from dmmlab.learn.tasks import Task
from dmmlab.learn.training import Adam
from dmmlab.machines import Machine
from dmmlab.synthesis.liveness import remove_dead

Array = np.ndarray
ORDERS = ("leave-one-out", "magnitude")


def train_sparse(
    objective: Objective, weights: Array, adam: Adam, pressure: Callable[[int], float | Array], steps: int
) -> Array:
    """Train by Adam and pull every weight towards zero, where it may come to rest. Returns the weights, (links,).

    Being relative to the step and not to the loss, one pressure suits tasks whose answers are large and tasks whose
    answers are small. Raises DMMError where the loss is not finite.

    Args:
        objective: the loss to train on.
        weights: where to begin, (links,).
        adam: the optimizer; it is changed.
        pressure: the pull after so many steps of Adam, as a share of its learning rate; one number, or one a link.
        steps: how many steps to take.
    """
    for _ in range(steps):
        data_loss, _, gradient = objective.losses_and_grad(weights)
        if not (np.isfinite(data_loss) and np.isfinite(gradient).all()):
            raise DMMError(f"step {adam.steps + 1}: the data loss is {data_loss}; lower the learning rate")
        pull = adam.learning_rate * pressure(adam.steps)
        weights = adam.update(weights, gradient)
        weights = np.sign(weights) * np.maximum(np.abs(weights) - pull, 0.0)
    return weights


def solve(machine: Machine, task: Task, rounds: int = 40) -> tuple[Machine, float]:
    """The machine with the weights of least data loss nearby, and that loss (see `least_squares`)."""
    objective = Objective(machine, task)
    weights, loss = least_squares(objective, objective.weights, np.ones(len(objective.weights), bool), rounds)
    return machine.with_vector(weights), loss


def saliency(objective: Objective, order: str = "leave-one-out") -> Array:
    """What removing each link would cost, (links,): the data loss without it, or, for "magnitude", its `|weight|`."""
    weights = objective.weights
    if order == "magnitude":
        return np.abs(weights)
    return objective.data_loss(weights * (1.0 - np.eye(len(weights))))


class Cut(NamedTuple):
    """What a round of cutting did: the machine after it, the links that went, and the removals that failed."""

    machine: Machine
    removed: list[str]
    refused: list[dict[str, Any]]  # links, and the data loss without them: None if it is not finite


def cut(
    machine: Machine, task: Task, keep: Collection[str] = (), order: str = "leave-one-out", enough: float = SOLVED
) -> Cut:
    """One round: the cheapest quarter of the links, or a smaller share, or the first single one that can go.

    After every removal the rest is solved again; the removal stands if the data loss is zero then, or below
    `enough`. Links named in `keep` are not tried.
    """
    objective, refused = Objective(machine, task), []
    names = np.array(objective.links)
    ranked = [i for i in np.argsort(saliency(objective, order), kind="stable") if names[i] not in keep]
    shares, size = [], len(ranked) // 4
    while size > 1:
        shares.append(ranked[:size])
        size //= 3
    for some in (*shares, *([i] for i in ranked)):
        free = np.ones(len(names), bool)
        free[some] = False
        weights, loss = least_squares(objective, objective.weights * free, free)
        if loss < SOLVED or loss <= enough:
            smaller = remove_dead(machine.with_vector(weights))
            removed = [str(link) for link in machine.links if link not in smaller.links]
            if not set(keep) & set(removed):
                return Cut(smaller, removed, refused)
        refused.append({"links": names[some].tolist(), "loss": loss if np.isfinite(loss) else None})
    return Cut(machine, [], refused)
