"""Attempts: from random weights to a short program, or to nothing. `Attempts.rounds` shows all stages in order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dmmlab.enumeration.programs import find_programs
from dmmlab.files import DMMError
from dmmlab.learn.objective import SOLVED, Objective
from dmmlab.learn.tasks import Task
from dmmlab.learn.training import Adam
from dmmlab.machines import Machine
from dmmlab.synthesis import curriculum
from dmmlab.synthesis.canonical_form import canonical, round_weights, simplify
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.synthesis.loop_units import in_exact_units
from dmmlab.synthesis.loops import check_fixed, has_loop
from dmmlab.synthesis.memories import memory_links
from dmmlab.synthesis.pruning import ORDERS, cut, solve, train_sparse
from dmmlab.synthesis.rewiring import rewire

SCALE = 0.01  # deviation of the random weights an attempt begins with
STEPS, RATE = 2000, 0.01  # of Adam, while links are pulled to zero
PRESSURE = 0.3  # share of Adam's longest step that pulls a weight towards zero; reached after half of the steps
ROUND, SETTLED = 100, 200  # steps a round; steps before links at zero are taken out for good
UNLOOPED = 6  # attempts, where there are to be some with loops after them
NEAR = 0.03  # share of the loss of a machine that answers nothing; below it cutting may lead to a program with loops
MANY = 200  # links; with loops, what has more after training has not learned, and takes minutes to solve

Round = tuple[str, Machine, float, list[dict[str, Any]]]  # stage, machine after it, data loss, removals that failed


@dataclass(frozen=True)
class Attempts:
    """What all attempts of a synthesis have in common; see `synthesize` for the settings."""

    task: Task
    seed: int
    architecture: Machine
    memory_gradient: str
    keep: frozenset[str]
    cut_order: str
    enumerate: bool = False  # whether the first attempt looks for small programs instead
    looped: Machine | None = None  # another architecture, for attempts from `UNLOOPED` on

    def __post_init__(self) -> None:
        if self.cut_order not in ORDERS:
            raise DMMError(f"cut_order is {self.cut_order!r}; it is one of {', '.join(ORDERS)}")
        missing = self.keep - link_names(self.architecture)
        if missing:
            raise DMMError(f"keep: the architecture has no link {min(missing)!r}; correct its name")
        check_fixed(self.architecture)
        output, links = self.architecture.output, self.architecture.links
        alive = remove_dead(self.architecture.with_vector(np.ones(len(links)))).links
        for side, field in enumerate(("dict-1", "dict-2")):
            reached = any(link[:2] == (output, field) for link in alive)
            if np.nan_to_num(self.task.targets[..., side]).any() and not reached:
                raise DMMError(
                    f"{output}.{field}: no link of the architecture carries anything there, but the task wants answers"
                )

    @cached_property
    def memories(self) -> frozenset[str]:
        """The trainable links by which neurons keep what they have: they begin at 1, and are not pulled."""
        return memory_links(self.architecture)

    def fingerprint(self) -> str:
        """A hash of everything that decides the course of the attempts."""
        machines = [each for each in (self.architecture, self.looped) if each is not None]
        content = [*(self._objective(each).fingerprint() for each in machines), self.seed, sorted(self.keep)]
        content.append(self.cut_order)
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def rounds(self, number: int) -> Iterator[Round]:
        """All rounds of an attempt, stage after stage. The same number, the same rounds."""
        if self.looped is not None and number >= UNLOOPED:
            yield from replace(self, architecture=self.looped, looped=None, enumerate=False).rounds(number)
            return
        if self.enumerate and number == 0:
            yield from self._enumerate()
            return
        learn = self._learn if self.loops else self._train
        for machine, loss in learn(self._random_machine(number)):
            yield "train", machine, loss, []
        if not np.isfinite(loss) or self.loops and len(machine.links) > MANY:
            return
        machine, loss = solve(machine, self.task, rounds=60)
        yield "solve", machine, loss, []
        near = SOLVED if not self.loops else NEAR * float(np.nansum(self.task.targets**2)) / len(self.task.strings)
        if not (loss < near and self.keep <= link_names(machine)):
            return
        while True:
            found = cut(machine, self.task, self.keep, self.cut_order, max(SOLVED, loss))
            machine, loss = found.machine, self._loss(found.machine)
            yield "cut", machine, loss, found.refused
            if found.removed:
                continue
            if not loss < SOLVED:
                return
            form = self._canonical(machine)
            machine = rewire(form, self.task, self.architecture, self.keep)
            yield "rewire", machine, self._loss(machine), []
            if machine is form:
                return

    def _enumerate(self) -> Iterator[Round]:
        """The shortest of the small programs that give all answers; or a machine without links, where there is none."""
        found = find_programs(self.task)
        machine = found[0] if found else self.architecture.with_vector(np.zeros(len(self.architecture.links)))
        settled = replace(self, task=self.task.settled(machine)) if found else self
        yield "enumerate", machine, settled._loss(machine), []
        if found and not has_loop(machine):  # other units are rounded, and a loop lets small errors grow
            form = settled._canonical(machine)
            if settled._loss(form) < SOLVED:
                yield "cut", form, settled._loss(form), []

    @cached_property
    def loops(self) -> bool:
        """Whether the architecture has loops."""
        return has_loop(self.architecture)

    def _random_machine(self, number: int) -> Machine:
        scale = curriculum.SCALE if self.loops and not self.memories else SCALE
        weights = np.random.default_rng([self.seed, number]).normal(scale=scale, size=len(self.architecture.links))
        if number % 2 == 0:  # the others do without the given weights, for they may mislead
            weights += self.architecture.vector()
        weights[[str(link) in self.memories for link in self.architecture.links]] = 1.0
        machine = self.architecture.with_vector(weights)
        return remove_dead(machine) if self.loops else machine

    def _train(self, machine: Machine) -> Iterator[tuple[Machine, float]]:
        """The machine and its data loss after every hundred steps; an infinite loss, and the end, if it diverges."""

        def pressure(step: int) -> np.ndarray:
            return PRESSURE * min(1.0, 2.0 * step / STEPS) * free

        adam, objective = Adam(RATE), self._objective(machine)
        while adam.steps < STEPS:
            free = np.array([link not in self.keep for link in objective.links], float)
            try:
                weights = train_sparse(objective, machine.vector(), adam, pressure, ROUND)
            except DMMError:
                yield machine, np.inf
                return
            machine, loss = machine.with_vector(weights), float(objective.data_loss(weights))
            if adam.steps >= SETTLED:
                machine = remove_dead(machine)
            if machine.links != objective.machine.links:
                kept = np.isin(objective.links, [str(link) for link in machine.links])
                adam.mean, adam.variance = adam.mean[kept], adam.variance[kept]
                objective = self._objective(machine)
            yield machine, loss

    def _learn(self, machine: Machine) -> Iterator[tuple[Machine, float]]:
        """As `_train`, where there are loops."""

        def make(each: Machine, lesson: Task) -> Objective:
            return Objective(each, lesson, memory_gradient=self.memory_gradient)

        loss = np.inf
        for machine, loss in curriculum.learn(machine, self.task, make, self.keep | self.memories):  # noqa: B020
            yield machine, loss
        if np.isfinite(loss):
            yield machine, self._loss(machine)

    def _canonical(self, machine: Machine) -> Machine:
        """Canonical weights; where the task's strings never make a dot clip, its units are open."""
        free: set[str] = set()
        for name in [name for name, kind in machine.neurons.items() if kind == "dot"]:
            if self._loss(simplify(machine, {*free, name})) < SOLVED:
                free.add(name)
        form = canonical(machine, free)
        if not self.keep <= link_names(form):
            return machine
        objective = self._objective(form)
        return in_exact_units(round_weights(form, lambda each: objective.data_loss(each.vector()) < SOLVED * SOLVED))

    def _objective(self, machine: Machine) -> Objective:
        return Objective(machine, self.task, memory_gradient=self.memory_gradient)

    def _loss(self, machine: Machine) -> float:
        return float(self._objective(machine).data_loss(machine.vector()))


def link_names(machine: Machine) -> set[str]:
    """The names of a machine's links."""
    return {str(link) for link in machine.links}
