"""The border of the package: its one exception family, JSON read with care, files written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from contextlib import suppress
from glob import escape
from numbers import Integral
from pathlib import Path
from typing import Any

ABANDONED = 3600  # seconds after which a temporary file is nobody's


class DMMError(ValueError):
    """Anything the package refuses: one line that names what is wrong, where, and what to do.

    >>> str(dmm.DMMError("x.json: not JSON; export it again"))
    'x.json: not JSON; export it again'
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # names may hold line breaks, messages do not


def read_json(path: str | os.PathLike, what: str = "JSON file") -> Any:
    """Read a JSON file strictly: numbers are finite, no key appears twice in one object.

    `what` names the file's role in the error message. Raises DMMError that begins with the path.
    """
    path = Path(path)
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise DMMError(f"{path}: this {what} is not UTF-8 text; save it as UTF-8 JSON") from None
    except DMMError as error:
        raise DMMError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:
        raise DMMError(f"{path}: cannot read this {what} ({error}); check the path") from None


def parse_json(text: str) -> Any:
    """Parse JSON text strictly (see `read_json`). Raises DMMError."""

    def reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict:
        tree = dict(pairs)
        if len(tree) < len(pairs):
            keys = [key for key, _ in pairs]
            twin = next(key for key in keys if keys.count(key) > 1)
            raise DMMError(f"key {twin!r} appears twice in one object; keep one")
        return tree

    def finite(token: str) -> float:
        if not math.isfinite(float(token)):
            raise DMMError(f"number {token} is not finite; write a finite number")
        return float(token)

    try:
        return json.loads(text, object_pairs_hook=reject_duplicate_keys, parse_constant=finite, parse_float=finite)
    except DMMError:
        raise
    except RecursionError:
        raise DMMError("nested too deeply for JSON; a matrix has depth 4") from None
    except ValueError as error:
        raise DMMError(f"not JSON ({error}); export it again") from None


def atomic_write(path: str | os.PathLike, content: str | bytes) -> Path:
    """Write a file under a temporary name, then rename it, so that no reader ever meets half a file."""
    path, temporary = Path(path), None
    try:
        data = content.encode("utf-8") if isinstance(content, str) else content
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep_up(path)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # a disk may say only now that it is full
        # mkstemp makes files private; a result is for everybody the user's umask admits.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, (OSError, ValueError)):
            raise DMMError(f"{path}: cannot write ({error}); free the disk or choose another path") from None
        raise
    return path


def _sweep_up(path: Path) -> None:
    """Delete temporary files that writers of this path left behind when they were killed."""
    for left in path.parent.glob(f".{escape(path.name)}.????????"):
        with suppress(OSError):  # another writer may be as fast
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()


def write_json(path: str | os.PathLike, content: Any) -> Path:
    """Write plain data as indented JSON, NumPy's numbers and arrays as lists. Refuses numbers that are not finite.

    >>> dmm.write_json("losses.json", {"loss": np.ones(2)}).read_text().split()
    ['{', '"loss":', '[', '1.0,', '1.0', ']', '}']
    """
    return atomic_write(path, _to_json(path, content) + "\n")


def _to_json(path: str | os.PathLike, content: Any) -> str:
    try:
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=lambda x: x.tolist())
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise DMMError(f"{path}: JSON holds no such thing, nor what is not finite ({error}); nothing written") from None


def check_int(name: str, value: Any, minimum: int = 1) -> int:
    """A whole number as an int. Raises DMMError that names it where it is none, or below `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise DMMError(f"{name} is {value!r}; it is a whole number of at least {minimum}")
    return int(value)
