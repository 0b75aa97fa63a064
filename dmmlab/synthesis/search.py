"""Synthesis: from a few strings to a program, unattended.

An attempt draws random weights for a large machine, pulls its links to zero while it learns, solves for what is left,
cuts link by link, and rewires what remains in canonical weights. An attempt may end in a machine that is stuck or
longer than need be, so attempts are repeated until the shortest program found so far has been found twice. Only the
task's own strings are looked at. Whether the program is exact is asked at the end, of strings it never saw.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from dmmlab.builders import feedforward
from dmmlab.engine.threads import engine_threads
from dmmlab.enumeration.programs import find_programs
from dmmlab.files import DMMError, check_int
from dmmlab.inputs import Text
from dmmlab.learn.objective import SOLVED
from dmmlab.learn.tasks import Task
from dmmlab.machines import Machine
from dmmlab.neurons import find_kind
from dmmlab.synthesis.attempts import Attempts, link_names
from dmmlab.synthesis.canonical_form import signatures
from dmmlab.synthesis.checkpoints import Candidates, Checkpoint, History
from dmmlab.synthesis.examination import Examination, Function, disagreement, split
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.synthesis.loops import has_loop
from dmmlab.synthesis.memories import at_several_speeds
from dmmlab.synthesis.verification import Verification, verify

ATTEMPTS = 12
QUESTIONS = 5  # strings on which a reference is asked, one after another, for the program was wrong there


@dataclass(repr=False)
class Synthesis:
    """What was found: the machine in canonical form, how exact it is, and every round on the way.
    `history` is a list of dicts with attempt, stage (train, solve, cut, rewire), links, loss_before (of the round
    before, None for the first), loss (data losses), cut (names of links), refused (removals that failed, and the loss
    left), seconds. `programs` are what attempts ended with, shortest first. `verification` says whether machine and
    teacher agree on random strings, or what of the examples it was asked. `question` is a string on which another
    program that gives all answers would answer differently.

    >>> task = dmm.Task(["ab"], teacher=dmm.write_program("output.dict-1 <- 2 const_1.const_1"))
    >>> print(dmm.synthesize(task, architecture=dmm.feedforward(1, 1, ["norm"]), progress=False).verification)
    exact on 1000 strings (largest error 0)
    """

    machine: Machine
    data_loss: float
    verification: Verification | Examination
    history: History
    programs: list[Machine]
    question: Text | None = None

    def __repr__(self) -> str:
        return f"Synthesis({len(self.machine.links)} links, data loss {self.data_loss:.3g}, {self.verification})"

    @property
    def seconds(self) -> float:
        """How long all rounds took."""
        return sum(entry["seconds"] for entry in self.history)

    def to_dict(self) -> dict:
        """Plain data: the result in one row of a table, the same at every run."""
        found = {"links": len(self.machine.links), "data_loss": self.data_loss, "attempts": len(self.programs)}
        return found | self.verification.to_dict()


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
    reference: Function | None = None,
    holdout: float = 0.0,
) -> Synthesis:
    """Find a short program that answers as the task's teacher does, or as its examples say; the same for the same seed.
    For examples, where no architecture is given, small programs are enumerated first; then come attempts with layers,
    and after six of all, unless links are to be kept, with layers that read back. Raises DMMError for an architecture
    that cannot reach an output that is asked for, for links in `keep` that it lacks, where every attempt
    fails, and for a checkpoint of another run. Where the architecture has loops a teacher is asked at more speeds (see
    `at_several_speeds`).

    Args:
        task: the strings, and the teacher or the answers that are due.
        seed: of the random weights.
        architecture: the links there may be; its weights are where every second attempt begins (see `embed`).
        memory_gradient: "full" or "truncated", as in `Objective`.
        keep: names of links that must not be cut.
        cut_order: which links are tried first: those that cost least ("leave-one-out"), or are small ("magnitude").
        attempts: how many at most.
        checkpoint: a path, written after every attempt; a killed run goes on from there to the same result.
        progress: whether a line tells where the search is.
        on_round: called after each round, with its entry of the history and the machine.
        reference: for a task of examples, a function of the steps so far (see `verify`): the program is compared with
            it, and a string on which it is wrong becomes one more example, up to five times.
        holdout: share of the examples that is not learned from, but asked at the end.

    >>> task = dmm.Task(["ab"], teacher=dmm.write_program("output.dict-1 <- 2 const_1.const_1"))
    >>> dmm.synthesize(task, architecture=dmm.feedforward(1, 1, ["norm"]), progress=False)
    Synthesis(1 links, data loss 0, exact on 1000 strings (largest error 0))
    """
    if not isinstance(task, Task) or not isinstance(architecture, Machine | None):
        raise DMMError("synthesize takes a Task, and an architecture that is a Machine or left out")
    if task.due is None and (reference is not None or holdout):
        raise DMMError("a reference or a holdout is for tasks of examples; a teacher is asked anyway")
    learned, test = split(task, holdout, check_int("seed", seed, 0))
    limit, kept = check_int("attempts", attempts), Checkpoint(None if checkpoint is None else Path(checkpoint))
    wrong: Text | None = None
    bar = tqdm(disable=not progress, bar_format="{desc} [{elapsed}]")
    with bar, np.errstate(all="ignore"):  # attempts may diverge
        for _ in range(QUESTIONS + 1):
            if wrong is not None:
                learned = learned.with_example(wrong, reference)
            wired, small = architecture or _default_architecture(learned), not architecture and learned.due is not None
            learned = at_several_speeds(learned) if has_loop(wired) else learned
            looped = _default_architecture(learned, loops=True) if small and not keep else None
            search = Attempts(learned, seed, wired, memory_gradient, frozenset(keep), cut_order, small, looped)
            result = _run(search, limit, kept, on_round, bar, test if reference is None else reference)
            wrong = None if reference is None else result.verification.counterexample
            if wrong is None or wrong in learned.strings:  # what it was told already would not help
                break
    return result


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


def _default_architecture(task: Task, loops: bool = False) -> Machine:
    """5 × 2 layers, with the letters that the teacher has, or all that examples have; with loops 2 × 2."""
    if task.teacher is None:
        letters = sorted({step for string in task.strings for step in string if isinstance(step, str)})
    else:
        kinds = [find_kind(kind) for kind in task.teacher.neurons.values()]
        letters = [word for kind in kinds if kind.name.startswith("letter ") for word in kind.characters]
    layers = {"layers": 2, "loops": ["compare"]} if loops else {}
    machine = feedforward(dot_clip=task.dot_clip, letters=letters, **layers)
    return machine.reading_values() if task.has_values else machine


def _run(
    search: Attempts,
    limit: int,
    checkpoint: Checkpoint,
    on_round: Callable | None,
    bar: tqdm,
    reference: Task | Function | None,
) -> Synthesis:
    """Attempts until the shortest program was found twice, or one by enumeration, or as many as are allowed."""
    candidates, history = checkpoint.begin(search)
    while len(candidates) < limit and not _found(candidates, search.enumerate):
        before, links, begin = None, link_names(search.architecture), time.perf_counter()
        for stage, machine, loss, refused in search.rounds(len(candidates)):
            entry = {
                "attempt": len(candidates),
                "stage": stage,
                "links": len(machine.links),
                "loss_before": before,
                "loss": loss if np.isfinite(loss) else None,
                "cut": sorted(links - link_names(machine)),
                "refused": refused,
                "seconds": time.perf_counter() - begin,
            }
            history.append(entry)
            if on_round is not None:
                on_round(entry, machine)
            place = f"seed {search.seed}, attempt {len(candidates) + 1}, {stage}"
            bar.set_description_str(f"{place}: {len(machine.links)} links, data loss {loss:.3g}")
            before, links, begin = entry["loss"], link_names(machine), time.perf_counter()
        useful = np.isfinite(loss) and search.keep <= links
        candidates.append((remove_dead(machine), loss if useful else np.inf))
        checkpoint.save()
    return _result(search.task, candidates, history, reference)


def _found(candidates: Candidates, enumerated: bool) -> bool:
    """Whether the search may end: the first attempt enumerated a program, or the shortest was found twice."""
    return bool(enumerated and _solved(candidates[:1])) or _found_twice(candidates)


def _solved(candidates: Candidates) -> list[Machine]:
    return [machine for machine, loss in candidates if loss < SOLVED]


def _found_twice(candidates: Candidates) -> bool:
    """Whether the shortest program so far was found twice."""
    solved = _solved(candidates)
    shortest = min((len(machine.links) for machine in solved), default=0)
    found = [signatures(each)[each.output] for each in solved if len(each.links) == shortest]
    return len(found) > len(set(found))


def rank(machine: Machine, loss: float) -> tuple[bool, float]:
    """The lower the better: programs that solve the task by their length, before all others by their loss."""
    return loss >= SOLVED, len(machine.links) if loss < SOLVED else loss


def _result(task: Task, candidates: Candidates, history: History, reference: Task | Function | None) -> Synthesis:
    ranked = sorted(candidates, key=lambda candidate: rank(*candidate))
    machine, loss = ranked[0]
    if not np.isfinite(loss):
        raise DMMError(
            "no attempt ended with a finite loss and all links to keep; keep fewer, or ask for more attempts"
        )
    if task.due is None:
        verification = verify(machine, task.teacher, letters=set().union(*task.strings))
    elif reference is None:
        verification = replace(verify(machine, task), learned=True)
    else:
        verification = verify(machine, reference, task=task)
    others = find_programs(task) if "enumerate" in {entry["stage"] for entry in history} else ()
    question = disagreement(machine, others, task) if others and reference is None else None
    return Synthesis(machine, loss, verification, history, [each for each, _ in ranked], question)
