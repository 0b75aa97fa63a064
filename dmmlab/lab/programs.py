"""The commands that find programs, and ask old ones for the answers of new examples."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path

from dmmlab.lab.circuits import draw
from dmmlab.lab.findings import formula_text, save_findings, show
from dmmlab.lab.project import output_root
from dmmlab.lab.stepper import step_through
from dmmlab.learn.tasks import Task
from dmmlab.machines import Machine
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.synthesis.search import rank, synthesize
from dmmlab.synthesis.verification import verify


def _is_examples(strings: list[str]) -> bool:
    return len(strings) == 1 and strings[0].lower().endswith((".csv", ".json"))


def _folder_name(options: argparse.Namespace, task: Task) -> str:
    """A name that other strings, examples or settings do not have: the words that are seen, and a hash of all."""
    words = Path(options.strings[0]).stem if _is_examples(options.strings) else " ".join(options.strings)
    name = "-".join(re.findall(r"\w+", words.lower()))[:40] or "strings"
    work = json.dumps([task.describe(), options.holdout])
    return f"{name}-{options.seed}-{hashlib.sha256(work.encode()).hexdigest()[:6]}"


def synthesize_program(options: argparse.Namespace) -> int:
    """A machine for the user's own strings or examples: written after every attempt, so that a stopped one goes on."""
    strings, examples = options.strings, _is_examples(options.strings)
    if examples:
        task = Task.load(strings[0], ticks_per_step=options.speed, latency=options.latency)
    else:
        # One short string at one speed cannot tell a counter from a clock.
        speeds = (10, 7, 4, 13)[: max(1, 5 - len(strings))]
        runs = [(string, speed) for speed in speeds for string in strings]
        task = Task([string for string, _ in runs], ticks_per_character=[speed for _, speed in runs])
    folder = Path(options.output or output_root() / "data" / "synthesized" / _folder_name(options, task))
    best = Best()
    given = {"checkpoint": folder / "checkpoint.json", "progress": sys.stderr.isatty(), "on_round": best.keep}
    try:
        result = synthesize(task, options.seed, holdout=options.holdout, **given)
    except KeyboardInterrupt:
        return best.save(folder)
    if examples:
        files = save_findings(result, task, folder)
    else:
        files = ["machine.json", "circuit.svg", "stepper.html"]
        result.machine.save(folder / files[0])
        draw(result.machine).save(folder / files[1])
        step_through(result.machine, strings[0]).save(folder / files[2])
    print(f"{len(result.machine.links)} links, data loss {result.data_loss:.3g}; {result.verification}")
    if result.question is not None:
        print(f"another program gives all answers too, and differs on {show(result.question)}: what is due there?")
    print(formula_text(result.machine))
    print(f"kept in {folder}: {', '.join(files)}")
    return 0


class Best:
    """The best program so far, for those who stop a synthesis: the shortest of those that fit, else the closest."""

    def __init__(self) -> None:
        self.rank, self.machine = (True, float("inf")), None

    def keep(self, entry: dict, machine: Machine) -> None:
        """After each round."""
        loss = float("inf") if entry["loss"] is None else entry["loss"]
        if rank(machine, loss) < self.rank:
            self.rank, self.machine = rank(machine, loss), remove_dead(machine)

    def save(self, folder: Path) -> int:
        """Write it; returns the code of a stopped command."""
        if self.machine is not None:
            path = folder / "machine.json"
            self.machine.save(path)
            fits = "does not give all answers yet" if self.rank[0] else "gives all answers"
            print(f"stopped; the best so far has {len(self.machine.links)} links and {fits}: kept in {path}")
        return 130


def check_program(options: argparse.Namespace) -> int:
    """Ask an old program for the answers of new examples: 0 where all answers are right, 1 where one is wrong."""
    machine = Machine.load(options.machine)
    task = Task.load(options.examples, ticks_per_step=options.speed, latency=options.latency)
    found = verify(machine, task)
    print(found)
    return 0 if found.passed else 1


def climb_rungs(options: argparse.Namespace) -> int:
    """Look for programs for tasks of the ladder; none for some is no failure."""
    from dmmlab.lab.ladder import Settings, choose, climb_ladder

    settings = Settings(options.strings, options.longest, options.seconds)
    names = choose(options.task, options.rung)
    climb_ladder(names, options.seeds, settings, options.workers, options.output, options.scheduler)
    return 0
