"""V-values: finite trees with string keys and real leaves, as a vector space that autograd can differentiate.

A V-value is a finite linear combination of paths (Bukatin & Anthony, arXiv:1712.07447, section 3). autograd has a
rule for dictionaries, but it adds them key by key and drops or rejects keys that differ; a vector space needs the
union of paths, so V-values are a type of their own, with a `VSpace` and a box.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from autograd.extend import VSpace, defjvp, defjvp_argnums, defvjp, defvjp_argnums, notrace_primitive, primitive
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import getval, isbox

from dmmlab import trees
from dmmlab.files import DMMError, parse_json
from dmmlab.trees import NUMBER


class _Algebra:
    """The operators, shared by V-values and by their traced boxes."""

    __slots__ = ()
    __array_ufunc__ = None  # so that np.float64(2) * v comes here instead of making an array of objects

    def __getitem__(self, key: str) -> float | VValue:
        found = branch(self, key)
        return number(found) if key == NUMBER or type(getval(self)._tree.get(key)) is float else found

    def __add__(self, other: Any) -> VValue:
        return add(self, other)

    __radd__ = __add__

    def __neg__(self) -> VValue:
        return scale(-1.0, self)

    def __sub__(self, other: Any) -> VValue:
        return add(self, scale(-1.0, other))

    def __rsub__(self, other: Any) -> VValue:
        return add(other, scale(-1.0, self))

    def __mul__(self, factor: float) -> VValue:
        return scale(factor, self)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> VValue:
        return scale(1.0 / divisor, self)


class VValue(_Algebra, Mapping):
    """A finite tree with string keys and real leaves: an element of a vector space (arXiv:1712.07447, section 3).
    It takes any nesting of dicts, V-values and numbers, traced ones too. `v["no such key"]` is the zero V-value; zero
    leaves and empty branches are never stored. `v["a"]` is a float at the end of a path, else a V-value. A number
    beside branches is under `":number"`. Immutable; equal by content. Raises DMMError that names the path.

    >>> dmm.VValue({"a": 1.0, "b": {"c": -4.0}}) - {"a": 1.0}
    VValue({'b': {'c': -4.0}})
    """

    __slots__ = ("_tree",)

    def __new__(cls, tree: Any = None) -> VValue:
        return _construct({} if tree is None else tree, ())

    def __iter__(self) -> Iterator[str]:
        return iter(self._tree)

    def __len__(self) -> int:
        return len(self._tree)

    def __contains__(self, key: object) -> bool:
        return key in self._tree

    def get(self, key: str, default: Any = None) -> Any:
        """The value at a key, or `default` where the path is missing."""
        return self[key] if key in self._tree else default

    def __eq__(self, other: object) -> bool:
        if isinstance(other, VValue):
            return self._tree == other._tree
        try:
            return self._tree == trees.root(trees.clean(other))
        except DMMError:
            return NotImplemented

    def __hash__(self) -> int:
        lone = trees.collapse(self._tree) or 0.0  # a V-value that equals a number hashes like it
        return hash(lone if isinstance(lone, float) else frozenset(self.leaves()))

    def __repr__(self) -> str:
        return f"VValue({self._tree!r})"

    def leaves(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Every path with its number, in the order in which the keys were given."""
        return trees.leaves(self._tree)

    def to_dict(self) -> dict:
        """The tree as plain nested dicts of floats; changing them does not change the V-value."""
        return json.loads(self.to_json())

    def to_json(self, indent: int | None = None) -> str:
        """The tree as JSON text; floats survive the round trip to the last bit."""
        return json.dumps(self._tree, indent=indent, ensure_ascii=False, default=dict)

    @classmethod
    def from_json(cls, text: str) -> VValue:
        """Read what `to_json` wrote. Raises DMMError for text that is not JSON or not a tree of finite numbers."""
        return cls(parse_json(text))

    def _repr_html_(self) -> str:
        return f'<div class="dmm-vvalue">{trees.to_html(self._tree)}</div>'


def _construct(tree: Any, path: trees.Path) -> VValue:
    if isbox(tree):
        return add(tree, VValue())
    if not _traced(tree):
        return from_tree(trees.clean(tree, path))
    plain = {key: leaf for key, leaf in tree.items() if not _traced(leaf)}
    traced = {key: leaf for key, leaf in tree.items() if key not in plain}
    trees.clean(dict.fromkeys(traced, 1.0), path)  # are the keys strings?
    if isinstance(getval(traced.get(NUMBER)), Mapping):
        raise DMMError(f"{trees.show((*path, NUMBER))}: ':number' holds a tree; it holds numbers only")
    leaves = (leaf if isbox(leaf) else _construct(leaf, (*path, key)) for key, leaf in traced.items())
    return add(from_tree(trees.clean(plain, path)), assemble(tuple(traced), *leaves))


def _traced(tree: Any, depth: int = 0) -> bool:
    """Whether a tree holds anything that autograd is tracing."""
    if isinstance(tree, VValue) or not isinstance(tree, Mapping) or depth > trees.DEPTH:
        return isbox(tree)
    return any(_traced(leaf, depth + 1) for leaf in tree.values())


def from_tree(tree: trees.Tree) -> VValue:
    """The V-value over a plain tree, which is trusted to be clean and is not copied."""
    value = object.__new__(VValue)
    value._tree = trees.root(tree)
    return value


def from_leaves(leaves: Iterable[tuple[trees.Path, float]]) -> VValue:
    """The V-value with the given (path, number) pairs; the inverse of `VValue.leaves`. Equal paths add up."""
    return from_tree(trees.grow(leaves))


def _raw(value: Any) -> trees.Tree:
    if type(value) is VValue:
        return value._tree
    return value if type(value) is float else trees.clean(value)


# ---- operations that autograd knows; numbers count as V-values of one ':number' ----


@primitive
def add(a: VValue | float, b: VValue | float) -> VValue:
    """The sum of two V-values: union of paths, leaves added. A number x counts as {":number": x}."""
    return from_tree(trees.add(_raw(a), _raw(b)))


@primitive
def scale(factor: float, v: VValue | float) -> VValue:
    """A V-value with every leaf multiplied by a number."""
    factor = _raw(factor)
    if type(factor) is not float:
        raise DMMError("a V-value is scaled by a number; for the product of two use inner(v, w)")
    return from_tree(trees.scale(factor, _raw(v)))


@primitive
def inner(a: VValue | float, b: VValue | float) -> float:
    """The inner product: the sum, over common paths, of the products of the leaves.

    >>> dmm.inner({"a": 2.0, "b": 1.0}, {"a": 3.0})
    6.0
    """
    return trees.inner(_raw(a), _raw(b))


@primitive
def mask(a: VValue | float, b: VValue | float) -> VValue:
    """Every number of the mask `a` times the whole subtree of `b` at its path; a map against a number gives zero.
    Bilinear; a number at the root of the mask scales all of `b`.

    >>> dmm.mask({"a": 2.0}, {"a": {"c": -4.0}, "b": 3.0})
    VValue({'a': {'c': -8.0}})
    """
    return from_tree(trees.mask(_raw(a), _raw(b)))


@primitive
def _common(a: VValue | float, b: VValue | float) -> VValue:
    return from_tree(trees.common(_raw(a), _raw(b)))


@primitive
def max_norm(v: VValue | float, tie_order: str | None = None) -> float:
    """The largest `|leaf|`; 0 for the zero V-value. At ties its gradient is split evenly among the tied leaves.
    With a `tie_order` it goes to the tied leaf whose key comes last in that string; keys that are not in it count as
    coming before all others, and share evenly if no other is tied.

    >>> dmm.max_norm({"a": 1.0, "b": {"c": -4.0}})
    4.0
    """
    return max((abs(leaf) for _, leaf in trees.leaves(_raw(v))), default=0.0)


@notrace_primitive
def _steepest(v: VValue | float, tie_order: str | None) -> VValue:
    leaves = list(trees.leaves(_raw(v)))
    top = max((abs(leaf) for _, leaf in leaves), default=0.0)
    tied = [(path, math.copysign(1.0, leaf)) for path, leaf in leaves if abs(leaf) == top]
    if tie_order is not None:
        ranks = [{key: i for i, key in enumerate(tie_order)}.get(path[-1], -1) for path, _ in tied]
        tied = [each for each, rank in zip(tied, ranks, strict=True) if rank == max(ranks)]
    return from_leaves((path, sign / len(tied)) for path, sign in tied)


@primitive
def number(v: VValue | float) -> float:
    """The number at the root of a V-value: its ":number" part, 0 if it has none.

    >>> dmm.number({"a": 1.0, ":number": 2.0})
    2.0
    """
    return trees.root(_raw(v)).get(NUMBER, 0.0)


@primitive
def branch(v: VValue, key: str) -> VValue:
    """The subtree at a key, always as a V-value: a leaf x comes as {":number": x}, a missing one as zero."""
    return from_tree(v._tree.get(key, 0.0))


@primitive
def assemble(keys: tuple[str, ...], *branches: VValue | float) -> VValue:
    """The V-value that has the given branches at the given keys."""
    raw = ((key, trees.collapse(trees.root(_raw(leaf)))) for key, leaf in zip(keys, branches, strict=True))
    return from_tree(trees.collapse({key: leaf for key, leaf in raw if leaf}))


def _like(x: Any, g: VValue) -> VValue | float:
    """A cotangent in the space of x: the ':number' part alone where x is a number."""
    return g if isinstance(getval(x), Mapping) else number(g)


defvjp(add, lambda ans, a, b: lambda g: _like(a, g), lambda ans, a, b: lambda g: _like(b, g))
defjvp(add, lambda g, ans, a, b: add(g, 0.0), lambda g, ans, a, b: add(g, 0.0))
defvjp(scale, lambda ans, s, v: lambda g: inner(g, v), lambda ans, s, v: lambda g: _like(v, scale(s, g)))
defjvp(scale, lambda g, ans, s, v: scale(g, v), lambda g, ans, s, v: scale(s, g))
defvjp(inner, lambda ans, a, b: lambda g: _like(a, scale(g, b)), lambda ans, a, b: lambda g: _like(b, scale(g, a)))
defjvp(inner, lambda g, ans, a, b: inner(g, b), lambda g, ans, a, b: inner(a, g))
defvjp(mask, lambda ans, a, b: lambda g: _like(a, _common(g, b)), lambda ans, a, b: lambda g: _like(b, mask(a, g)))
defjvp(mask, lambda g, ans, a, b: mask(g, b), lambda g, ans, a, b: mask(a, g))
defvjp(_common, lambda ans, a, b: lambda g: _like(a, mask(g, b)), lambda ans, a, b: lambda g: _like(b, mask(g, a)))
defjvp(_common, lambda g, ans, a, b: _common(g, b), lambda g, ans, a, b: _common(a, g))
defvjp(max_norm, lambda ans, v, tie_order=None: lambda g: _like(v, scale(g, _steepest(v, tie_order))), None)
defjvp(max_norm, lambda g, ans, v, tie_order=None: inner(g, _steepest(v, tie_order)), None)
defvjp(number, lambda ans, v: lambda g: _like(v, assemble((NUMBER,), g)))
defjvp(number, lambda g, ans, v: number(g))
defvjp(branch, lambda ans, v, key: lambda g: assemble((key,), number(g) if key == NUMBER else g), None)
defjvp(branch, lambda g, ans, v, key: branch(g, key))


defvjp_argnums(
    assemble, lambda argnums, ans, args, _: lambda g: tuple(_like(args[i], branch(g, args[0][i - 1])) for i in argnums)
)
defjvp_argnums(
    assemble, lambda argnums, tangents, *rest: assemble(tuple(rest[1][0][i - 1] for i in argnums), *tangents)
)


class VValueBox(_Algebra, ArrayBox):
    """A V-value that autograd is tracing; reads and computes like the V-value it holds.

    It derives from the box of numbers so that Python asks it first in x * v, for a traced number x.
    """

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        return iter(getval(self))

    def __len__(self) -> int:
        return len(getval(self))

    def __contains__(self, key: object) -> bool:
        return key in getval(self)

    def __eq__(self, other: object) -> bool:
        return getval(self) == getval(other)

    __hash__ = ArrayBox.__hash__

    def keys(self) -> list[str]:
        """The keys of the V-value."""
        return list(self)

    def items(self) -> list[tuple[str, Any]]:
        """Keys with what `v[key]` gives, traced."""
        return [(key, self[key]) for key in self]


class VValueSpace(VSpace):
    """The space of all V-values for autograd, of no fixed dimension; ones and random vectors have `value`'s paths."""

    __slots__ = ("value",)

    def __init__(self, value: VValue) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    __hash__ = VSpace.__hash__

    @property
    def size(self) -> int:
        return sum(1 for _ in self.value.leaves())

    def zeros(self) -> VValue:
        return VValue()

    def ones(self) -> VValue:
        return from_leaves((path, 1.0) for path, _ in self.value.leaves())

    def randn(self) -> VValue:
        return from_leaves((path, np.random.randn()) for path, _ in self.value.leaves())

    def _add(self, x: VValue, y: VValue) -> VValue:
        return from_tree(trees.add(x._tree, y._tree))

    _mut_add = _add

    def _scalar_mul(self, x: VValue, a: float) -> VValue:
        return from_tree(trees.scale(float(a), x._tree))

    def _inner_prod(self, x: VValue, y: VValue) -> float:
        return trees.inner(x._tree, y._tree)


VValueBox.register(VValue)
VValueSpace.register(VValue)
