"""Inputs: the strings that machines read, how fast they are fed, and for how many ticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dmmlab.files import DMMError, check_int

Text = str | tuple[str, ...]


@dataclass(frozen=True)
class Inputs:
    """Strings to read, each at some speed and for some ticks.
    A string may be a tuple of words: the input then emits a word at a time. `ticks` (None: characters × speed + 20) and
    `ticks_per_character` are one number or one a string; all three are kept as tuples. Raises DMMError for no strings,
    one without characters, ticks or speeds below 1.

    >>> dmm.Inputs(["aa.", "b"], ticks_per_character=[10, 2]).ticks
    (50, 22)
    """

    strings: Sequence[Text]
    ticks: int | Sequence[int] | None = None
    ticks_per_character: int | Sequence[int] = 10

    def __post_init__(self) -> None:
        strings = (self.strings,) if isinstance(self.strings, str) else self.strings
        if not isinstance(strings, (list, tuple)) or not strings:
            raise DMMError(f"no strings to run on ({strings!r}); give a list of at least one")
        for string in strings:
            _check_string(string)
        speeds = self._one_each("ticks_per_character", strings)
        speeds = [check_int("ticks_per_character", speed) for speed in speeds]
        ticks = [
            len(string) * speed + 20 if given is None else check_int("ticks", given)
            for string, speed, given in zip(strings, speeds, self._one_each("ticks", strings), strict=True)
        ]
        vars(self).update(strings=tuple(strings), ticks=tuple(ticks), ticks_per_character=tuple(speeds))

    def _one_each(self, name: str, strings: Sequence[Text]) -> Sequence:
        value = getattr(self, name)
        if not isinstance(value, (list, tuple, np.ndarray)):
            return [value] * len(strings)
        if len(value) != len(strings):
            raise DMMError(f"{len(value)} {name} for {len(strings)} strings; give one a string")
        return value

    @cached_property
    def valid_ticks(self) -> np.ndarray:
        """1 for the ticks that belong to a string, 0 after its end, (strings, ticks of the longest, 1)."""
        ticks = np.arange(max(self.ticks))
        return (ticks < np.array(self.ticks)[:, None])[..., None].astype(float)


def _check_string(string: Any) -> None:
    words = string if isinstance(string, (str, tuple)) else ()
    if not words or not all(isinstance(word, str) and word not in ("", ":number") for word in words):
        raise DMMError(f"string {string!r} has no characters; give at least one, or a tuple of words")
