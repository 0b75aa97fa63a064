"""Plain trees: the arithmetic under V-values, on nested dicts with string keys and float leaves.

Every tree here is a float, or a mapping of such trees that holds no zero, no empty one, and no lone ':number': a number
at the end of a path is itself. At its root a tree may also be in the form that a V-value keeps, which is always a
mapping (see `root`): a dict, or, where something small was added to something large, a `Layered` one.
"""

from __future__ import annotations

import html
import numbers
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from autograd.tracer import isbox

from dmmlab.files import DMMError
from dmmlab.persistent import Layered

NUMBER = ":number"  # the reserved key of a number that stands beside branches

DEPTH = 250  # levels of a tree; Python's own stack ends at a few times that

LARGE = 128  # branches from which on a sum shares what it can

Tree = float | Mapping
Path = tuple[str, ...]


def clean(tree: Any, path: Path = (), traced: list[tuple[Path, Any]] | None = None) -> Tree:
    """A plain tree from any nesting of mappings and numbers. Raises DMMError that names the path of what is neither.

    What autograd traces is left out, and put into the list `traced` with its path; without that list it is refused.
    """
    where = " / ".join(path) or "the root"
    if isbox(tree):
        if traced is None:
            raise DMMError(f"{where}: autograd traces this; make the whole a V-value first, by dmm.VValue")
        traced.append((path, tree))
        return 0.0
    if hasattr(tree, "tree"):  # a V-value: it is clean
        return collapse(tree.tree)
    if getattr(tree, "shape", None) == ():
        tree = tree.item()
    if isinstance(tree, numbers.Real) and not isinstance(tree, bool):
        if not abs(tree) <= sys.float_info.max:
            raise DMMError(f"{where}: {tree if isinstance(tree, float) else 'number'} is not finite as a float")
        return float(tree)
    if len(path) > DEPTH:
        raise DMMError(f"{' / '.join(path[:3])} / …: nested deeper than {DEPTH} levels; flatten it")
    if not isinstance(tree, Mapping):
        raise DMMError(f"{where}: a {type(tree).__name__} is no V-value; use numbers and dicts with string keys")
    kept = {}
    for key, value in tree.items():
        if not isinstance(key, str):
            raise DMMError(f"{where}: key {key!r} is not a string; write it as one")
        if leaf := clean(value, (*path, key), traced):
            kept[key] = leaf
    if type(kept.get(NUMBER, 0.0)) is not float:
        raise DMMError(f"{where} / :number: holds a tree; it holds numbers only")
    return collapse(kept)


def collapse(tree: Tree) -> Tree:
    """A lone ':number' as the number itself."""
    lone = type(tree) is not float and len(tree) == 1 and NUMBER in tree
    return tree[NUMBER] if lone else tree


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
        return collapse(a or b)
    a, b = root(a), root(b)
    if len(a) < LARGE <= len(b):
        a, b = b, a
    total = Layered(a) if len(a) >= LARGE > len(b) else dict(a)
    for key, leaf in b.items():
        leaf = add(total.get(key, 0.0), leaf)
        if leaf:
            total[key] = leaf
        else:
            del total[key]
    return collapse(total)


def scale(factor: float, tree: Tree) -> Tree:
    """Every leaf times a number; leaves that are zero then, and branches that are empty, are dropped."""
    if type(tree) is float:
        return factor * tree
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
    b = root(b)
    return add(scale(a[NUMBER], b) if NUMBER in a else 0.0, _at_common_keys(mask, a, b))


def mask_adjoint(a: Tree, b: Tree) -> Tree:
    """At the end of every path that both have, the inner product of what they have there."""
    return add(_at_common_keys(mask_adjoint, root(a), root(b)), inner(a, b))


def _at_common_keys(operate: Callable[[Tree, Tree], Tree], a: Mapping, b: Mapping) -> Tree:
    return {key: leaf for key in a if key != NUMBER and key in b and (leaf := operate(a[key], b[key]))}


def leaves(tree: Tree, path: Path = ()) -> Iterator[tuple[Path, float]]:
    """Every path with its number, in the order of the keys."""
    for key, leaf in root(tree).items():
        if isinstance(leaf, (dict, Layered)):
            yield from leaves(leaf, (*path, key))
        else:
            yield (*path, key), leaf


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
