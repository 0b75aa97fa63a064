"""Kinds of general stream programming, on trees of any depth; the interpreter runs them.

Each is a function of V-values, differentiable where it is continuous. Sources: arXiv:1606.09470, section 2 (masks,
gates, max-norms), arXiv:1712.07447, sections 4 to 7 (accumulators, Self, lists as trees). A kind of your own is one
decorated function; no file can name a function that was not registered here or by you.
"""

from __future__ import annotations

from collections.abc import Mapping

from autograd.tracer import getval

from dmmlab.neurons import NUMBER, STREAM, Ops, kind
from dmmlab.vvalues import VValue, assemble, mask, number, scale


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
