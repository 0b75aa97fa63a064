"""Kinds of neurons: which fields they have and what they compute, each written once for both engines.

A kind's `up` is a formula over a small set of operations, `Ops`: here on V-values, for the interpreter. The engine
brings operations of the same names that write instructions for its loops; so a new kind is one decorated function.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import autograd.numpy as np
from autograd.tracer import getval

from dmmlab import vvalues
from dmmlab.files import DMMError
from dmmlab.trees import NUMBER
from dmmlab.vvalues import VValue, mask

# What a field carries. The detector's streams are flat: characters with numbers, and a scalar under ':number'.
CHARS, SCALAR, STREAM = "characters", "scalar", "characters and scalar"
TWO_SCALARS, TWO_STREAMS = {"dict-1": SCALAR, "dict-2": SCALAR}, {"dict-1": STREAM, "dict-2": STREAM}


@dataclass(frozen=True)
class Ops:
    """What a kind may compute with, here on V-values and floats; the engine has the same operations on its streams."""

    dot_clip: float
    stream: Sequence[VValue] = ()
    ticks_per_character: int = 10
    tie_order: str | None = None

    add = staticmethod(vvalues.add)  # the sum of two streams
    inner = staticmethod(vvalues.inner)  # the inner product of two streams, a number
    number = staticmethod(vvalues.number)  # the ':number' part of a stream, a number
    constant = VValue  # the same stream at every tick
    difference = staticmethod(operator.sub)  # a - b of two numbers

    def max_norm(self, a: VValue) -> float:
        """Largest `|leaf|` of a stream; at ties its gradient is split evenly unless a tie order is given."""
        return vvalues.max_norm(a, self.tie_order)

    def relu(self, a: float) -> float:
        """max(a, 0) of a number; its derivative at 0 is 0."""
        return a if a > 0 else 0.0

    def step(self, a: float) -> float:
        """1 where a number is positive, else 0; its derivative is 0."""
        return 1.0 if a > 0 else 0.0

    def clip(self, a: float, bound: float) -> float:
        """A number limited to ±bound; where it reaches the bound its derivative is 0."""
        return a if -bound < a < bound else np.sign(getval(a)) * bound

    def _step(self, timer: float) -> VValue:
        """The step of the input that is due when the timer shows this number, or zero; the last comes again."""
        place, rest = divmod(getval(timer), self.ticks_per_character)
        return VValue() if rest or place < 0 else self.stream[min(int(place), len(self.stream) - 1)]

    def character(self, timer: float) -> VValue:
        """The step that is due, without the number that it may have of its own: a character c is {c: 1}."""
        step = self._step(timer)
        return VValue({key: part for key, part in step.items() if key != NUMBER}) if NUMBER in step else step

    def amount(self, timer: float) -> float:
        """The number of the step that is due, a number."""
        return float(self._step(timer))


Fields = Mapping[str, Any]
Formula = Callable[[Fields, Ops], Fields]


@dataclass(frozen=True)
class Kind:
    """A kind of neuron.

    Args:
        name: how machines name it.
        inputs: input fields, each with what it carries; None for any field.
        outputs: output fields, likewise.
        up: the formula, (input fields, ops) → output fields.
        memory: an input field that the output merely adds (out = in[memory] + rest), so that a loop of weight 1 through
            it is a running sum.
        stop_gradient: the input fields that the truncated gradient does not pass ("*" for all).
        characters: the words that the kind emits by itself.
        trees: whether the formula is for V-values of any depth, which only the interpreter has.
    """

    name: str
    inputs: Mapping[str, str] | None
    outputs: Mapping[str, str] | None
    up: Formula
    memory: str | None = None
    stop_gradient: tuple[str, ...] = ()
    characters: tuple[str, ...] = ()
    trees: bool = False

    def passes_gradient(self, field: str) -> bool:
        """Whether the truncated gradient passes an input field."""
        return not {"*", field} & {*self.stop_gradient}


KINDS: dict[str, Kind] = {}


def kind(
    name: str, inputs: Mapping[str, str] | None, outputs: Mapping[str, str] | None, **more: Any
) -> Callable[[Formula], Formula]:
    """Decorator that registers a function (fields, ops) → fields as the kind `name`; see `Kind` for the arguments."""

    def register(up: Formula) -> Formula:
        KINDS[name] = Kind(name, inputs, outputs, up, **more)
        return up

    return register


def find_kind(name: str) -> Kind:
    """The registered kind of that name; "letter a" is one for every word. Raises DMMError for others."""
    if isinstance(name, str) and name not in KINDS and name[:7] == "letter " and name[7:] not in ("", NUMBER):
        kind(name, {}, {"char": CHARS}, characters=(name[7:],))(partial(_letter, name[7:]))
    if not isinstance(name, str) or name not in KINDS:
        raise DMMError(f"kind {name!r} is not known; the kinds are {', '.join(sorted(KINDS))}")
    return KINDS[name]


def kind_by_name(name: str) -> str:
    """The kind that a neuron's name says, up to the first hyphen: compare-2, letter-a (the source of that letter)."""
    return f"letter {name[7:]}" if name.startswith("letter-") else name.partition("-")[0]


GRADIENTS = ("full", "truncated")


def check_gradient(memory_gradient: str, tie_order: str | None = None) -> None:
    """Raises DMMError for another word than 'full' or 'truncated', and for a tie order that is no string."""
    if memory_gradient not in GRADIENTS:
        raise DMMError(f"memory_gradient is {memory_gradient!r}; it is 'full' or 'truncated'")
    if not (tie_order is None or isinstance(tie_order, str)):
        raise DMMError(f"tie_order is {tie_order!r}; it is a string of characters, the last of which wins, or None")


# ---- the kinds of the detector (arXiv:1606.09470, section 3; dot's clip is the 2022 journal's 'governor') ----


@kind("sum", TWO_STREAMS, {"dict": STREAM})
@kind("accum", TWO_STREAMS, {"dict": STREAM}, memory="dict-1", stop_gradient=("dict-1",))
def _accum(x: Fields, ops: Ops) -> Fields:
    """The sum; an accumulator keeps what it had by a link from itself to its memory."""
    return {"dict": ops.add(x["dict-1"], x["dict-2"])}


@kind("norm", {"dict": STREAM}, {"norm": SCALAR})
def _norm(x: Fields, ops: Ops) -> Fields:
    return {"norm": ops.max_norm(x["dict"])}


@kind("dot", TWO_STREAMS, {"dot": SCALAR})
def _dot(x: Fields, ops: Ops) -> Fields:
    return {"dot": ops.clip(ops.inner(x["dict-1"], x["dict-2"]), ops.dot_clip)}


def _compare(shape: Callable, x: Fields, ops: Ops) -> Fields:
    a, b = ops.number(x["dict-1"]), ops.number(x["dict-2"])
    return {"true": shape(ops.difference(a, b)), "false": shape(ops.difference(b, a))}


@kind("compare", TWO_SCALARS, {"true": SCALAR, "false": SCALAR})
def _soft_compare(x: Fields, ops: Ops) -> Fields:
    return _compare(ops.relu, x, ops)


@kind("hard_compare", TWO_SCALARS, {"true": SCALAR, "false": SCALAR})
def _hard_compare(x: Fields, ops: Ops) -> Fields:
    return _compare(ops.step, x, ops)


@kind("id", None, None, stop_gradient=("*",))
def _id(x: Fields, ops: Ops) -> Fields:
    return dict(x)


@kind("const_1", {}, {"const_1": SCALAR})
def _const_1(x: Fields, ops: Ops) -> Fields:
    return {"const_1": ops.number(ops.constant({NUMBER: 1.0}))}


def _letter(letter: str, x: Fields, ops: Ops) -> Fields:
    return {"char": ops.constant({letter: 1.0})}


kind("eos", {}, {"char": CHARS}, characters=(".",))(partial(_letter, "."))


@kind("timer", {"timer": SCALAR}, {"timer": SCALAR}, memory="timer")
def _timer(x: Fields, ops: Ops) -> Fields:
    one = ops.number(ops.constant({NUMBER: 1.0}))
    return {"timer": ops.add(ops.number(x["timer"]), one)}


@kind("input", {"timer": SCALAR}, {"char": CHARS})
def _input(x: Fields, ops: Ops) -> Fields:
    return {"char": ops.character(ops.number(x["timer"]))}


@kind("value_input", {"timer": SCALAR}, {"char": STREAM})
def _value_input(x: Fields, ops: Ops) -> Fields:
    """An input for steps that are any V-values."""
    timer = ops.number(x["timer"])
    return {"char": ops.add(ops.character(timer), ops.amount(timer))}


@kind("output", TWO_SCALARS, {})
def _output(x: Fields, ops: Ops) -> Fields:
    return {}


# ---- kinds of general stream programming, on trees of any depth, which the interpreter runs ----
# Sources: arXiv:1606.09470, section 2 (masks, gates); arXiv:1712.07447, sections 4 to 7 (accumulators, Self, lists).


@kind("inner", TWO_STREAMS, {"inner": SCALAR})
def _inner(x: Fields, ops: Ops) -> Fields:
    """The inner product without a governor."""
    return {"inner": ops.inner(x["dict-1"], x["dict-2"])}


@kind("mask", {"mask": STREAM, "dict": STREAM}, {"dict": STREAM}, trees=True)
def _mask(x: Fields, ops: Ops) -> Fields:
    """Every number of the mask times the subtree at its path."""
    return {"dict": mask(x["mask"], x["dict"])}


@kind("gate", {"factor": SCALAR, "dict": STREAM}, {"dict": STREAM}, trees=True)
def _gate(x: Fields, ops: Ops) -> Fields:
    """The number times the stream: what passes, and how much of it."""
    return {"dict": x["dict"] * ops.number(x["factor"])}


@kind("cons", {"new": STREAM, "rest": STREAM}, {"list": STREAM}, trees=True)
def _cons(x: Fields, ops: Ops) -> Fields:
    """The list {"this": new, "rest": rest}; where nothing new arrives, the rest as it is.

    A list is as deep as it is long, and Python's own stack ends at some hundreds of levels.
    """
    new, rest = x["new"], x["rest"]
    return {"list": VValue({"this": new, "rest": rest}) if new else rest}


@kind("self", {"accum": STREAM, "delta": STREAM}, {"matrix": STREAM}, memory="accum", trees=True)
def _self(x: Fields, ops: Ops) -> Fields:
    """The machine's own matrix: what it was (a link of weight 1 from itself) and what is added to it."""
    return {"matrix": x["accum"] + x["delta"]}
