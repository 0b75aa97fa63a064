"""Kinds of neurons: which fields they have and what they compute, each written once for both engines.

A kind's `up` is a formula over a small set of operations, `Ops`. The interpreter brings operations on V-values, the
engine instructions for its loops; so a new kind is one decorated function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from autograd.tracer import getval

from dmmlab.files import DMMError
from dmmlab.vvalues import VValue, assemble, mask, number, scale

# What a field carries. The detector's streams are flat: characters with numbers, and a number under ':number'.
CHARS, NUMBER, STREAM = "characters", "number", "characters and number"


class Ops(Protocol):
    """What a kind may compute with. A stream is whatever the engine uses for V-values, a number for reals."""

    dot_clip: float

    def add(self, a: Any, b: Any) -> Any:
        """Sum of two streams."""

    def inner(self, a: Any, b: Any) -> Any:
        """Inner product of two streams, a number."""

    def max_norm(self, a: Any) -> Any:
        """Largest `|leaf|` of a stream, a number; at ties its gradient is split evenly unless a tie order is given."""

    def number(self, a: Any) -> Any:
        """The ':number' part of a stream, a number."""

    def difference(self, a: Any, b: Any) -> Any:
        """The difference a − b of two numbers."""

    def relu(self, a: Any) -> Any:
        """max(a, 0) of a number; its derivative at 0 is 0."""

    def step(self, a: Any) -> Any:
        """1 where a number is positive, else 0; its derivative is 0."""

    def clip(self, a: Any, bound: float) -> Any:
        """A number limited to ±bound; where it reaches the bound its derivative is 0."""

    def constant(self, tree: Mapping[str, float]) -> Any:
        """The same stream at every tick."""

    def character(self, timer: Any) -> Any:
        """The character of the input string that is due when the timer shows this number, as {c: 1}, or zero."""


@dataclass(frozen=True)
class Kind:
    """A kind of neuron.

    `inputs` and `outputs` map field names to what they carry; None means any field. `memory` names an input field
    that the output merely adds (out = in[memory] + rest), so that a loop of weight 1 through it is a running sum.
    `cut` names the input fields that the truncated gradient does not pass ("*" for all). `characters` are those the
    kind emits by itself. With `trees` its formula is written for V-values of any depth, which only the interpreter has.
    """

    name: str
    inputs: Mapping[str, str] | None
    outputs: Mapping[str, str] | None
    up: Callable[[Mapping[str, Any], Ops], Mapping[str, Any]]
    memory: str | None = None
    cut: tuple[str, ...] = ()
    characters: str = ""
    trees: bool = False

    def passes_gradient(self, field: str) -> bool:
        """Whether the truncated gradient passes an input field."""
        return "*" not in self.cut and field not in self.cut


KINDS: dict[str, Kind] = {}


def kind(
    name: str, inputs: Mapping[str, str] | None, outputs: Mapping[str, str] | None, **more: Any
) -> Callable[[Callable], Callable]:
    """Decorator that registers a function (fields, ops) → fields as the kind `name`; see `Kind` for the arguments."""

    def register(up: Callable[[Mapping[str, Any], Ops], Mapping[str, Any]]) -> Callable:
        KINDS[name] = Kind(name, inputs, outputs, up, **more)
        return up

    return register


def find_kind(name: str) -> Kind:
    """The registered kind of that name; "letter a" is one for every character. Raises DMMError for others."""
    if isinstance(name, str) and name.startswith("letter ") and len(name) == 8 and name not in KINDS:
        kind(name, {}, {"char": CHARS}, characters=name[-1])(partial(_letter, name[-1]))
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


@kind("accum", {"dict-1": STREAM, "dict-2": STREAM}, {"dict": STREAM}, memory="dict-1", cut=("dict-1",))
def _accum(x: Mapping, ops: Ops) -> Mapping:
    return {"dict": ops.add(x["dict-1"], x["dict-2"])}


@kind("norm", {"dict": STREAM}, {"norm": NUMBER})
def _norm(x: Mapping, ops: Ops) -> Mapping:
    return {"norm": ops.max_norm(x["dict"])}


@kind("dot", {"dict-1": STREAM, "dict-2": STREAM}, {"dot": NUMBER})
def _dot(x: Mapping, ops: Ops) -> Mapping:
    return {"dot": ops.clip(ops.inner(x["dict-1"], x["dict-2"]), ops.dot_clip)}


@kind("compare", {"dict-1": NUMBER, "dict-2": NUMBER}, {"true": NUMBER, "false": NUMBER})
def _compare(x: Mapping, ops: Ops) -> Mapping:
    a, b = ops.number(x["dict-1"]), ops.number(x["dict-2"])
    return {"true": ops.relu(ops.difference(a, b)), "false": ops.relu(ops.difference(b, a))}


@kind("hard_compare", {"dict-1": NUMBER, "dict-2": NUMBER}, {"true": NUMBER, "false": NUMBER})
def _hard_compare(x: Mapping, ops: Ops) -> Mapping:
    a, b = ops.number(x["dict-1"]), ops.number(x["dict-2"])
    return {"true": ops.step(ops.difference(a, b)), "false": ops.step(ops.difference(b, a))}


@kind("id", None, None, cut=("*",))
def _id(x: Mapping, ops: Ops) -> Mapping:
    return dict(x)


@kind("const_1", {}, {"const_1": NUMBER})
def _const_1(x: Mapping, ops: Ops) -> Mapping:
    return {"const_1": ops.number(ops.constant({":number": 1.0}))}


@kind("eos", {}, {"char": CHARS}, characters=".")
def _eos(x: Mapping, ops: Ops) -> Mapping:
    return {"char": ops.constant({".": 1.0})}


def _letter(letter: str, x: Mapping, ops: Ops) -> Mapping:
    return {"char": ops.constant({letter: 1.0})}


@kind("timer", {"timer": NUMBER}, {"timer": NUMBER}, memory="timer")
def _timer(x: Mapping, ops: Ops) -> Mapping:
    one = ops.number(ops.constant({":number": 1.0}))
    return {"timer": ops.add(ops.number(x["timer"]), one)}


@kind("input", {"timer": NUMBER}, {"char": CHARS})
def _input(x: Mapping, ops: Ops) -> Mapping:
    return {"char": ops.character(ops.number(x["timer"]))}


@kind("output", {"dict-1": NUMBER, "dict-2": NUMBER}, {})
def _output(x: Mapping, ops: Ops) -> Mapping:
    return {}


# ---- kinds of general stream programming, on trees of any depth, which the interpreter runs ----
# Sources: arXiv:1606.09470, section 2 (masks, gates); arXiv:1712.07447, sections 4 to 7 (accumulators, Self, lists).


@kind("sum", {"dict-1": STREAM, "dict-2": STREAM}, {"dict": STREAM})
def _sum(x: Mapping, ops: Ops) -> Mapping:
    return {"dict": ops.add(x["dict-1"], x["dict-2"])}


@kind("inner", {"dict-1": STREAM, "dict-2": STREAM}, {"inner": NUMBER})
def _inner(x: Mapping, ops: Ops) -> Mapping:
    """The inner product without a governor."""
    return {"inner": ops.inner(x["dict-1"], x["dict-2"])}


@kind("mask", {"mask": STREAM, "dict": STREAM}, {"dict": STREAM}, trees=True)
def _mask(x: Mapping[str, VValue], ops: Ops) -> Mapping:
    """Every number of the mask times the subtree at its path."""
    return {"dict": mask(x["mask"], x["dict"])}


@kind("gate", {"factor": NUMBER, "dict": STREAM}, {"dict": STREAM}, trees=True)
def _gate(x: Mapping[str, VValue], ops: Ops) -> Mapping:
    """The number times the stream: what passes, and how much of it."""
    return {"dict": scale(number(x["factor"]), x["dict"])}


@kind("leaky", {"dict-1": STREAM, "dict-2": STREAM, "keep": NUMBER}, {"dict": STREAM}, trees=True)
def _leaky(x: Mapping[str, VValue], ops: Ops) -> Mapping:
    """A memory (dict-1 is its own output) that keeps a share of what it had."""
    return {"dict": scale(number(x["keep"]), x["dict-1"]) + x["dict-2"]}


@kind("squeeze", {"dict": STREAM}, {"dict": STREAM}, trees=True)
def _squeeze(x: Mapping[str, VValue], ops: Ops) -> Mapping:
    """The stream, divided by its max-norm where that is above one."""
    size = ops.max_norm(x["dict"])
    return {"dict": scale(1.0 / size, x["dict"]) if getval(size) > 1.0 else x["dict"]}


@kind("cons", {"new": STREAM, "rest": STREAM}, {"list": STREAM}, trees=True)
def _cons(x: Mapping[str, VValue], ops: Ops) -> Mapping:
    """The list {"this": new, "rest": rest}; where nothing new arrives, the rest as it is.

    A list is as deep as it is long, and Python's own stack ends at some hundreds of levels.
    """
    new, rest = x["new"], x["rest"]
    return {"list": assemble(("this", "rest"), new, rest) if len(getval(new)) else rest}


@kind("self", {"accum": STREAM, "delta": STREAM}, {"matrix": STREAM}, memory="accum", trees=True)
def _self(x: Mapping[str, VValue], ops: Ops) -> Mapping:
    """The machine's own matrix: what it was (a link of weight 1 from itself) and what is added to it."""
    return {"matrix": x["accum"] + x["delta"]}
