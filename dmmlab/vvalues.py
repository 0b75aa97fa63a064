"""V-values: finite trees with string keys and real leaves, which are the elements of a vector space.

A V-value is a finite linear combination of paths (Bukatin & Anthony, arXiv:1712.07447, section 3). autograd has a
rule for dictionaries, but it adds them key by key and drops or rejects keys that differ; a vector space needs the
union of paths, so V-values are a type of their own. Their derivatives are in `dmmlab.differentiation`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from autograd.extend import primitive
from autograd.tracer import getval

from dmmlab import trees
from dmmlab.files import DMMError, parse_json
from dmmlab.trees import NUMBER, Path, Tree


class Algebra(Mapping):
    """Reading and arithmetic, shared by V-values and their traced boxes; `tree` is the plain tree, a mapping."""

    __slots__ = ()
    __array_ufunc__ = None  # so that np.float64(2) * v comes here instead of making an array of objects
    tree: Mapping

    def __getitem__(self, key: str) -> VValue:
        return branch(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tree)

    def __len__(self) -> int:
        return len(self.tree)

    def __contains__(self, key: object) -> bool:
        return key in self.tree

    def get(self, key: str, default: Any = None) -> Any:
        """The V-value at a key, or `default` where the path is missing."""
        return self[key] if key in self.tree else default

    def to_dict(self) -> dict:
        """The tree as plain nested dicts of numbers, traced ones where autograd traces; changing them does not change
        the V-value.
        """
        tree: dict = {}
        for path, leaf in self.leaves():
            below = tree
            for key in path[:-1]:
                below = below.setdefault(key, {})
            below[path[-1]] = leaf
        return tree

    def to_json(self, indent: int | None = None) -> str:
        """The tree as JSON text; floats survive the round trip to the last bit. Raises DMMError for what `from_json`
        would refuse: a number that is not finite, and a tree too deep.
        """
        trees.clean(self.tree)
        return json.dumps(self.tree, indent=indent, ensure_ascii=False, default=dict)

    def __eq__(self, other: object) -> bool:
        try:
            return self.tree == trees.root(tree_of(getval(other)))
        except DMMError:
            return NotImplemented

    def __hash__(self) -> int:
        lone = trees.collapse(self.tree) or 0.0  # what equals a number hashes like it
        return hash(lone if isinstance(lone, float) else frozenset(trees.leaves(lone)))

    def __add__(self, other: Any) -> VValue:
        return add(self, other)

    __radd__ = __add__

    def __neg__(self) -> VValue:
        return scale(-1.0, self)

    def __sub__(self, other: Any) -> VValue:
        return self + scale(-1.0, other)

    def __rsub__(self, other: Any) -> VValue:
        return -self + other

    def __mul__(self, factor: float) -> VValue:
        return scale(factor, self)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> VValue:
        return self * (1.0 / divisor)


class VValue(Algebra):
    """A finite tree with string keys and real leaves: an element of a vector space (arXiv:1712.07447, section 3).
    It takes any nesting of dicts, V-values and numbers, traced ones too; zero leaves and empty branches are never
    stored. `v["a"]` is always a V-value, the zero one where there is no such key. At the end of a path it is a number:
    it equals it, can be formatted like it, and `float(v["a"])` is it (`dmm.number(v["a"])` where autograd traces). A
    number beside branches is under `":number"`. Immutable; equal by content. Raises DMMError that names the path.

    >>> dmm.VValue({"a": 1.0, "b": {"c": -4.0}}) - {"a": 1.0}
    VValue({'b': {'c': -4.0}})
    """

    __slots__ = ("tree",)

    def __new__(cls, tree: Any = None) -> VValue:
        traced: list[tuple[Path, Any]] = []
        value = from_tree(trees.clean({} if tree is None else tree, traced=traced))
        for path, below in traced:
            for key in reversed(path):
                below = place(below, key)
            value = add(value, below)
        return value

    def __float__(self) -> float:
        return self.tree.get(NUMBER, 0.0)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(float(self), dtype)

    def __repr__(self) -> str:
        return f"VValue({trees.collapse(self.to_dict())!r})"

    def __format__(self, form: str) -> str:
        return format(float(self) if form and self == float(self) else repr(self), form)

    def leaves(self) -> Iterator[tuple[Path, float]]:
        """Every path with its number, in the order in which the keys were given."""
        return trees.leaves(self.tree)

    @classmethod
    def from_json(cls, text: str) -> VValue:
        """Read what `to_json` wrote. Raises DMMError for text that is not JSON or not a tree of finite numbers."""
        return cls(parse_json(text))

    def _repr_html_(self) -> str:
        return f'<div class="dmm-vvalue">{trees.to_html(trees.collapse(self.tree))}</div>'


def from_tree(tree: Tree) -> VValue:
    """The V-value over a plain tree, which is trusted to be clean and is not copied."""
    value = object.__new__(VValue)
    value.tree = trees.root(tree)
    return value


def from_leaves(leaves: Iterable[tuple[Path, float]]) -> VValue:
    """The V-value with the given (path, number) pairs; the inverse of `VValue.leaves`. Equal paths add up."""
    tree: dict = {}
    for path, leaf in leaves:
        below = tree
        for key in path:
            if key != NUMBER:
                below = below.setdefault(key, {})
        below[NUMBER] = below.get(NUMBER, 0.0) + float(leaf)
    return from_tree(trees.scale(1.0, tree))  # without zeros and empty branches


def tree_of(value: Any) -> Tree:
    """The plain tree of a V-value, or of what counts as one: a number, or a nesting of mappings and numbers."""
    if type(value) is VValue:
        return value.tree
    return value if type(value) is float else trees.clean(value)


# ---- operations that autograd knows; numbers count as V-values of one ':number' ----


@primitive
def add(a: VValue | float, b: VValue | float) -> VValue:
    """The sum of two V-values: union of paths, leaves added. A number x counts as {":number": x}."""
    return from_tree(trees.add(tree_of(a), tree_of(b)))


@primitive
def scale(factor: float, v: VValue | float) -> VValue:
    """A V-value with every leaf multiplied by a number."""
    factor = tree_of(factor)
    if type(factor) is not float:
        raise DMMError("a V-value is scaled by a number, such as float(v); for the product of two use inner(v, w)")
    return from_tree(trees.scale(factor, tree_of(v)))


@primitive
def inner(a: VValue | float, b: VValue | float) -> float:
    """The inner product: the sum, over common paths, of the products of the leaves.

    >>> dmm.inner({"a": 2.0, "b": 1.0}, {"a": 3.0})
    6.0
    """
    return trees.inner(tree_of(a), tree_of(b))


@primitive
def mask(a: VValue | float, b: VValue | float) -> VValue:
    """Every number of the mask `a` times the whole subtree of `b` at its path; a map against a number gives zero.
    Bilinear; a number at the root of the mask scales all of `b`.

    >>> dmm.mask({"a": 2.0}, {"a": {"c": -4.0}, "b": 3.0})
    VValue({'a': {'c': -8.0}})
    """
    return from_tree(trees.mask(tree_of(a), tree_of(b)))


@primitive
def max_norm(v: VValue | float, tie_order: str | None = None) -> float:
    """The largest `|leaf|`; 0 for the zero V-value. At ties its gradient is split evenly among the tied leaves.
    With a `tie_order` it goes to the tied leaf whose key comes last in that string; keys that are not in it count as
    coming before all others, and share evenly if no other is tied.

    >>> dmm.max_norm({"a": 1.0, "b": {"c": -4.0}})
    4.0
    """
    return max((abs(leaf) for _, leaf in trees.leaves(tree_of(v))), default=0.0)


def number(v: VValue | float) -> float:
    """The number at the root of a V-value: its ":number" part, 0 if it has none. As float(v), but differentiable.

    >>> dmm.number({"a": 1.0, ":number": 2.0})
    2.0
    """
    return inner(v, 1.0)


@primitive
def branch(v: VValue, key: str) -> VValue:
    """The subtree at a key; a missing one is zero."""
    return from_tree(v.tree.get(key, 0.0))


@primitive
def place(v: VValue | float, key: str) -> VValue:
    """The V-value that has `v` at a key, and nothing else."""
    return from_tree(trees.clean({key: v}))
