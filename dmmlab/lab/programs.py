"""The commands that find programs, and ask old ones for the answers of new examples."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from dmmlab.enumeration.programs import find_programs
from dmmlab.lab.findings import ADVICE, formula_text, save_findings, show
from dmmlab.lab.progress import Status, show_time
from dmmlab.lab.project import output_root
from dmmlab.learn.objective import SOLVED
from dmmlab.learn.tasks import Task
from dmmlab.machines import Machine
from dmmlab.synthesis.attempts import ROUND, STEPS, UNLOOPED
from dmmlab.synthesis.examination import split
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.synthesis.search import ATTEMPTS, rank, synthesize
from dmmlab.synthesis.verification import verify

ANY = (8, 11)  # ticks a step: what is right at both is right at any speed
CHECK_SO = f"check it with --speed {ANY[0]}"
LONG = 5000  # ticks of all strings together, of which more take minutes


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
        task = _load(strings[0], options)
    else:
        # One short string at one speed cannot tell a counter from a clock.
        speeds = (10, 7, 4, 13)[: max(1, 5 - len(strings))]
        runs = [(string, speed) for speed in speeds for string in strings]
        task = Task([string for string, _ in runs], ticks_per_character=[speed for _, speed in runs])
    folder = Path(options.output or output_root() / "data" / "synthesized" / _folder_name(options, task))
    if examples:
        split(task, options.holdout, options.seed)  # refuses a share before anything is told
    print(_expect(task, examples, folder), file=sys.stderr, flush=True)
    search = Search(unlooped=UNLOOPED if examples else ATTEMPTS)
    given = {"checkpoint": folder / "checkpoint.json", "progress": False, "on_round": search.after_round}
    try:
        with search:
            if examples and options.speed is None and (one := _at_one_speed(task, options)):
                task = one
                search.tell(f"no small program is right at any speed, but at {ANY[0]} ticks a step: {CHECK_SO}")
            result = synthesize(task, options.seed, holdout=options.holdout, **given)
            search.tell_attempt()
    except KeyboardInterrupt:
        return search.best.save(folder)
    files = save_findings(result, task, folder)
    print(f"{len(result.machine.links)} links, data loss {result.data_loss:.3g}; {result.verification}")
    if result.question is not None:
        print(f"another program gives all answers too, and differs on {show(result.question)}: what is due there?")
    if result.data_loss >= SOLVED:
        print(ADVICE)
    print(formula_text(result.machine, task))
    print(f"kept in {folder}: {', '.join(files)}")
    return 0


def _load(path: str, options: argparse.Namespace) -> Task:
    return Task.load(path, ticks_per_step=options.speed or ANY, latency=options.latency)


def _at_one_speed(task: Task, options: argparse.Namespace) -> Task | None:
    """The same task at the first of its speeds, where small programs are found at that one only."""

    def first(each: Task) -> Task:
        return each.only([i for i, speed in enumerate(each.ticks_per_character) if speed == ANY[0]])

    learned, _ = split(task, options.holdout, options.seed)
    return first(task) if not find_programs(learned) and find_programs(first(learned)) else None


def _expect(task: Task, examples: bool, folder: Path) -> str:
    """What is looked for, and how long that may take."""
    ticks, number = sum(task.ticks), len({*task.strings})
    what = f"{'example' if examples else 'string'}{'s' * (number > 1)}: {'small programs first, then ' * examples}"
    told = f"{number} {what}at most {ATTEMPTS} attempts to train and cut; kept in {folder} after each"
    if ticks > LONG:
        told += f"\n{ticks:,} ticks in all are many: an attempt takes minutes; a dozen characters teach as much"
    return told


class Search(Status):
    """The status of a synthesis: which attempt it is at, how far that is, and the best program so far."""

    def __init__(self, unlooped: int = ATTEMPTS, live: bool | None = None) -> None:
        super().__init__(self._describe, live)
        self.best, self.unlooped, self.rounds = Best(), unlooped, 0
        self.entry: dict[str, Any] | None = None
        self.begin = self.last = 0.0  # of this attempt, and the end of its last round, in seconds from the start

    def after_round(self, entry: dict[str, Any], machine: Machine) -> None:
        """Take note of a round; the first of an attempt tells how the one before ended."""
        if self.entry is not None and entry["attempt"] != self.entry["attempt"]:
            self.tell_attempt()
            self.rounds, self.begin = 0, self.seconds - entry["seconds"]
        self.entry, self.rounds, self.last = entry, self.rounds + 1, self.seconds
        self.best.keep(entry, machine)

    def tell_attempt(self) -> None:
        """How the last attempt ended; nothing where there was none, as after a finished run."""
        if self.entry is not None:
            self.tell(f"{self._place()}: {_found(self.entry)}, {self.seconds - self.begin:.1f} s; {self.best}")

    def _place(self) -> str:
        return f"attempt {self.entry['attempt'] + 1}/{ATTEMPTS}"

    def _describe(self) -> str:
        if self.entry is None:
            return f"attempt 1/{ATTEMPTS}"
        stage, every = self.entry["stage"], STEPS // ROUND
        if stage == "train" and self.entry["attempt"] < self.unlooped and self.rounds < every:
            left = (self.last - self.begin) * every / self.rounds - (self.seconds - self.begin)
            stage += f" {self.rounds}/{every}, about {show_time(max(left, 0))} left"
        return f"{self._place()}, {self.best}; {stage}: {_found(self.entry)}"


def _found(entry: dict[str, Any]) -> str:
    loss = "no finite loss" if entry["loss"] is None else f"loss {entry['loss']:.3g}"
    return f"{entry['links']} links, {loss}"


class Best:
    """The best program so far, for those who stop a synthesis: the shortest of those that fit, else the closest."""

    def __init__(self) -> None:
        self.rank, self.machine = (True, float("inf")), None

    def keep(self, entry: dict, machine: Machine) -> None:
        """After each round."""
        loss = float("inf") if entry["loss"] is None else entry["loss"]
        if rank(machine, loss) < self.rank:
            self.rank, self.machine = rank(machine, loss), remove_dead(machine)

    def __str__(self) -> str:
        if self.machine is None:
            return "nothing found yet"
        return f"best {len(self.machine.links)} links{' (wrong)' if self.rank[0] else ''}"

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
    task = _load(options.examples, options)
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
