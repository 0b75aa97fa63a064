"""How far a long command is, and what it has found: a line on a terminal, anew every second; in a log one a minute."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

TICK, SILENCE = 1.0, 60.0  # seconds between two looks, and without a line in a log


class Status:
    """While it is entered, shows what `text` says now; what is told stays above it. All goes to stderr."""

    def __init__(self, text: Callable[[], str], live: bool | None = None, silence: float = SILENCE) -> None:
        self.text, self.silence = text, silence
        self.live = sys.stderr.isatty() if live is None else live
        self.start = self.told = time.monotonic()
        self._lock, self._ended = threading.Lock(), threading.Event()

    def __enter__(self) -> Status:
        self.start = self.told = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self.live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    @property
    def seconds(self) -> float:
        """How long it has been entered."""
        return time.monotonic() - self.start

    def tell(self, line: str) -> None:
        """Write a line that stays."""
        with self._lock:
            self.told = time.monotonic()
            print(f"\r\x1b[K{line}" if self.live else line, file=sys.stderr, flush=True)
        if self.live:
            self._show()

    def _watch(self) -> None:
        while True:
            if self.live:
                self._show()
            elif time.monotonic() - self.told >= self.silence:
                self.tell(f"after {show_time(self.seconds)}: {self.text()}")
            if self._ended.wait(TICK if self.live else min(TICK, self.silence)):
                return

    def _show(self) -> None:
        with self._lock:  # what others print begins where this line does
            line = self.text()[: shutil.get_terminal_size().columns - 9]
            print(f"\r\x1b[K{show_time(self.seconds)}  {line}\r", end="", file=sys.stderr, flush=True)


def show_time(seconds: float) -> str:
    """Such as 0:07, or 1:02:03.

    Example: `show_time(7)`.
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress(Status):
    """The status of many runs: how many have ended and failed, what runs now, and how long the rest may take.

    `expected` has the names of all runs, and how long each took the last time, in seconds or in any other measure.
    """

    def __init__(self, expected: Mapping[str, float], live: bool | None = None, silence: float = SILENCE) -> None:
        super().__init__(self._describe, live, silence)
        self.expected, self.ended, self.failed = expected, 0, 0
        self.done = 0.0  # of what is expected
        self.running: dict[str, tuple[int, int]] = {}

    def at(self, name: str, place: int, places: int) -> None:
        """A run has come to one of its places, such as a cell of a notebook."""
        self.running[name] = (place, places)

    def end(self, name: str, entry: Mapping[str, Any], found: str = "") -> None:
        """A run has ended; `entry` has its status and seconds, `found` is what one wants to know of it."""
        self.running.pop(name, None)
        self.ended += 1
        self.failed += entry["status"] == "failed"
        self.done += self.expected[name]
        told = f"{name}: {entry['status']}, {entry['seconds']} s"
        self.tell(f"{told}{found and '; ' + found} ({self._count()}{self._left()})")

    def _count(self) -> str:
        return f"{self.ended} of {len(self.expected)}" + (f", {self.failed} failed" if self.failed else "")

    def _left(self) -> str:
        parts = sum(self.expected[name] * (at - 1) / of for name, (at, of) in [*self.running.items()])
        known, everything = self.done + parts, sum(self.expected.values())
        if self.ended == len(self.expected) or not known > 0.02 * everything:
            return ""
        return f", about {show_time(self.seconds * (everything - known) / known)} left"

    def _describe(self) -> str:
        now = ", ".join(f"{name} at cell {at} of {of}" for name, (at, of) in [*self.running.items()])
        return f"{self._count()}{self._left()}{now and '; ' + now}"
