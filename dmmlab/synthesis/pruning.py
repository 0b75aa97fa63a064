"""Pruning: press links to zero while training, solve for what is left exactly, then cut link by link.

Three instruments, each deterministic. `press`: Adam whose every step also pulls each weight towards zero by a fixed
share of the usual step, and stops it there (proximal L1), so that links vanish for good while the machine learns.
`solve`: least squares of second order, which takes what is left to a data loss of zero. `cut`: remove the link whose
removal costs least, computed exactly as a batch of leave-one-out machines, solve again, keep it if the loss is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from dmmlab.files import DMMError
from dmmlab.learn.least_squares import least_squares
from dmmlab.learn.objective import Objective
from dmmlab.learn.tasks import Task
from dmmlab.learn.training import Adam
from dmmlab.machines import SOURCES, Machine
from dmmlab.synthesis.liveness import remove_dead, without

Array = np.ndarray
SOLVED = 1e-12  # data loss of a machine that answers exactly, up to what least squares leaves over
ORDERS = ("leave-one-out", "magnitude")


# ---- which links can matter ----


# ---- the three instruments ----


def press(
    objective: Objective, weights: Array, adam: Adam, pressure: Callable[[int], float | Array], steps: int
) -> Array:
    """Train by Adam and pull every weight towards zero, where it may come to rest.

    Adam's usual step is its learning rate; each step also takes `pressure(step)` times that from every `|w|`. Being
    relative to the step and not to the loss, one pressure suits tasks whose answers are large and tasks whose answers
    are small. Changes `adam`; returns the weights. Raises DMMError where the loss is not finite.
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


def costs(machine: Machine, task: Task, order: str = "leave-one-out") -> Array:
    """What removing each link would cost, (links,): the data loss without it, or, for "magnitude", its `|weight|`."""
    return _costs(Objective(machine, task), order)


def _costs(objective: Objective, order: str) -> Array:
    weights = objective.weights
    if order == "magnitude":
        return np.abs(weights)
    return objective.data_loss(weights * (1.0 - np.eye(len(weights))))


def cut(machine: Machine, task: Task, keep: Collection[str] = (), order: str = "leave-one-out") -> dict[str, Any]:
    """One round: the cheapest quarter of the links, or a smaller share, or the first single one that can go.

    After every removal the rest is solved again; the removal stands if the data loss is zero then. Links named in
    `keep` are not tried. Returns the machine, its loss, what was cut, and what was refused with the loss it left.
    """
    objective, names = Objective(machine, task), [str(link) for link in machine.links]
    ranked = [i for i in np.argsort(_costs(objective, order), kind="stable").tolist() if names[i] not in keep]
    refused, share = [], len(ranked) // 4
    shares = []
    while share > 1:
        shares.append(ranked[:share])
        share //= 3
    for some in (*shares, *([i] for i in ranked)):
        free = ~np.isin(np.arange(len(names)), some)
        weights, loss = least_squares(objective, objective.weights * free, free)
        if loss < SOLVED:
            smaller = without(machine.with_vector(weights), [machine.links[i] for i in some])
            gone = [str(link) for link in machine.links if link not in smaller.links]
            if not set(keep) & set(gone):
                return {"machine": smaller, "loss": loss, "cut": gone, "refused": refused}
        left = loss if np.isfinite(loss) else None
        refused.append({"links": [names[i] for i in some], "loss": left})
    return {"machine": machine, "loss": None, "cut": [], "refused": refused}


def rewire(machine: Machine, task: Task, architecture: Machine, keep: Collection[str] = ()) -> Machine:
    """A shorter machine with data loss zero that lies one link aside, or the same machine if there is none.

    Once weights are canonical, programs are nearly discrete: all machines that drop one or two links and add one,
    between their neurons and the sources, of one of the three smallest weights (mostly 1 alone), are tried in batches.
    """
    known = dict(zip(machine.links, machine.vector().tolist(), strict=True))
    neurons = {name: kind for name, kind in architecture.neurons.items() if name in machine.neurons or name in SOURCES}
    links = [link for link in architecture.links if {link[0], link[2]} <= neurons.keys()]
    wide = replace(machine, neurons=neurons, links=links)
    start, sizes = wide.vector(), sorted({abs(weight) for weight in known.values()})
    old = [i for i, link in enumerate(wide.links) if link in known and str(link) not in keep]
    new = [i for i, link in enumerate(wide.links) if link not in known]
    moves = [(i, sign * size) for i in new for size in sizes[:3] for sign in (1.0, -1.0)]
    objective, quick = Objective(wide, task), Objective(wide, _shortest(task))
    best = machine
    for count in (1, 2):
        for drops in combinations(old, count):
            trials = np.tile(start, (len(moves), 1))
            trials[:, drops] = 0.0
            trials[np.arange(len(moves)), [i for i, _ in moves]] = [weight for _, weight in moves]
            trials = trials[quick.data_loss(trials) < SOLVED]
            for trial in trials[objective.data_loss(trials) < SOLVED] if len(trials) else ():
                shorter = remove_dead(wide.with_vector(trial))
                if set(keep) <= {str(link) for link in shorter.links}:
                    best = min(best, shorter, key=lambda each: len(each.links))
        if best is not machine:
            break
    return best


def _shortest(task: Task) -> Task:
    i = int(np.argmin(task.ticks))
    return Task([task.strings[i]], task.ticks[i], task.ticks_per_character[i], task.teacher)
