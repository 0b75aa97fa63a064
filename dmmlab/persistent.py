"""A persistent map: what is small and is added to something large takes time and memory for the small."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class Layered(Mapping):
    """A large mapping under a small patch, in which what was removed is None; whoever makes one may change it first.

    One made from another shares its base and copies its patch, until the patch has grown to the square root of the
    base: then both become a new base. Keys stand in the order of the base, new ones after them.
    """

    __slots__ = ("base", "patch", "size")

    def __init__(self, below: Mapping) -> None:
        self.base, self.patch, self.size = below, {}, len(below)
        if isinstance(below, Layered):
            grown = len(below.patch) ** 2 >= len(below.base)
            self.base, self.patch = (below.merged(), {}) if grown else (below.base, dict(below.patch))

    def merged(self) -> dict:
        """The whole as a dict."""
        return {key: value for key, value in {**self.base, **self.patch}.items() if value is not None}

    def __getitem__(self, key: str) -> Any:
        value = self.patch.get(key, self.base.get(key))
        if value is None:
            raise KeyError(key)
        return value

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[str]:
        return iter(self.merged())

    def __setitem__(self, key: str, value: Any) -> None:
        self.size += (value is not None) - (key in self)
        self.patch[key] = value

    def __delitem__(self, key: str) -> None:
        self[key] = None
