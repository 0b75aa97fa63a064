"""Plain trees: the arithmetic under V-values, on nested dicts with string keys and float leaves.

Every tree here is a float, or a mapping of such trees that holds no zero, no empty one, and no lone ':number': a number
at the end of a path is itself. `root` gives the form that a V-value keeps, which is always a mapping: a dict, or, where
something small was added to something large, a `Layered` one that shares what did not change.
"""

from __future__ import annotations

import html
import numbers
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dmmlab.files import DMMError

NUMBER = ":number"  # the reserved key of a number that stands beside branches

DEPTH = 250  # levels of a tree; Python's own stack ends at a few times that

LARGE = 128  # branches from which on a sum shares what it can

Tree = float | Mapping
Path = tuple[str, ...]


class Layered(Mapping):
    """A large mapping under a small patch (None: the key is gone): sums of large and small take time for the small.

    A patch is folded into a new base when it has grown to the square root of it. Keys stand in the larger one's order.
    """

    __slots__ = ("base", "patch", "size")

    def __init__(self, below: Mapping) -> None:
        if isinstance(below, Layered) and len(below.patch) ** 2 < len(below.base):
            self.base, self.patch, self.size = below.base, dict(below.patch), below.size
        else:
            self.base, self.patch, self.size = dict(below), {}, len(below)

    def __getitem__(self, key: str) -> Tree:
        leaf = self.patch[key] if key in self.patch else self.base[key]
        if leaf is None:
            raise KeyError(key)
        return leaf

    def __contains__(self, key: object) -> bool:
        return self.patch[key] is not None if key in self.patch else key in self.base

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[str]:
        yield from (key for key in self.base if self.patch.get(key, 0.0) is not None)
        yield from (key for key, leaf in self.patch.items() if leaf is not None and key not in self.base)

    def __repr__(self) -> str:
        return repr(dict(self))

    def put(self, key: str, leaf: Tree | None) -> None:
        """Set or, with None, remove a branch; for whoever made this mapping, before it is handed on."""
        self.size += (leaf is not None) - (key in self)
        self.patch[key] = leaf


def clean(tree: Any, path: Path = ()) -> Tree:
    """A tree from any nesting of mappings and numbers. Raises DMMError that names the path of what is neither."""
    if getattr(tree, "shape", None) == ():
        tree = tree.item()
    if isinstance(tree, numbers.Real) and not isinstance(tree, bool):
        if not abs(tree) <= sys.float_info.max:
            raise DMMError(f"{show(path)}: {tree if isinstance(tree, float) else 'number'} is not finite as a float")
        return float(tree)
    if len(path) > DEPTH:
        raise DMMError(f"{show(path[:3])} / …: nested deeper than {DEPTH} levels; flatten it")
    if not isinstance(tree, Mapping):
        raise DMMError(f"{show(path)}: a {type(tree).__name__} is no V-value; use numbers and dicts with string keys")
    kept = {}
    for key, value in tree.items():
        if not isinstance(key, str):
            raise DMMError(f"{show(path)}: key {key!r} is not a string; write it as one")
        leaf = clean(value, (*path, key))
        if key == NUMBER and type(leaf) is not float and leaf:
            raise DMMError(f"{show((*path, key))}: ':number' holds a tree; it holds numbers only")
        if leaf:
            kept[key] = leaf
    return collapse(kept)


def show(path: Path) -> str:
    """A path as error messages name it."""
    return " / ".join(path) or "the root"


def collapse(tree: Mapping) -> Tree:
    """A lone ':number' as the number itself."""
    return tree[NUMBER] if len(tree) == 1 and NUMBER in tree else tree


def root(tree: Tree) -> Mapping:
    """The same tree as a mapping: a number x as {":number": x}, zero as {}."""
    if type(tree) is not float:
        return tree
    return {NUMBER: tree} if tree else {}


def add(a: Tree, b: Tree) -> Tree:
    """The sum: the union of paths with leaves added; what cancels is dropped."""
    if type(a) is float and type(b) is float:
        return a + b
    if not a or not b:
        kept = a or b
        return kept if type(kept) is float else collapse(kept)
    a, b = root(a), root(b)
    if len(a) < LARGE <= len(b):
        a, b = b, a
    shared = len(a) >= LARGE > len(b)
    total = Layered(a) if shared else dict(a)
    for key, leaf in b.items():
        leaf = add(total[key], leaf) if key in total else leaf
        if shared:
            total.put(key, leaf or None)
        elif leaf:
            total[key] = leaf
        else:
            del total[key]
    return collapse(total)


def scale(factor: float, tree: Tree) -> Tree:
    """Every leaf times a number; leaves that underflow to zero are dropped."""
    if type(tree) is float:
        return factor * tree
    if factor == 1.0:
        return collapse(tree)
    return collapse({key: leaf for key, branch in tree.items() if (leaf := scale(factor, branch))})


def inner(a: Tree, b: Tree) -> float:
    """The sum, over common paths, of the products of the leaves."""
    if type(a) is float and type(b) is float:
        return a * b
    a, b = root(a), root(b)
    if len(a) > len(b):
        a, b = b, a
    return sum((inner(leaf, b[key]) for key, leaf in a.items() if key in b), 0.0)


def mask(a: Tree, b: Tree) -> Tree:
    """Every number of `a` times the subtree of `b` at its path; where only `a` branches there is zero."""
    if type(a) is float:
        return scale(a, b)
    below = {}
    if type(b) is not float:
        common = (key for key in a if key != NUMBER and key in b)
        below = {key: leaf for key in common if (leaf := mask(a[key], b[key]))}
    return add(scale(a[NUMBER], b) if NUMBER in a else 0.0, collapse(below))


def common(a: Tree, b: Tree) -> Tree:
    """At the end of every path that both have, the inner product of what they have there; the adjoint of `mask`."""
    total, a, b = inner(a, b), root(a), root(b)
    below = {key: leaf for key in a if key != NUMBER and key in b and (leaf := common(a[key], b[key]))}
    return collapse({**below, NUMBER: total} if total else below)


def leaves(tree: Tree, path: Path = ()) -> Iterator[tuple[Path, float]]:
    """Every path with its number, in the order of the keys."""
    for key, leaf in root(tree).items():
        if isinstance(leaf, (dict, Layered)):
            yield from leaves(leaf, (*path, key))
        else:
            yield (*path, key), leaf


def grow(pairs: Iterable[tuple[Path, float]]) -> Tree:
    """The tree with the given paths and numbers: the inverse of `leaves`. Numbers at the same path add up."""
    tree: Tree = {}
    for path, leaf in pairs:
        below = tree
        for key in path[:-1]:
            step = below.get(key)
            if not isinstance(step, dict):
                step = below[key] = {} if step is None else {NUMBER: step}
            below = step
        last = path[-1]
        while isinstance(below.get(last), dict):
            below, last = below[last], NUMBER
        below[last] = below.get(last, 0.0) + float(leaf)
    return prune(tree)


def prune(tree: Tree) -> Tree:
    """Drop zeros and empty branches."""
    if type(tree) is float:
        return tree
    return collapse({key: leaf for key, branch in tree.items() if (leaf := prune(branch))})


def to_html(tree: Tree) -> str:
    """A tree as nested HTML lists, its names escaped."""
    if type(tree) is float:
        return f"<code>{tree:.6g}</code>"
    rows = []
    for key, leaf in tree.items():
        name = f"<code>{html.escape(key)}</code>"
        if type(leaf) is not float:
            rows.append(f"<li><details open><summary>{name}</summary>{to_html(leaf)}</details></li>")
        else:
            rows.append(f"<li>{name} {to_html(leaf)}</li>")
    return f"<ul>{''.join(rows)}</ul>" if rows else "<em>zero</em>"
