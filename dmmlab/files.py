"""Errors, strict JSON, files written whole or not at all, and checks of numbers."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from numbers import Integral, Real
from pathlib import Path
from typing import Any


class DMMError(ValueError):
    """Anything the package refuses: one line that names what is wrong, where, and what to do.

    >>> str(dmm.DMMError("x.json: not JSON; export it again"))
    'x.json: not JSON; export it again'
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # names may hold line breaks, messages do not


@contextmanager
def errors_at(place: object) -> Iterator[None]:
    """Errors of the block begin with a place: a path, or the name of what is wrong."""
    try:
        yield
    except DMMError as error:
        raise DMMError(f"{place}: {error}") from None


# ---- files ----


def read_json(path: str | os.PathLike, what: str = "JSON file") -> Any:
    """Read a JSON file strictly: numbers are finite, no key appears twice in one object.

    `what` names the file's role in the error message. Raises DMMError that begins with the path.
    """
    text = read_text(path, what)
    with errors_at(Path(path)):
        return parse_json(text)


def read_text(path: str | os.PathLike, what: str) -> str:
    """Read a text file; `what` names its role in the error message. Raises DMMError that begins with the path."""
    path = Path(path)
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheets and editors of Windows begin with a mark
    except UnicodeDecodeError:
        raise DMMError(f"{path}: this {what} is not UTF-8 text; save it as UTF-8") from None
    except (OSError, ValueError) as error:
        raise DMMError(f"{path}: cannot read this {what} ({error}); check the path") from None


def parse_json(text: str) -> Any:
    """Parse JSON text strictly (see `read_json`). Raises DMMError."""
    try:
        content = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_finite, parse_float=_finite)
        if "\\ud" in text.lower():
            json.dumps(content, ensure_ascii=False).encode()  # half a character could not be written again
        return content
    except DMMError:
        raise
    except RecursionError:
        raise DMMError("nested too deeply for JSON; a matrix has depth 4") from None
    except ValueError as error:
        raise DMMError(f"not JSON ({error}); export it again") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict:
    tree: dict = {}
    for key, value in pairs:
        if key in tree:
            raise DMMError(f"key {key!r} appears twice in one object; keep one")
        tree[key] = value
    return tree


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        raise DMMError(f"number {text} is not finite; write a finite number")
    return float(text)


def write_json(path: str | os.PathLike, content: Any) -> Path:
    """Write plain data as indented JSON, NumPy's numbers and arrays as lists. Refuses numbers that are not finite.

    >>> dmm.write_json("losses.json", {"loss": np.ones(2)}).read_text().split()
    ['{', '"loss":', '[', '1.0,', '1.0', ']', '}']
    """
    return atomic_write(path, dump_json(path, content) + "\n")


def dump_json(path: str | os.PathLike, content: Any) -> str:
    """The text that `write_json` writes. Raises DMMError that begins with the path it is for."""
    try:
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=lambda x: x.tolist())
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise DMMError(f"{path}: JSON holds no such thing, nor what is not finite ({error}); nothing written") from None


def atomic_write(path: str | os.PathLike, content: str | bytes) -> Path:
    """Write a file under a temporary name, then rename it, so that no reader ever meets half a file."""
    path = Path(path)
    # The number of a thread is its own while it lives. If it is killed, a hidden file is left, until one of that number
    # writes here again.
    temporary = path.parent / f".{path.name}.{threading.get_native_id()}"
    try:
        data = content.encode("utf-8") if isinstance(content, str) else content
        if path.exists() and not path.is_file():  # a folder, or a device, in whose place there would be a file
            raise OSError("there is something else than a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # a disk may say only now that it is full
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError, ValueError):
            temporary.unlink()
        if isinstance(error, (OSError, ValueError)):
            raise DMMError(f"{path}: cannot write ({error}); free the disk or choose another path") from None
        raise
    return path


# ---- numbers ----


def check_int(name: str, value: Any, minimum: int = 1) -> int:
    """A whole number as an int. Raises DMMError that names it where it is none, or below `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise DMMError(f"{name} is {value!r}; it is a whole number of at least {minimum}")
    return int(value)


def check_positive(name: str, value: Any, or_zero: bool = False) -> float:
    """A finite positive number, or with `or_zero` also 0, as a float. Raises DMMError that names what is none."""
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else -1.0
    except OverflowError:  # an int of hundreds of digits
        number = math.inf
    if not (0 < number < math.inf or (number == 0 and or_zero)):
        wanted = "number of at least 0" if or_zero else "positive number"
        raise DMMError(f"{name} is {value!r}; it is a finite {wanted}")
    return number
