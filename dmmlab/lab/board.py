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
        rest = [describe(n, rows, self.seeds) for n, rows in self.rows.items() if rows and n not in self.told]
        self._write([*rest, self.summary()])

    def add(self, row: dict[str, Any]) -> None:
        """One more result."""
        self.rows[row["task"]].append(row)
        finished = [n for n, rows in self.rows.items() if len(rows) == self.seeds and n not in self.told]
        self.told.update(finished)
        begun = [n for n, rows in self.rows.items() if 0 < len(rows) < self.seeds]
        below = [*begun[-10:]] if self.live else []
        lines = [describe(n, self.rows[n], self.seeds) for n in (*finished, *below)]
        self._write(lines)
        self.height = len(below)

    def _write(self, lines: list[str]) -> None:
        """All at once, over what may change, so that the status below stays in its line."""
        clear = (f"\x1b[{self.height}A" if self.height else "") + "\r\x1b[J" if self.live else ""
        print(clear + "".join(f"{line}\n" for line in lines), end="", flush=True)
        self.height = 0

    def summary(self) -> str:
        """How many runs have ended, and how many tasks have a program."""
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
