"""Checkpoints of a synthesis: what its searches have found so far, in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dmmlab.files import DMMError, read_json, write_json
from dmmlab.machines import Machine
from dmmlab.synthesis.attempts import Attempts

FORMAT = "dmmlab synthesis 4"

Candidates = list[tuple[Machine, float]]  # what attempts ended with, and its data loss; infinite if it is of no use
History = list[dict[str, Any]]


class Checkpoint:
    """What each search of a synthesis has found, by the hash of all that decides its course; without a path nothing.

    A synthesis is one search, and one more after each example that a reference adds. The same searches follow from the
    same first one: a stopped synthesis begins with it again, finds what is finished here, and goes on with the last.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.searches: dict[str, tuple[Candidates, History]] = {}

    def begin(self, search: Attempts) -> tuple[Candidates, History]:
        """What a search has found so far, in lists to be added to. Raises DMMError that begins with the path, where the
        file is of another synthesis, that is of one that began with another search.
        """
        if self.path is None:
            return [], []
        run = search.fingerprint()
        if not self.searches and self.path.exists():
            self.searches = self._read(self.path)
            if [*self.searches][:1] != [run]:
                raise DMMError(
                    f"{self.path}: this checkpoint is of another task, seed or setting; name another file, or delete it"
                )
        return self.searches.setdefault(run, ([], []))

    def save(self) -> None:
        """Write the file."""
        if self.path is not None:
            write_json(self.path, {"format": FORMAT, "searches": [_plain(run, *x) for run, x in self.searches.items()]})

    @staticmethod
    def _read(path: Path) -> dict[str, tuple[Candidates, History]]:
        content = read_json(path, "checkpoint")
        try:
            if content["format"] != FORMAT:
                raise ValueError("another format")
            return {each["run"]: (_candidates(each["candidates"]), each["history"]) for each in content["searches"]}
        except (KeyError, TypeError, ValueError) as error:
            raise DMMError(f"{path}: this is no checkpoint of a synthesis ({error}); delete it to begin anew") from None


def _plain(run: str, candidates: Candidates, history: History) -> dict[str, Any]:
    found = [[machine.to_dict(), loss if np.isfinite(loss) else None] for machine, loss in candidates]
    return {"run": run, "candidates": found, "history": history}


def _candidates(found: list) -> Candidates:
    return [(Machine.from_dict(machine), np.inf if loss is None else float(loss)) for machine, loss in found]
