"""Plain trees: the arithmetic under V-values, on nested dicts with string keys and float leaves.

Every tree here is a float, or a dict of such trees that holds no zero, no empty dict, and no lone ':number': a number
at the end of a path is itself. `root` gives the form that a V-value keeps, which is always a dict.
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

Tree = float | dict
Path = tuple[str, ...]


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
        if key == NUMBER and isinstance(leaf, dict) and leaf:
            raise DMMError(f"{show((*path, key))}: ':number' holds a tree; it holds numbers only")
        if leaf:
            kept[key] = leaf
    return collapse(kept)


def show(path: Path) -> str:
    """A path as error messages name it."""
    return " / ".join(path) or "the root"


def collapse(tree: dict) -> Tree:
    """A lone ':number' as the number itself."""
    return tree[NUMBER] if len(tree) == 1 and NUMBER in tree else tree


def root(tree: Tree) -> dict:
    """The same tree as a dict: a number x as {":number": x}, zero as {}."""
    if isinstance(tree, dict):
        return tree
    return {NUMBER: tree} if tree else {}


def add(a: Tree, b: Tree) -> Tree:
    """The sum: the union of paths with leaves added; what cancels is dropped."""
    if not isinstance(a, dict) and not isinstance(b, dict):
        return a + b
    total = dict(root(a))
    for key, leaf in root(b).items():
        leaf = add(total[key], leaf) if key in total else leaf
        if leaf:
            total[key] = leaf
        else:
            del total[key]
    return collapse(total)


def scale(factor: float, tree: Tree) -> Tree:
    """Every leaf times a number; leaves that underflow to zero are dropped."""
    if not isinstance(tree, dict):
        return factor * tree
    return collapse({key: leaf for key, branch in tree.items() if (leaf := scale(factor, branch))})


def inner(a: Tree, b: Tree) -> float:
    """The sum, over common paths, of the products of the leaves."""
    if not isinstance(a, dict) and not isinstance(b, dict):
        return a * b
    a, b = root(a), root(b)
    return sum((inner(leaf, b[key]) for key, leaf in a.items() if key in b), 0.0)


def leaves(tree: Tree, path: Path = ()) -> Iterator[tuple[Path, float]]:
    """Every path with its number, in the order of the keys."""
    for key, leaf in root(tree).items():
        if isinstance(leaf, dict):
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
        below[last] = below.get(last, 0.0) + leaf
    return prune(tree)


def prune(tree: Tree) -> Tree:
    """Drop zeros and empty branches."""
    if not isinstance(tree, dict):
        return tree
    return collapse({key: leaf for key, branch in tree.items() if (leaf := prune(branch))})


def to_html(tree: Tree) -> str:
    """A tree as nested HTML lists, its names escaped."""
    if not isinstance(tree, dict):
        return f"<code>{tree:.6g}</code>"
    rows = []
    for key, leaf in tree.items():
        name = f"<code>{html.escape(key)}</code>"
        if isinstance(leaf, dict):
            rows.append(f"<li><details open><summary>{name}</summary>{to_html(leaf)}</details></li>")
        else:
            rows.append(f"<li>{name} {to_html(leaf)}</li>")
    return f"<ul>{''.join(rows)}</ul>" if rows else "<em>zero</em>"
