"""What autograd must know of V-values: the derivatives of their operations, the box that traces one, and their space.

The space has no fixed dimension: a derivative may have paths that its V-value has not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from autograd.extend import VSpace, def_linear, defjvp, defvjp, primitive
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import getval

from dmmlab import trees, vvalues
from dmmlab.trees import NUMBER, Path
from dmmlab.vvalues import VValue, add, branch, from_leaves, from_tree, inner, mask, max_norm, place, scale, tree_of


def def_bilinear(operation: Callable, adjoint_a: Callable, adjoint_b: Callable) -> None:
    """Tell autograd the derivatives of operation(a, b), which is linear in each of both.

    Where g is a cotangent of the result, adjoint_a(g, b) is that of a, and adjoint_b(g, a) that of b.
    """
    def_linear(operation)
    defvjp(
        operation,
        lambda ans, a, b: lambda g: _to_space_of(a, adjoint_a(g, b)),
        lambda ans, a, b: lambda g: _to_space_of(b, adjoint_b(g, a)),
    )


def _to_space_of(x: Any, g: VValue | float) -> VValue | float:
    """A cotangent in the space of x: the ':number' part alone where x is a number."""
    return g if isinstance(getval(x), Mapping) else vvalues.number(g)


@primitive
def _mask_adjoint(a: VValue | float, b: VValue | float) -> VValue:
    return from_tree(trees.mask_adjoint(tree_of(a), tree_of(b)))


def _max_norm_subgradient(v: VValue | float, tie_order: str | None) -> VValue:
    v, places = getval(v), {key: i for i, key in enumerate(tie_order or "")}
    leaves, top = trees.leaves(tree_of(v)), max_norm(v)
    tied = [(places.get(path[-1], -1), path, leaf) for path, leaf in leaves if abs(leaf) == top]
    last = max((place for place, _, _ in tied), default=-1)
    chosen = [(path, leaf) for place, path, leaf in tied if place == last]
    return from_leaves((path, math.copysign(1.0 / len(chosen), leaf)) for path, leaf in chosen)


def_bilinear(scale, inner, lambda g, factor: scale(factor, g))
def_bilinear(inner, scale, scale)
def_bilinear(mask, _mask_adjoint, lambda g, a: mask(a, g))
def_bilinear(_mask_adjoint, mask, mask)

def_linear(branch)
defvjp(branch, lambda ans, v, key: lambda g: place(vvalues.number(g) if key == NUMBER else g, key), None)

def_linear(place)
defvjp(place, lambda ans, v, key: lambda g: _to_space_of(v, branch(g, key)), None)

defjvp(add, lambda g, ans, a, b: add(g, 0.0), lambda g, ans, a, b: add(g, 0.0))
defvjp(add, lambda ans, a, b: lambda g: _to_space_of(a, g), lambda ans, a, b: lambda g: _to_space_of(b, g))

defjvp(max_norm, lambda g, ans, v, tie_order=None: inner(g, _max_norm_subgradient(v, tie_order)), None)
defvjp(
    max_norm,
    lambda ans, v, tie_order=None: lambda g: _to_space_of(v, scale(g, _max_norm_subgradient(v, tie_order))),
    None,
)


@primitive
def leaf_vector(v: VValue, paths: tuple[Path, ...]) -> np.ndarray:
    """The numbers of a V-value at these paths, (paths,)."""
    return np.array([_read(tree_of(v), path) for path in paths], float)


def _read(tree: trees.Tree, path: Path) -> float:
    for key in (*path, NUMBER):
        tree = trees.root(tree).get(key, 0.0)
    return tree


@primitive
def from_vector(numbers: np.ndarray, paths: tuple[Path, ...]) -> VValue:
    """The V-value that has these numbers at these paths; the transpose of `leaf_vector`."""
    return from_leaves(zip(paths, numbers, strict=True))


for _operation, _transpose in ((leaf_vector, from_vector), (from_vector, leaf_vector)):
    def_linear(_operation)
    defvjp(_operation, lambda ans, v, paths, transpose=_transpose: lambda g: transpose(g, paths), None)


class VValueBox(vvalues.Algebra, ArrayBox):
    """A V-value that autograd is tracing; reads and computes like the V-value it holds.

    It derives from the box of numbers so that Python asks it first in x * v, for a traced number x.
    """

    __slots__ = ()

    @property
    def tree(self) -> Mapping:
        """The plain tree of the V-value."""
        return getval(self).tree

    def leaves(self) -> Iterator[tuple[Path, Any]]:
        """Every path with its number, traced."""
        paths = tuple(path for path, _ in trees.leaves(self.tree))
        return zip(paths, leaf_vector(self, paths), strict=True)


def _leave_to_vvalues(operator: Callable) -> Callable:
    """Python asks the operand on the left first: a traced number, which knows arrays, would not know what to do."""
    return lambda x, other: NotImplemented if isinstance(other, VValue) else operator(x, other)


for _name in ("__add__", "__sub__", "__mul__", "__truediv__", "__eq__", "__ne__"):
    setattr(ArrayBox, _name, _leave_to_vvalues(getattr(ArrayBox, _name)))


class VValueSpace(VSpace):
    """The space of all V-values for autograd, of no fixed dimension; ones and random vectors have `value`'s paths."""

    __slots__ = ("value",)

    def __init__(self, value: VValue) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    @property
    def size(self) -> int:
        return len(list(self.value.leaves()))

    def zeros(self) -> VValue:
        return 0.0 * self.value

    def ones(self) -> VValue:
        return from_leaves((path, 1.0) for path, _ in self.value.leaves())

    def randn(self) -> VValue:
        return from_leaves((path, np.random.randn()) for path, _ in self.value.leaves())

    def _inner_prod(self, x: VValue, y: VValue) -> float:
        return inner(x, y)


VValueBox.register(VValue)
VValueSpace.register(VValue)
