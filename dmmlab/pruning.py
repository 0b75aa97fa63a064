"""Pruning: press links to zero while training, solve for what is left exactly, then cut link by link.

Three instruments, each deterministic. `press`: Adam whose every step also pulls each weight towards zero by a fixed
share of the usual step, and stops it there (proximal L1), so that links vanish for good while the machine learns.
`solve`: least squares of second order, which takes what is left to a data loss of zero. `cut`: remove the link whose
removal costs least, computed exactly as a batch of leave-one-out machines, solve again, keep it if the loss is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from dmmlab.files import DMMError
from dmmlab.layout import refuse_trees
from dmmlab.machines import SOURCES, Link, Machine
from dmmlab.neurons import NUMBER, find_kind
from dmmlab.objective import Objective
from dmmlab.tasks import Task
from dmmlab.training import Adam
from dmmlab.vvalues import from_leaves

Array = np.ndarray
Ends = dict[tuple[str, str], frozenset[str]]
CHAR, NUM = "characters", ":number"
SOLVED = 1e-12  # data loss of a machine that answers exactly, up to what least squares leaves over
ORDERS = ("leave-one-out", "magnitude")


# ---- which links can matter ----


class _Support:
    """Ops on what a stream may carry at some tick: a subset of characters and number, nothing else."""

    dot_clip = 1.0

    def add(self, a: frozenset, b: frozenset) -> frozenset:
        return a | b

    difference = add

    def inner(self, a: frozenset, b: frozenset) -> frozenset:
        return self.max_norm(a & b)

    def max_norm(self, a: frozenset) -> frozenset:
        return frozenset({NUM}) if a else frozenset()

    def number(self, a: frozenset) -> frozenset:
        return a & {NUM}

    def relu(self, a: frozenset, bound: float = 0.0) -> frozenset:
        return a

    clip = step = relu

    def constant(self, tree: Mapping[str, float]) -> frozenset:
        return frozenset(NUM if key == NUM else CHAR for key in tree)

    def character(self, timer: frozenset) -> frozenset:
        return frozenset({CHAR})


def supports(machine: Machine, links: Iterable[Link]) -> tuple[Ends, Ends]:
    """What every input field and every output field may carry if only these links (and the fixed ones) are there."""
    refuse_trees(machine)
    inputs: Ends = {}
    outputs: Ends = {}
    links, ops, before = [*links, *machine.fixed_links], _Support(), None
    while before != (inputs, outputs):
        before = dict(inputs), dict(outputs)
        for link in links:
            carried = outputs.get(link[2:], frozenset())
            fields = find_kind(machine.neurons[link.to_neuron]).inputs
            if fields is not None and link.to_field not in fields:
                continue
            read = carried & {NUM} if fields is not None and fields.get(link.to_field) == NUMBER else carried
            inputs[link[:2]] = inputs.get(link[:2], frozenset()) | read
        for name, kind in machine.neurons.items():
            fields = find_kind(kind).inputs
            names = [field for to, field in inputs if to == name] if fields is None else fields
            given = {field: inputs.get((name, field), frozenset()) for field in names}
            for field, carried in find_kind(kind).up(given, ops).items():
                outputs[name, field] = carried
    return inputs, outputs


def living(machine: Machine) -> Machine:
    """The machine without links that cannot matter, and without neurons that none of the others needs.
    A link matters if its weight is not zero, something can flow along it, and what it feeds reaches the output.
    The answers stay the same, exactly. Timer and input are kept.

    >>> len(dmm.living(dmm.embed(dmm.handcrafted_detector(), dmm.feedforward())).links)
    8
    """
    weights = {link: weight for link, weight in zip(machine.links, machine.vector().tolist(), strict=True) if weight}
    while True:
        inputs, outputs = supports(machine, weights)
        flowing = [
            link for link in (*weights, *machine.fixed_links) if inputs.get(link[:2]) and _flows(machine, link, outputs)
        ]
        useful = {machine.output}
        while new := {link.from_neuron for link in flowing if link.to_neuron in useful} - useful:
            useful |= new
        kept = {link: weights[link] for link in flowing if link in weights and link.to_neuron in useful}
        if len(kept) == len(weights):
            break
        weights = kept
    needed = useful | {name for name, kind in machine.neurons.items() if kind in ("timer", "input")}
    fixed = from_leaves((link, x) for link, x in machine.fixed_links.items() if {link[0], link[2]} <= needed)
    neurons = {name: kind for name, kind in machine.neurons.items() if name in needed}
    links = [link for link in machine.links if link in weights]
    return replace(machine, neurons=neurons, weights=from_leaves(weights.items()), fixed=fixed, links=links)


def _flows(machine: Machine, link: Link, outputs: Ends) -> bool:
    fields = find_kind(machine.neurons[link.to_neuron]).inputs
    carried = outputs.get(link[2:], frozenset())
    return bool(carried & {NUM} if fields is not None and fields.get(link.to_field) == NUMBER else carried)


def without(machine: Machine, links: Collection[Link]) -> Machine:
    """The machine without these soft links and without what cannot matter then."""
    leaves = zip(machine.links, machine.vector().tolist(), strict=True)
    kept = {link: weight for link, weight in leaves if link not in links}
    return living(replace(machine, weights=from_leaves(kept.items()), links=tuple(kept)))


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
        data_loss, gradient = objective.step_value_and_grad(weights)
        if not (np.isfinite(data_loss) and np.isfinite(gradient).all()):
            raise DMMError(f"step {adam.steps + 1}: the data loss is {data_loss}; lower the learning rate")
        pull = adam.learning_rate * pressure(adam.steps)
        weights = adam.update(weights, gradient)
        weights = np.sign(weights) * np.maximum(np.abs(weights) - pull, 0.0)
    return weights


def solve(machine: Machine, task: Task, rounds: int = 40) -> tuple[Machine, float]:
    """The machine with the weights of least data loss nearby, and that loss (SciPy's trust-region least squares).

    Residuals are the errors at all ticks; their derivatives are differences along every weight, computed as one batch
    of machines: piecewise polynomials have no use for a smaller error than that.
    """
    objective, step = Objective(machine, task), 1e-6

    def jacobian(weights: Array) -> Array:
        near = objective.residuals(weights + step * np.eye(len(weights)))
        return (near - objective.residuals(weights)).T / step

    with np.errstate(all="ignore"):
        loss = float(objective.data_loss(objective.weights))
    if not len(objective.weights) or not np.isfinite(loss):
        return machine, loss
    with np.errstate(all="ignore"):
        found = least_squares(
            objective.residuals, objective.weights, jacobian, method="trf", x_scale="jac", max_nfev=rounds,
            ftol=1e-15, xtol=1e-15, gtol=1e-15,
        )  # fmt: skip
    return machine.with_vector(found.x), 2.0 * float(found.cost)


def costs(machine: Machine, task: Task, order: str = "leave-one-out") -> Array:
    """What removing each link would cost, (links,): the data loss without it, or, for "magnitude", its `|weight|`."""
    weights = machine.vector()
    if order == "magnitude":
        return np.abs(weights)
    return Objective(machine, task).data_loss(weights * (1.0 - np.eye(len(weights))))


def cut(machine: Machine, task: Task, keep: Collection[str] = (), order: str = "leave-one-out") -> dict[str, Any]:
    """One round: the cheapest quarter of the links, or a smaller share, or the first single one that can go.

    After every removal the rest is solved again; the removal stands if the data loss is zero then. Links named in
    `keep` are not tried. Returns the machine, its loss, what was cut, and what was refused with the loss it left.
    """
    cost = costs(machine, task, order)
    ranked = [machine.links[i] for i in np.argsort(cost, kind="stable") if str(machine.links[i]) not in keep]
    refused, share = [], len(ranked) // 4
    shares = []
    while share > 1:
        shares.append(ranked[:share])
        share //= 3
    for some in (*shares, *([link] for link in ranked)):
        smaller, loss = solve(without(machine, some), task)
        if loss < SOLVED:
            gone = [str(link) for link in machine.links if link not in smaller.links]
            if not set(keep) & set(gone):
                return {"machine": smaller, "loss": loss, "cut": gone, "refused": refused}
        left = loss if np.isfinite(loss) else None
        refused.append({"links": [str(link) for link in some], "loss": left})
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
                shorter = living(wide.with_vector(trial))
                if set(keep) <= {str(link) for link in shorter.links}:
                    best = min(best, shorter, key=lambda each: len(each.links))
        if best is not machine:
            break
    return best


def _shortest(task: Task) -> Task:
    i = int(np.argmin(task.ticks))
    return Task([task.strings[i]], task.ticks[i], task.ticks_per_character[i], task.teacher)
