"""Figures as plain data: the calls that drew them, kept as JSON and drawn again at any width.

Computing takes minutes, drawing must not. So a figure of the house writes down every call that is made to it or to its
axes; a notebook keeps this *recipe* in its output, and `dmmlab figures` draws from it.
"""

from __future__ import annotations

import base64
import inspect
import io
import math
from collections.abc import Callable, Mapping
from contextlib import contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.style import context

from dmmlab.files import DMMError

STYLE = ["default", Path(__file__).with_name("dmmlab.mplstyle")]
"""The house style of figures, for `matplotlib.style.use`.

>>> dmm.STYLE[0]
'default'
"""
# How methods begin that ask, print, or wait for somebody; `cla` is an old name of `clear`.
QUIET = ("get_", "draw", "save", "contains", "pick", "cla", "pchanged", "add_callback", "format_")
QUIET += ("ginput", "wait", "show")
NARROW = 0.6  # of its own width: below it, what stood side by side stands in half as many columns


def _kept(base: type) -> dict[str, Callable]:
    """The public methods of a matplotlib class that may change a picture, made such that calls to them are kept."""

    def keep(name: str, method: Callable) -> Callable:
        @wraps(method)
        def call(self: Artist, *args: Any, **options: Any) -> Any:
            book = getattr(self if isinstance(self, Figure) else self.figure, "book", None)
            return method(self, *args, **options) if book is None else book.note(self, name, method, args, options)

        return call

    methods = inspect.getmembers(base, inspect.isfunction)
    return {name: keep(name, each) for name, each in methods if name[0] != "_" and not name.startswith(QUIET)}


class _Book:
    """The calls made to one figure, and what came out of them: later calls may refer to it."""

    def __init__(self) -> None:
        self.calls: list[list] = []
        self.made: dict[int, tuple[Any, list[int]]] = {}  # by identity; the object is held, so that it stays unique
        self.trouble = ""
        self.closed = self.styled = False

    @contextmanager
    def shut(self) -> Any:
        """What matplotlib calls itself, inside a call or while it draws, is not kept."""
        before, self.closed = self.closed, True
        try:
            yield
        finally:
            self.closed = before

    def note(self, target: Artist, name: str, method: Callable, args: tuple, options: dict) -> Any:
        if self.closed:
            return method(target, *args, **options)
        line = ["figure" if isinstance(target, Figure) else self._plain(target), name]
        try:
            line += [self._plain(list(args)), self._plain(options)]
        except DMMError as error:
            self.trouble = self.trouble or f"{name}: {error}"
        with self.shut(), nullcontext() if self.styled else context(STYLE):
            result = method(target, *args, **options)
        for item, each in enumerate(_items(result)):
            self.made[id(each)] = each, [len(self.calls), item]
        self.calls.append(line)
        return result

    def _plain(self, value: Any) -> Any:
        """JSON for a value; what is no plain data becomes an object with one key that says what it is."""
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
            return value
        if isinstance(value, (list, range)) or (isinstance(value, np.ndarray) and value.dtype == object):
            return [self._plain(each) for each in (value.flat if isinstance(value, np.ndarray) else value)]
        if isinstance(value, Mapping):
            return {"dict": [[key, self._plain(each)] for key, each in value.items()]}
        if isinstance(value, tuple):
            return {"tuple": [self._plain(each) for each in value]}
        if isinstance(value, (float, np.ndarray)):
            value = np.asarray(value)
            data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
            return {"array": [value.dtype.str, list(value.shape), data]}
        if isinstance(value, Colormap):
            return {"colours": self._plain(value(np.arange(value.N)))}
        if type(value) is LogNorm:
            return {"log": [float(value.vmin), float(value.vmax)]}
        if id(value) in self.made:
            return {"made": self.made[id(value)][1]}
        raise DMMError(f"a {type(value).__name__} is no plain data; give numbers, text, lists or arrays")


def _items(result: Any) -> list:
    if isinstance(result, np.ndarray) and result.dtype == object:  # of panels
        return [*result.flat]
    return [*result] if isinstance(result, (list, tuple)) else [result]


class _Axes(Axes):
    def add_lines(self, segments: Any, **look: Any) -> None:
        self.add_collection(LineCollection(segments, **look))


class _Figure(Figure):
    def add_subplot(self, *args: Any, **options: Any) -> Axes:
        return super().add_subplot(*args, **{"axes_class": Chart, **options})


KEPT = {_Axes: _kept(_Axes), _Figure: _kept(_Figure)}


class Chart(type("Chart", (_Axes,), KEPT[_Axes])):
    """Axes whose calls are kept; `add_lines` draws many straight lines, (lines, ends, 2), at once."""


class Sheet(type("Sheet", (_Figure,), KEPT[_Figure])):
    """A figure that keeps the calls to it and its axes, and shows itself in a notebook, even without pyplot."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height))
        self.size, self.book, self.seen = (width, height), _Book(), False

    def recipe(self) -> dict:
        """Plain data from which `replay` draws the same figure. Raises DMMError where it would be another one."""
        recipe = {"size": list(self.size), "calls": self.book.calls}
        # Layout goes on from where it was, so only the first drawing can be compared.
        if not (self.book.trouble or self.seen) and replay(recipe)._draw("svg") != self._draw("svg"):
            self.book.trouble = "something was changed without a call to the figure or its axes; make it by one"
        if self.book.trouble:
            raise DMMError(f"this figure cannot be kept: {self.book.trouble}")
        return recipe

    def print(self, format: str) -> bytes:
        """The picture as svg, pdf or png, without dates: the same bytes every time."""
        if self.book.trouble:
            return self._draw(format)
        return replay({"size": self.size, "calls": self.book.calls})._draw(format)

    def _draw(self, format: str) -> bytes:
        self.seen = True
        file, dates = io.BytesIO(), {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
        with context(STYLE), self.book.shut():
            self.savefig(file, format=format, metadata=dates.get(format))
        return file.getvalue()

    def _repr_mimebundle_(self, **_: object) -> dict[str, bytes]:
        return {"image/png": self.print("png")}


def replay(recipe: Mapping, width: float | None = None) -> Sheet:
    """The figure of a recipe, `width` inches wide (its own unless given). Raises DMMError for a damaged recipe.

    Where it gets much narrower, rows of panels and of legends have half as many columns, and the height grows.
    """
    try:
        (own, height), made = recipe["size"], []
        with context(STYLE):
            sheet = Sheet(width or own, height)
            sheet.book.styled = True
            for target, name, args, options in recipe["calls"]:
                owner = sheet if target == "figure" else _value(target, made)
                if name not in KEPT[_Figure if owner is sheet else _Axes]:
                    raise ValueError(f"{name!r} is no call that is kept")
                given, named = _value(args, made), _value(options, made)
                if sheet.get_figwidth() < NARROW * own:
                    sheet.set_figheight(sheet.get_figheight() * _halve(name, given, named))
                made.append(_items(getattr(owner, name)(*given, **named)))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise DMMError(f"this recipe of a figure cannot be drawn ({error}); run its notebook again") from None
    return sheet


def _halve(name: str, args: list, options: dict) -> float:
    """Half as many columns of panels, or of a legend, in these arguments; returns by how much the figure grows."""
    if name == "legend" and "ncols" in options:
        options["ncols"] = -(-options["ncols"] // 2)
    if name not in ("subplots", "add_subplot") or len(args) < 2 or args[1] < 2:
        return 1.0
    (rows, columns), half = args[:2], -(-args[1] // 2)
    args[:2] = -(-rows * columns // half), half
    if options.get("sharex") == "col":
        options["sharex"] = False
    return args[0] / rows if args[2:] in ([], [1]) else 1.0


def _value(plain: Any, made: list[list]) -> Any:
    if isinstance(plain, list):
        return [_value(each, made) for each in plain]
    if not isinstance(plain, dict):
        return plain
    ((what, content),) = plain.items()
    if what == "dict":
        return {key: _value(each, made) for key, each in content}
    if what == "tuple":
        return tuple(_value(each, made) for each in content)
    if what == "array":
        dtype, shape, data = content
        return np.frombuffer(base64.b64decode(data), np.dtype(dtype)).reshape(shape).copy()
    if what == "colours":
        return ListedColormap(_value(content, made))
    if what == "log":
        return LogNorm(*content)
    return made[content[0]][content[1]]
