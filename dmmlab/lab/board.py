"""A live table of the ladder: a row for each task that is being tried; below each other in a log, one a task."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import median
from typing import Any

WIDTH = 28  # of what a row says of the peers, so that it fits eighty columns


class Board:
    """Shows rows as results come. On a terminal the tasks that have begun stand below those that are finished, and are
    written anew; elsewhere a task is a line once all its seeds are there.
    """

    def __init__(self, names: Sequence[str], seeds: int, live: bool | None = None) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        self.seeds, self.told, self.height = seeds, set(), 0
        self.live = sys.stdout.isatty() if live is None else live

    def __enter__(self) -> Board:
        print(f"{'task':24} {'exact':>7} {'links':>7} {'seconds':>8}  peers", flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Tell of those too that were not finished, and how many there were."""
        self._clear()
        for name, rows in self.rows.items():
            if rows and name not in self.told:
                print(describe(name, rows, self.seeds))
        print(self._summary(), flush=True)

    def add(self, row: dict[str, Any]) -> None:
        """One more result."""
        self.rows[row["task"]].append(row)
        self._clear()
        for name, rows in self.rows.items():
            if len(rows) == self.seeds and name not in self.told:
                self.told.add(name)
                print(describe(name, rows, self.seeds))
        if self.live:
            begun = [describe(n, rows, self.seeds) for n, rows in self.rows.items() if 0 < len(rows) < self.seeds]
            lines = [*begun[-10:], self._summary()]
            print(*lines, sep="\n")
            self.height = len(lines)
        sys.stdout.flush()

    def _clear(self) -> None:
        if self.height:
            print(f"\x1b[{self.height}A\x1b[J", end="")
            self.height = 0

    def _summary(self) -> str:
        done = sum(map(len, self.rows.values()))
        solved = sum(any(row["exact"] for row in rows) for rows in self.rows.values())
        return f"{done} of {len(self.rows) * self.seeds} runs; {solved} of {len(self.rows)} tasks found"


def describe(name: str, rows: Sequence[dict[str, Any]], seeds: int) -> str:
    """A task in one line: how many seeds are exact, the links of the shortest, seconds (median), what peers found."""
    exact = [row["links"] for row in rows if row["exact"]]
    seconds = median(row["seconds"] for row in rows)
    links = str(min(exact)) if exact else "–"
    peers = rows[0]["peers"]
    short = peers if len(peers) <= WIDTH else peers[: WIDTH - 1] + "…"
    return f"{name:24} {f'{len(exact)}/{seeds}':>7} {links:>7} {seconds:8.1f}  {short}".rstrip()
