"""Synthesis: from a few strings to a program, unattended.

An attempt draws random weights for a large machine, presses its links to zero while it learns, solves for what is left,
cuts link by link, and rewires what remains in canonical weights. An attempt may end in a machine that is stuck or
longer than need be, so attempts are repeated until the shortest program found so far has been found twice. Only the
task's own strings are looked at. Whether the program is exact is asked at the end, of strings it never saw.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from dmmlab.builders import feedforward
from dmmlab.engine.keys import possible_keys
from dmmlab.engine.threads import engine_threads
from dmmlab.files import DMMError, check_int, read_json, write_json
from dmmlab.learn.objective import Objective
from dmmlab.learn.tasks import Task
from dmmlab.learn.training import Adam
from dmmlab.machines import Link, Machine
from dmmlab.neurons import find_kind
from dmmlab.synthesis.canonical_form import canonical, merge, order, rescale, rows_of, signatures, snap
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.synthesis.pruning import ORDERS, SOLVED, cut, press, rewire, solve
from dmmlab.synthesis.verification import Verification, verify
from dmmlab.vvalues import from_leaves

SCALE = 0.01  # deviation of the random weights an attempt begins with
STEPS, RATE = 2000, 0.01  # of Adam, while links are pressed
PRESSURE = 0.3  # share of Adam's longest step that pulls a weight towards zero; reached after half of the steps
ROUND, WHOLE = 100, 200  # steps a round; steps before links at zero are taken out for good
ATTEMPTS = 12


@dataclass(repr=False)
class Synthesis:
    """What was found: the machine in canonical form, how exact it is, and every round on the way.
    `history` is a list of dicts with attempt, stage (press, solve, cut, rewire), links, loss_before, loss (data
    losses), cut (names of links), refused (removals that failed, and the loss left), seconds. `programs` are what
    attempts ended with, shortest first. `verification` says whether machine and teacher agree on random strings.

    >>> task = dmm.Task(["ab"], teacher=dmm.write_program("output.dict-1 <- 2 const_1.const_1"))
    >>> print(dmm.synthesize(task, architecture=dmm.feedforward(1, 1, ["norm"]), progress=False).verification)
    exact on 1000 strings (largest error 0)
    """

    machine: Machine
    data_loss: float
    verification: Verification
    history: list[dict[str, Any]]
    programs: list[Machine]

    def __repr__(self) -> str:
        return f"Synthesis({len(self.machine.links)} links, data loss {self.data_loss:.3g}, {self.verification})"

    def to_dict(self) -> dict:
        """Plain data: the result in one row of a table."""
        seconds = sum(each["seconds"] for each in self.history)
        found = {"links": len(self.machine.links), "data_loss": self.data_loss, "seconds": seconds}
        return found | {"attempts": 1 + max(each["attempt"] for each in self.history), **self.verification.to_dict()}


def synthesize(
    task: Task,
    seed: int = 0,
    architecture: Machine | None = None,
    memory_gradient: str = "full",
    keep: Collection[str] = (),
    cut_order: str = "leave-one-out",
    attempts: int = ATTEMPTS,
    checkpoint: str | os.PathLike | None = None,
    progress: bool = True,
    on_round: Callable[[dict[str, Any], Machine], object] | None = None,
) -> Synthesis:
    """Find a short program that answers as the task's teacher does.
    `architecture` (5 × 2 layers, with the teacher's letters, unless given) says which links there may be. Attempts
    begin at its own weights, so that a broken machine is mended (see `embed`); every second one without them, for they
    may mislead. `keep` names links that must not be cut. `cut_order` says which links are tried first: by the loss each
    removal costs ("leave-one-out") or by "magnitude". `memory_gradient` as in `Objective`. With a `checkpoint` path
    every round is written there, and a killed run goes on from it to the same result. `on_round` is called with each
    round's entry of the history and the machine. Same arguments, same machine. Raises DMMError for an architecture that
    cannot reach an output the teacher uses, for links in `keep` that it lacks, and for a checkpoint of another run.

    >>> task = dmm.Task(["ab"], teacher=dmm.write_program("output.dict-1 <- 2 const_1.const_1"))
    >>> dmm.synthesize(task, architecture=dmm.feedforward(1, 1, ["norm"]), progress=False)
    Synthesis(1 links, data loss 0, exact on 1000 strings (largest error 0))
    """
    if not isinstance(task, Task) or not isinstance(architecture, Machine | None):
        raise DMMError("synthesize takes a Task, and an architecture that is a Machine or left out")
    if architecture is None:
        kinds = [find_kind(kind) for kind in task.teacher.neurons.values()]
        letters = "".join(kind.characters for kind in kinds if kind.name.startswith("letter "))
        architecture = feedforward(dot_clip=task.teacher.dot_clip, letters=letters)
    run = _Run(task, check_int("seed", seed, 0), architecture, memory_gradient, frozenset(keep), cut_order)
    run.attempts = check_int("attempts", attempts)
    if checkpoint is not None and Path(checkpoint).exists():
        run.load(checkpoint)
    bar = tqdm(disable=not progress, bar_format="{desc} [{elapsed}]")
    with bar, np.errstate(all="ignore"):  # attempts may diverge
        while not run.done:
            machine = run.advance()
            if on_round is not None:
                on_round(run.history[-1], machine)
            bar.set_description_str(run.line())
            if checkpoint is not None:
                write_json(checkpoint, run.to_dict())
        return run.result()


def synthesize_all(runs: Sequence[Mapping[str, Any]], workers: int = 2) -> list[Synthesis]:
    """Many syntheses on several processor cores: `runs` are the arguments of each. The results, in the same order.
    The workers are new processes: scripts need `if __name__ == "__main__":`, and kinds of your own must be in a module.

    >>> task = dmm.Task(["ab"], teacher=dmm.write_program("output.dict-1 <- 2 const_1.const_1"))
    >>> dmm.synthesize_all([{"task": task, "architecture": dmm.feedforward(1, 1, ["norm"])}], workers=1)
    [Synthesis(1 links, data loss 0, exact on 1000 strings (largest error 0))]
    """
    workers = min(check_int("workers", workers), max(len(runs), 1))
    with engine_threads(1 if workers > 1 else None), ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        waiting = [pool.submit(synthesize, **{"progress": False, **run}) for run in runs]
        for _ in tqdm(as_completed(waiting), total=len(waiting), unit="synthesis"):
            pass
        return [each.result() for each in waiting]


def embed(machine: Machine, architecture: Machine) -> Machine:
    """The architecture with a machine's weights in it: each neuron takes the first place that may read what it reads.
    The answers are those of the machine. Raises DMMError where something finds no place, and for another `dot_clip`.

    >>> int(dmm.embed(dmm.handcrafted_detector(), dmm.feedforward()).vector().sum())  # of 1,486 weights, 8 are 1
    8
    """
    if machine.dot_clip != architecture.dot_clip:
        raise DMMError(f"dot_clip is {machine.dot_clip} here and {architecture.dot_clip} there; make them equal")
    memories = [{link[0] for link in each.fixed_links if link[0] == link[2]} for each in (machine, architecture)]
    place = {name: name for name in machine.neurons if name in architecture.neurons}
    rows, weights = rows_of(machine), {}
    for name in order(machine):
        wanted = [(field, *end, weight) for field, row in rows.get(name, {}).items() for end, weight in row.items()]
        free = [place[name]] if name in place else [n for n in architecture.neurons if n not in place.values()]
        for each in free:
            links = {Link(each, field, place[source], output): w for field, source, output, w in wanted}
            alike = architecture.neurons[each] == machine.neurons[name]
            alike &= (name in memories[0]) == (each in memories[1])
            if alike and links.keys() <= set(architecture.links):
                place[name], weights = each, weights | links
                break
        else:
            raise DMMError(f"neuron {name!r}: the architecture has no free place for it; give it more layers or copies")
    return architecture.with_vector(np.array([weights.get(link, 0.0) for link in architecture.links]))


@dataclass
class _Run:
    """Where a synthesis stands; `advance` does one round."""

    task: Task
    seed: int
    architecture: Machine
    memory_gradient: str
    keep: frozenset[str]
    cut_order: str
    attempts: int = ATTEMPTS
    attempt: int = 0
    stage: str = "press"
    machine: Machine | None = None
    adam: Adam = field(default_factory=Adam)
    ends: list[tuple[Machine, float]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    _kept: Objective | None = None

    def __post_init__(self) -> None:
        if self.cut_order not in ORDERS:
            raise DMMError(f"cut_order is {self.cut_order!r}; it is one of {', '.join(ORDERS)}")
        missing = self.keep - {str(link) for link in self.architecture.links}
        if missing:
            raise DMMError(f"keep: the architecture has no link {sorted(missing)[0]!r}; correct its name")
        order(self.architecture)  # refuses loops
        inputs, *_ = possible_keys(self.architecture, self.architecture.links)
        for side, name in enumerate(("dict-1", "dict-2")):
            if self.task.targets[..., side].any() and not inputs.get((self.architecture.output, name)):
                place = f"{self.architecture.output}.{name}"
                raise DMMError(f"{place}: no link of the architecture carries anything there, but the teacher answers")
        begin = Objective(self.architecture, self.task, memory_gradient=self.memory_gradient).fingerprint()
        content = [begin, self.seed, sorted(self.keep), self.cut_order]
        self.identity = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        self._begin()

    # ---- rounds ----

    @property
    def done(self) -> bool:
        """Whether the shortest program so far was found twice, or attempts are used up."""
        solved = [machine for machine, loss in self.ends if loss < SOLVED]
        shortest = min((len(machine.links) for machine in solved), default=0)
        texts = [signatures(each)[each.output] for each in solved if len(each.links) == shortest]
        return len(self.ends) >= self.attempts or len(texts) > len(set(texts))

    def advance(self) -> Machine:
        """One round; the machine after it."""
        begin, before, links = time.perf_counter(), self._loss(self.machine), {str(link) for link in self.machine.links}
        stage, attempt = self.stage, self.attempt
        note = getattr(self, f"_{stage}")()
        machine = note.pop("machine", self.machine)
        gone = sorted(links - {str(link) for link in machine.links})
        entry = {
            "attempt": attempt,
            "stage": stage,
            "links": len(machine.links),
            "loss_before": before if np.isfinite(before) else None,
        }
        loss = note.pop("loss")
        entry |= {"loss": loss if np.isfinite(loss) else None, "cut": gone, "refused": note.pop("refused", [])}
        self.history.append(entry | {"seconds": time.perf_counter() - begin})
        return machine

    def _objective(self, machine: Machine) -> Objective:
        """The objective of a machine with these links; weights are its argument, so rounds of pressing share it."""
        kept = self._kept
        if kept is None or (kept.machine.links, kept.machine.neurons) != (machine.links, machine.neurons):
            self._kept = Objective(machine, self.task, memory_gradient=self.memory_gradient)
        return self._kept

    def _loss(self, machine: Machine) -> float:
        return float(self._objective(machine).data_loss(machine.vector()))

    def _begin(self) -> None:
        rng = np.random.default_rng([self.seed, self.attempt])
        given = self.architecture.vector() * (self.attempt % 2 == 0)  # given weights may mislead
        weights = given + rng.normal(scale=SCALE, size=len(self.architecture.links))
        self.machine, self.adam, self.stage = self.architecture.with_vector(weights), Adam(RATE), "press"

    def _press(self) -> dict[str, Any]:
        objective = self._objective(self.machine)
        free = np.array([link not in self.keep for link in objective.links], float)

        def pressure(step: int) -> np.ndarray:
            return PRESSURE * min(1.0, 2.0 * step / STEPS) * free

        try:
            weights = press(objective, self.machine.vector(), self.adam, pressure, ROUND)
        except DMMError:  # it diverged
            machine = self.machine
            self._end(np.inf)
            return {"machine": machine, "loss": np.inf}
        loss = float(objective.data_loss(weights))
        self.machine = self.machine.with_vector(weights)
        if self.adam.steps >= WHOLE:
            smaller = remove_dead(self.machine)
            place = {link: i for i, link in enumerate(self.machine.links)}
            rows = [place[link] for link in smaller.links]
            self.adam.mean, self.adam.variance = self.adam.mean[rows], self.adam.variance[rows]
            self.machine = smaller
        if self.adam.steps >= STEPS:  # its moments are those of links that soon are gone
            self.adam, self.stage = Adam(RATE), "solve"
        return {"loss": loss}

    def _solve(self) -> dict[str, Any]:
        self.machine, loss = solve(self.machine, self.task, rounds=60)
        lost = self.keep - {str(link) for link in self.machine.links}
        machine = self.machine
        if loss < SOLVED and not lost:
            self.stage = "cut"
        else:
            self._end(np.inf if lost else loss)
        return {"machine": machine, "loss": loss}

    def _cut(self) -> dict[str, Any]:
        found = cut(self.machine, self.task, self.keep, self.cut_order)
        self.machine = found["machine"]
        if not found["cut"]:
            self.stage = "rewire"
        return {"loss": self._loss(self.machine), "refused": found["refused"]}

    def _rewire(self) -> dict[str, Any]:
        form = self._canonical(self.machine)
        shorter = rewire(form, self.task, self.architecture, self.keep)
        if shorter is not form:
            self.machine, self.stage = shorter, "cut"
            return {"loss": self._loss(self.machine)}
        self.machine = form
        loss = self._loss(self.machine)
        self._end(loss)
        return {"machine": form, "loss": loss}

    def _canonical(self, machine: Machine) -> Machine:
        """Canonical weights; where the task's strings never make a dot clip, its units are open."""
        free: set[str] = set()
        for name in [name for name, kind in machine.neurons.items() if kind == "dot"]:
            if self._loss(merge(rescale(remove_dead(machine), {*free, name}))) < SOLVED:
                free.add(name)
        form = canonical(machine, free)
        if self.keep - {str(link) for link in form.links}:
            return machine
        objective = Objective(form, self.task)
        return snap(form, lambda each: float(objective.data_loss(each.vector())) < SOLVED * SOLVED)

    def _end(self, loss: float) -> None:
        self.ends.append((self.machine, loss))
        self.attempt += 1
        self._begin()

    # ---- what is told and kept ----

    def line(self) -> str:
        last = self.history[-1]
        found = [len(machine.links) for machine, loss in self.ends if loss < SOLVED]
        best = f", shortest program so far {min(found)} links" if found else ""
        place = f"seed {self.seed}, attempt {last['attempt'] + 1}, {last['stage']}"
        loss = "not finite" if last["loss"] is None else f"{last['loss']:.3g}"
        return f"{place}: {last['links']} links, data loss {loss}{best}"

    def result(self) -> Synthesis:
        ranked = sorted(self.ends, key=lambda end: (end[1] >= SOLVED, len(end[0].links) if end[1] < SOLVED else end[1]))
        machine, loss = ranked[0]
        if not np.isfinite(loss):
            raise DMMError(
                "no attempt ended with a finite loss and all links to keep; keep fewer, or ask for more attempts"
            )
        letters = set().union(*self.task.strings)
        verification = verify(machine, self.task.teacher, letters=letters)
        return Synthesis(machine, loss, verification, self.history, [each for each, _ in ranked])

    def to_dict(self) -> dict:
        moments = {name: np.asarray(getattr(self.adam, name)).tolist() for name in ("mean", "variance")}
        return {
            "format": "dmmlab synthesis 1",
            "run": self.identity,
            "attempt": self.attempt,
            "stage": self.stage,
            "machine": _links(self.machine),
            "adam": {**moments, "steps": self.adam.steps},
            "ends": [[_links(machine), None if loss == np.inf else loss] for machine, loss in self.ends],
            "history": self.history,
        }

    def load(self, path: str | os.PathLike) -> None:
        content = read_json(path, "checkpoint")
        try:
            if content["format"] != "dmmlab synthesis 1":
                raise ValueError("another format")
            identity, moments = content["run"], content["adam"]
            machine = self._machine(content["machine"])
            ends = [(self._machine(links), np.inf if loss is None else float(loss)) for links, loss in content["ends"]]
            adam = Adam(RATE, *(np.array(moments[name], float) for name in ("mean", "variance")), moments["steps"])
            stage, attempt, history = content["stage"], check_int("attempt", content["attempt"], 0), content["history"]
            if stage not in ("press", "solve", "cut", "rewire"):
                raise ValueError(f"stage {stage!r}")
            if any(np.shape(x) not in ((), (len(machine.links),)) for x in (adam.mean, adam.variance)):
                raise ValueError("its moments are of another length")
            if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
                raise ValueError("its history is damaged")
        except (KeyError, TypeError, ValueError) as error:
            raise DMMError(f"{path}: this is no checkpoint of a synthesis ({error}); delete it to begin anew") from None
        if identity != self.identity:
            raise DMMError(
                f"{path}: this checkpoint is of another task, seed or setting; name another file, or delete it"
            )
        self.machine, self.ends, self.adam = machine, ends, adam
        self.stage, self.attempt, self.history = stage, attempt, history

    def _machine(self, links: list) -> Machine:
        leaves = {Link(*ends): float(weight) for *ends, weight in links}
        # Links of weight zero are part of a machine in training.
        whole_machine = replace(self.architecture, weights=from_leaves(leaves.items()), links=tuple(leaves))
        return whole_machine if len(leaves) == len(self.architecture.links) else remove_dead(whole_machine)


def _links(machine: Machine) -> list:
    return [[*link, weight] for link, weight in zip(machine.links, machine.vector().tolist(), strict=True)]
