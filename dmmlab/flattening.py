"""V-values as vectors, where autograd wants one: in `flatten`, and so in its optimizers, in `jacobian` and `hessian`.

A V-value is the vector of its leaves, in their order. Its gradient may have other paths, and lack some: a V-value that
comes out of a vector remembers the paths of the vector, and gives them to its gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from autograd.differential_operators import jacobian
from autograd.extend import def_linear, defvjp, primitive
from autograd.misc import flatten
from autograd.tracer import getval

from dmmlab.differentiation import VValueBox, VValueSpace, from_vector, leaf_vector
from dmmlab.trees import Path
from dmmlab.vvalues import VValue


class Framed(VValue):
    """A V-value with a list of paths, where it may be zero: what autograd's `flatten` makes a vector of, in that order.

    So a point and its gradient have the same length, as its optimizers want. Sums and multiples keep the list.
    """

    __slots__ = ("paths",)

    def __new__(cls, value: VValue | None = None, paths: tuple[Path, ...] = ()) -> Framed:
        framed = object.__new__(cls)
        framed.tree, framed.paths = {} if value is None else value.tree, paths
        return framed


class Entered(Framed):
    """The same while autograd traces it."""

    __slots__ = ()


def _keep_paths(operator: Callable) -> Callable:
    def operate(framed: Framed, *others: Any) -> VValue:
        result = operator(framed, *others)
        return Framed(result, framed.paths) if type(result) is VValue else result

    return operate


for _name in ("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__neg__"):
    setattr(Framed, _name, _keep_paths(getattr(VValue, _name)))


@primitive
def frame(v: VValue, paths: tuple[Path, ...]) -> Framed:
    """What a V-value has at these paths, which it keeps."""
    return Framed(from_vector(leaf_vector(v, paths), paths), paths)


@primitive
def enter(v: VValue, paths: tuple[Path, ...]) -> Entered:
    """The same V-value; its gradient is framed."""
    return Entered(v, paths)


def_linear(frame)
defvjp(frame, lambda ans, v, paths: lambda g: enter(g, paths), None)
def_linear(enter)
defvjp(enter, lambda ans, v, paths: lambda g: frame(g, paths), None)

VValueSpace.register(Framed)
VValueSpace.register(Entered)
VValueBox.register(Entered)
VValueBox.type_mappings[Framed] = lambda v, trace, node: enter(VValueBox(v, trace, node), v.paths)


def _paths_of(v: VValue) -> tuple[Path, ...]:
    v = getval(v)
    return v.paths if isinstance(v, Framed) else tuple(path for path, _ in v.leaves())


def _with_values(of_others: Callable) -> Callable:
    """What makes a vector of nested containers, for those too that have V-values in them."""

    def make_vector(value: Any) -> np.ndarray:
        if not isinstance(getval(value), VValue):
            return of_others(value)
        paths = _paths_of(value)
        return leaf_vector(enter(value, paths), paths)

    return make_vector


def _of_leaves(of_arrays: Callable) -> Callable:
    """The jacobian of autograd, for which V-values, given and returned ones, are the vectors of their leaves."""

    def jacobian(fun: Callable, x: Any) -> np.ndarray:
        flat, unflatten = flatten(x) if isinstance(x, VValue | VValueBox) else (x, lambda x: x)

        def of_vector(flat: np.ndarray) -> np.ndarray:
            answer = fun(unflatten(flat))
            return flatten(answer)[0] if isinstance(answer, VValue | VValueBox) else answer

        return of_arrays(of_vector, flat)

    return jacobian


# autograd has no place to register these; as it is done here, those who imported its functions before have them too.
_module = import_module("autograd.misc.flatten")
_module._flatten = _with_values(_module._flatten)
_cell = jacobian.__closure__[jacobian.__code__.co_freevars.index("unary_operator")]
_cell.cell_contents = _of_leaves(_cell.cell_contents)
