"""Two walks on graphs of names: what can be reached, and what goes round in circles."""

from __future__ import annotations

from collections.abc import Iterable


def reached(start: Iterable[str], steps: Iterable[tuple[str, str]]) -> set[str]:
    """All names that steps (from, to) lead to, those at the start included."""
    after: dict[str, set[str]] = {}
    for a, b in steps:
        after.setdefault(a, set()).add(b)
    found = {*start}
    waiting = [*found]
    while waiting:
        new = after.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def components(sources: dict[str, list[str]]) -> list[list[str]]:
    """The strongly connected components of a graph name → names it reads, each after all those it reads from.

    Tarjan 1972, with a stack of its own, for machines are deeper than Python's.
    """
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: list[str] = []
    done: set[str] = set()
    found: list[list[str]] = []
    for root in sources:
        path = [] if root in number else [(root, iter(sources[root]))]
        while path:
            name, rest = path[-1]
            if name not in number:
                number[name] = lowest[name] = len(number)
                waiting.append(name)
            for source in rest:
                if source not in number:
                    path.append((source, iter(sources[source])))
                    break
                if source not in done:
                    lowest[name] = min(lowest[name], number[source])
            else:
                path.pop()
                if path:
                    lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[name])
                if lowest[name] == number[name]:
                    start = waiting.index(name)
                    found.append(waiting[start:])
                    done.update(found[-1])
                    del waiting[start:]
    return found
