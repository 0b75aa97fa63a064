"""The parameters that a notebook declares, and values for them: checked before anything runs."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat

from dmmlab.files import DMMError, parse_json

LINE = re.compile(r"^(\w+)(?:: (.+?))? = (.*?)(?:  # .*)?$", re.MULTILINE)  # name: type = default  # meaning
TYPES = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,), "list": (list,), "dict": (dict,)}
TYPES["None"] = (type(None),)


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """The notebook as nbformat's tree. Raises DMMError when the file is missing or damaged."""
    try:
        return nbformat.reads(path.read_text(encoding="utf-8-sig"), as_version=4)
    except Exception as error:  # nbformat raises half a dozen unrelated kinds for damaged files
        raise DMMError(f"{path}: not a notebook ({type(error).__name__}); restore an earlier one") from None


def read_parameters(path: Path) -> dict[str, tuple[str, str]]:
    """Name -> (type, default), as written; empty when no cell is tagged `parameters`. Raises DMMError."""
    cells = [cell for cell in read_notebook(path).cells if "parameters" in cell.metadata.get("tags", ())]
    return {name: (kind, default) for name, kind, default in LINE.findall(cells[0].source if cells else "")}


def check_parameters(notebook: str | os.PathLike, given: dict[str, Any]) -> dict[str, Any]:
    """The given values, read as the types that the notebook's cell tagged `parameters` declares.

    A value is plain JSON data or text that spells it: "100", "0.5", "true", "null", "[1, 2]". What lists and dicts
    contain is not checked. Raises DMMError for a name that the notebook does not have, and a value of another type.
    Example: `check_parameters("notebooks/07-feedforward-run-3.ipynb", {"steps": "100"})` gives `{"steps": 100}`.
    """
    known = read_parameters(Path(notebook))
    refuse_unknown(given, known, Path(notebook).name)
    return {name: read_value(name, value, known[name][0]) for name, value in given.items()}


def refuse_unknown(given: Iterable, known: Iterable[str], where: str) -> None:
    """Raises DMMError for the first given name that is not known, with the closest one that is."""
    known = list(known)
    unknown = [str(name) for name in given if name not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise DMMError(f"{where}: no parameter {unknown[0]}{hint}; choose from {', '.join(known) or 'none'}")


def read_value(name: str, value: Any, kind: str) -> Any:
    """One value as the annotated type of its parameter (see `check_parameters`). Raises DMMError."""
    for read in (parse_json, _read_number, str) if isinstance(value, str) else (_through_json,):
        with suppress(ValueError, TypeError):
            plain = read(value)
            if _fits(plain, kind):
                return plain
    raise DMMError(f"parameter {name}: {value!r:.60} does not read as {kind}; write it as JSON")


def _read_number(text: str) -> float:
    """A finite number as Python spells it, such as .5 or 1_000."""
    return parse_json(repr(float(text)))


def _through_json(value: Any) -> Any:
    """The value, if JSON holds it as it is: tuples and number keys would become something else."""
    plain = parse_json(json.dumps(value, allow_nan=False))
    if plain != value:
        raise ValueError("JSON makes something else of it")
    return plain


def _fits(value: Any, kind: str) -> bool:
    """Whether a JSON value is of the annotated type; annotations unknown here admit every value."""
    names = [name.partition("[")[0] for name in kind.split(" | ")]
    return any(type(value) in TYPES.get(name, (type(value),)) for name in names)
