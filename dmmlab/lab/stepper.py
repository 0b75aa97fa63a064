"""The stepper: a machine's circuit with the values on its wires at one tick, as an HTML object that needs nothing else.

The data come from the interpreter; `stepper.js` shows them, in a shadow root that no style of the page around reaches.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmmlab import trees
from dmmlab.files import DMMError, atomic_write, check_int
from dmmlab.inputs import Inputs, Text, value_of
from dmmlab.interpreter import trace
from dmmlab.lab.circuits import HAIRLINE, Drawing, draw
from dmmlab.lab.layers import parts_of
from dmmlab.machines import Machine
from dmmlab.neurons import find_kind
from dmmlab.vvalues import VValue

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title></head>
<body style="margin:0 auto;max-width:80rem;padding:.5rem"><main>{body}</main></body></html>
"""


@dataclass(frozen=True)
class Stepper:
    """A machine, or two, at one tick after another, which shows itself in a notebook; `source` is its HTML.

    >>> dmm.step_through(dmm.handcrafted_detector(), "aa.").save("stepper.html").name
    'stepper.html'
    """

    source: str
    summary: str

    def __repr__(self) -> str:
        return f"Stepper({self.summary})"

    def save(self, path: str | os.PathLike) -> Path:
        """Write a page of its own, which needs no other file and no network. Raises DMMError for another suffix."""
        if Path(path).suffix.lower() != ".html":
            raise DMMError(f"{path}: a stepper is written as .html; change the suffix")
        return atomic_write(path, PAGE.format(title=html.escape(repr(self)), body=self.source))

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.source, "text/plain": repr(self)}


def step_through(
    machine: Machine,
    string: Text,
    ticks: int | None = None,
    ticks_per_character: int = 10,
    compare: Machine | None = None,
    titles: Sequence[str] = (),
    start_at: int = 1,
    after_end: str = "repeat",
) -> Stepper:
    """The circuit with the values on its wires at one tick, with buttons, a slider and keys to go to another.

    A wire carries what its source emitted at the tick before, times its weight; neurons show what `trace` has at the
    tick itself. `compare` is a second machine on the same string, `titles` are their names, `start_at` is the tick to
    begin with. Steps may be words, numbers and V-values; after the end the last comes again and again, and with
    `after_end="nothing"` nothing comes.
    Neurons and links are those of `draw(machine, live_only=True)`: others change no answer.
    Raises DMMError as `trace` does, for a machine that rewrites its links, and for one of more than 150 soft links.

    >>> dmm.step_through(dmm.handcrafted_detector(), "aa.", ticks=40)
    Stepper(9 neurons, 8 soft links, 3 fixed; 40 ticks)
    """
    machines = [machine] if compare is None else [machine, compare]
    titles = titles or (("",) if compare is None else ("first machine", "second machine"))
    if isinstance(titles, str) or len(titles) != len(machines):
        raise DMMError(f"titles are {titles!r}; give a list of one for each machine, {len(machines)} in all")
    fed = Inputs([string], ticks, ticks_per_character, after_end=after_end)
    (ticks,), (speed,), (string,) = fed.ticks, fed.ticks_per_character, fed.strings
    machines = [machine.reading_values() if fed.has_values else machine for machine in machines]
    if check_int("start_at", start_at) > ticks:
        raise DMMError(f"start_at is {start_at}; there are {ticks} ticks, begin with one of them")
    numbers: dict[str, int] = {}
    shown = [_record(each, (string, ticks, speed, after_end), numbers) for each in machines]
    shown = [record | {"title": str(title)} for record, title in zip(shown, titles, strict=True)]
    steps = [step if isinstance(step, str) else json.loads(_json(value_of(step))) for step in string]
    data = {"words": steps, "perCharacter": speed, "ticks": ticks, "start": start_at, "afterEnd": after_end}
    data["machines"] = shown
    data["values"] = [json.loads(text) for text in numbers]
    drawings = [draw(each, live_only=True, value_slots=True, full_names=True) for each in machines]
    words = f"{' and '.join(each.summary for each in drawings)}; {ticks} ticks"
    return Stepper(_fragment(data, drawings, words), words)


def _record(machine: Machine, run: tuple, numbers: dict[str, int]) -> dict:
    """What is drawn of a machine, with its values: for every field their numbers, in `numbers`, tick by tick."""
    if "self" in machine.neurons.values():
        raise DMMError("a neuron of kind 'self' rewrites the links of this machine; use draw_changes")
    kinds, wires = parts_of(machine, live_only=True)
    soft = sum(not fixed for _, _, fixed in wires)
    if soft > HAIRLINE:
        raise DMMError(f"{soft} links are too many to read; prune the machine to at most {HAIRLINE}")
    ticks = trace(machine, *run[:3], after_end=run[3])
    neurons = []
    for name, kind in kinds.items():
        inputs = _streams(find_kind(kind).inputs, [tick.inputs[name] for tick in ticks], numbers)
        outputs = _streams(find_kind(kind).outputs, [tick.outputs[name] for tick in ticks], numbers)
        neurons.append({"name": name, "kind": kind, "inputs": inputs, "outputs": outputs})
    order = [*kinds]
    links = [(order.index(a), b, order.index(c), d, weight, fixed) for (a, b, c, d), weight, fixed in wires]
    return {"neurons": neurons, "links": links, "output": order.index(machine.output)}


def _streams(known: Iterable[str] | None, values: list[VValue], numbers: dict[str, int]) -> dict[str, list[int]]:
    """Fields, the known ones first → the numbers of their values, tick by tick."""
    fields = dict.fromkeys(known or ())
    for value in values:
        fields |= dict.fromkeys(value)
    return {field: [_number(value[field], numbers) for value in values] for field in fields}


def _number(value: VValue, numbers: dict[str, int]) -> int:
    """The number of a V-value among different ones, which are kept as JSON."""
    try:
        return numbers.setdefault(_json(value), len(numbers))
    except (ValueError, RecursionError):
        raise DMMError("a value is not finite, or nested too deeply, at some tick; give fewer ticks") from None


def _json(value: VValue) -> str:
    """A V-value as JSON, in which a number is a number. Raises ValueError where one is not finite."""
    return json.dumps(trees.collapse(value.tree) or 0, default=dict, allow_nan=False)


def _fragment(data: dict, drawings: Iterable[Drawing], words: str) -> str:
    """HTML: pictures for pages where no script may run, the data, and what shows them."""
    style = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")
    outside, _, data["style"] = style.partition("/* inside */\n")
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    inside = "".join(each.image("dmm-circuit") for each in drawings) + '<script type="application/json">'
    inside += json.dumps(data, separators=(",", ":")).replace("<", "\\u003c") + "</script>"
    label = f'tabindex="0" data-lm-suppress-shortcuts="true" role="group" aria-label="{html.escape(words)}"'
    return f'<style>{outside}</style><div class="dmm-stepper" {label}>{inside}</div><script>{script}</script>'
