"""Inputs: the streams that machines read, how fast they are fed, and for how many ticks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from dmmlab.files import DMMError, check_int, parse_json
from dmmlab.trees import NUMBER
from dmmlab.vvalues import VValue

Step = str | float | VValue
Text = str | tuple[Step, ...]
AFTER_END = ("repeat", "nothing")
MOST_TICKS = 10**8  # times strings: answers to more would take gigabytes


@dataclass(frozen=True)
class Inputs:
    """Streams to read, each at some speed and for some ticks.
    A string is a stream of characters, which are code points, as Python counts them: an é may be one or two, a flag or
    a family is several. A list has any steps: a word w is the V-value {w: 1}, a number x is {":number": x}, and a dict
    or V-value is itself; the input emits one at a time. So what people call a character may be given whole, as a word:
    ("e\u0301", "\U0001f1eb\U0001f1f7"). All are kept as tuples. Raises DMMError for no strings, one without steps,
    ticks or speeds below 1, and more ticks than memory holds.

    Args:
        strings: the streams.
        ticks: how long each runs, one number or one a string; None: steps × speed + 20.
        ticks_per_character: ticks from one step to the next, likewise.
        after_end: "repeat", as in the 2022 journal: the last step comes again and again; or "nothing".

    >>> dmm.Inputs(["aa.", (0.5, 2)], ticks_per_character=[10, 2]).ticks
    (50, 24)
    """

    strings: Sequence[str | Sequence]
    ticks: int | Sequence[int] | None = None
    ticks_per_character: int | Sequence[int] = 10
    after_end: str = field(default="repeat", kw_only=True)

    def __post_init__(self) -> None:
        strings = (self.strings,) if isinstance(self.strings, str) else self.strings
        if not isinstance(strings, (list, tuple)) or not strings:
            raise DMMError(f"no strings to run on ({strings!r}); give a list of at least one")
        if self.after_end not in AFTER_END:
            raise DMMError(f"after_end is {self.after_end!r}; it is 'repeat' or 'nothing'")
        strings = [_read_string(string) for string in strings]
        speeds = self._one_each("ticks_per_character", strings)
        speeds = [check_int("ticks_per_character", speed) for speed in speeds]
        ticks = [
            len(string) * speed + 20 if given is None else check_int("ticks", given)
            for string, speed, given in zip(strings, speeds, self._one_each("ticks", strings), strict=True)
        ]
        if len(strings) * max(ticks) > MOST_TICKS:
            told = f"{len(strings)} strings of up to {max(ticks)} ticks are too many"
            raise DMMError(f"{told}; {MOST_TICKS:,} in all fit, so give fewer or shorter strings, or a faster speed")
        vars(self).update(strings=tuple(strings), ticks=tuple(ticks), ticks_per_character=tuple(speeds))

    def _one_each(self, name: str, strings: Sequence[Text]) -> Sequence:
        value = getattr(self, name)
        if not isinstance(value, (list, tuple, np.ndarray)):
            return [value] * len(strings)
        if len(value) != len(strings):
            raise DMMError(f"{len(value)} {name} for {len(strings)} strings; give one a string")
        return value

    @cached_property
    def streams(self) -> tuple[tuple[VValue, ...], ...]:
        """What the input emits, step by step; the last step comes again and again, and may be zero."""
        end = (VValue(),) if self.after_end == "nothing" else ()
        values = {step: value_of(step) for string in self.strings for step in string}  # once each, for strings are long
        return tuple((*(values[step] for step in string), *end) for string in self.strings)

    @cached_property
    def has_values(self) -> bool:
        """Whether some step is no word."""
        return not all(isinstance(step, str) for string in self.strings for step in string)

    @cached_property
    def valid_ticks(self) -> np.ndarray:
        """1 for the ticks that belong to a string, 0 after its end, (strings, ticks of the longest, 1)."""
        ticks = np.arange(max(self.ticks))
        return (ticks < np.array(self.ticks)[:, None])[..., None].astype(float)


def value_of(step: Step) -> VValue:
    """The V-value of a step: a word w is {w: 1}."""
    return VValue({step: 1.0}) if isinstance(step, str) else VValue(step)


def read_list(text: str) -> list:
    """The steps that somebody has written as a list in JSON. Raises DMMError."""
    try:
        steps, reason = parse_json(text), "no list"
    except DMMError as error:
        steps, reason = None, str(error).partition(";")[0]
    if not isinstance(steps, list):
        raise DMMError(f'{text!r:.60} is {reason}; write a list of steps in JSON, as [1.5, "a", "["]')
    return steps


def _read_string(string: Any) -> Text:
    """A string, or a tuple of words, numbers and V-values. Raises DMMError."""
    if isinstance(string, str) and string:
        return string
    if not isinstance(string, (list, tuple)) or not string:
        raise DMMError(f"string {string!r} has no characters; give at least one, or a list of words or numbers")
    return tuple(_read_step(string, number, step) for number, step in enumerate(string, 1))


def _read_step(string: Any, number: int, step: Any) -> Step:
    if isinstance(step, str) and step not in ("", NUMBER):
        return step
    if step is None or isinstance(step, str):
        raise DMMError(f"string {string!r} has no characters at step {number}; give a word, a number or a dict")
    try:
        value = VValue(step)
    except DMMError as error:
        raise DMMError(f"string {string!r}, step {number}: {error}") from None
    return value if isinstance(step, Mapping) else float(value)
