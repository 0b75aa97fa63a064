"""Measures what notebook 22 shows: `python data/from-everything/measure.py` writes seeds.csv and methods.csv beside it.

Each row holds the seconds of one processor core, and the commit of the code it was measured with. With an argument,
`seeds` or `methods`, only one of the files is written.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import dmmlab as dmm
from dmmlab.engine.threads import engine_threads
from dmmlab.lab.tables import write_table
from dmmlab.synthesis import curriculum
from dmmlab.synthesis.attempts import Attempts
from dmmlab.synthesis.memories import at_several_speeds
from dmmlab.synthesis.pruning import ORDERS, SOLVED

HERE = Path(__file__).parent
SEEDS, TRIES = 20, 8  # of whole syntheses; single attempts of each method


class Forgetful(Attempts):
    """Attempts whose memories begin like all other links."""

    memories = frozenset()

    def _random_machine(self, number: int) -> dmm.Machine:
        weights = np.random.default_rng([self.seed, number]).normal(scale=0.01, size=len(self.architecture.links))
        return dmm.remove_dead(self.architecture.with_vector(weights))


METHODS = {
    "all of it": (Attempts, True),
    "at ten ticks a character only": (Attempts, False),
    "without memory at the beginning": (Forgetful, True),
    "gradient not clipped": (Attempts, True),
}


def synthesize(seed: int) -> dict:
    """A row of seeds.csv."""
    begin = time.process_time()
    found = dmm.synthesize(dmm.find_task("duplicates"), seed, architecture=dmm.recurrent(5), progress=False)
    ends = {entry["attempt"]: entry["loss"] for entry in found.history}
    return {
        "seed": seed,
        "exact": found.verification.passed,
        "handcrafted": found.verification.passed and dmm.same_program(found.machine, dmm.handcrafted_detector()),
        "links": len(found.machine.links),
        "attempts": len(ends),
        "stuck": sum(loss is None or loss >= SOLVED for loss in ends.values()),
        "seconds": round(time.process_time() - begin, 1),
    }


def attempt(method: str, seed: int) -> dict:
    """A row of methods.csv: the end of one attempt."""
    begin, (kind, fast) = time.process_time(), METHODS[method]
    task = dmm.find_task("duplicates")
    curriculum.LONGEST_GRADIENT = np.inf if method == "gradient not clipped" else 1.0
    given = at_several_speeds(task) if fast else task
    with np.errstate(all="ignore"):  # attempts may diverge
        *_, (_, machine, loss, _) = kind(given, seed, dmm.recurrent(5), "full", frozenset(), ORDERS[0]).rounds(0)
    exact = bool(loss < SOLVED and dmm.verify(machine, task.teacher).passed)
    links, seconds = len(machine.links), round(time.process_time() - begin, 1)
    return {"method": method, "seed": seed, "exact": exact, "links": links, "data_loss": float(f"{loss:.3g}")} | {
        "seconds": seconds
    }


def measure(name: str, function: Callable[..., dict], runs: list[tuple]) -> None:
    """Run all, on two cores, and write what there is after each."""
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=True, cwd=HERE).stdout.strip()
    rows = {}
    with engine_threads(1), ProcessPoolExecutor(2, get_context("spawn")) as pool:
        waiting = {pool.submit(function, *run): place for place, run in enumerate(runs)}
        for done in as_completed(waiting):
            rows[waiting[done]] = done.result() | {"commit": commit}
            print(rows[waiting[done]], flush=True)
            write_table(HERE / name, [rows[place] for place in sorted(rows)])


if __name__ == "__main__":
    if "methods" not in sys.argv[1:]:
        measure("seeds.csv", synthesize, [(seed,) for seed in range(SEEDS)])
    if "seeds" not in sys.argv[1:]:
        measure("methods.csv", attempt, [(method, seed) for method in METHODS for seed in range(TRIES)])
