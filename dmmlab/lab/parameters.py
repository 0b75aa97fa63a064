"""The parameters that a notebook declares, and values for them: checked before anything runs."""

from __future__ import annotations

import ast
import difflib
import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmmlab.files import DMMError, parse_json

if TYPE_CHECKING:
    import nbformat

LINE = re.compile(r"^(\w+)(?:: (.+?))? = (.*?)(?:  # .*)?$", re.MULTILINE)  # name: type = default  # meaning
TYPES = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,), "list": (list,), "dict": (dict,)}
TYPES |= {"None": (type(None),), "List": (list,), "Dict": (dict,)}
TYPES |= dict.fromkeys(("Any", "object", "Literal"), (int, float, bool, str, list, dict, type(None)))


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """The notebook as nbformat's tree. Raises DMMError when the file is missing or damaged."""
    import nbformat  # takes a second, for which those who only look should not wait

    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8-sig"), as_version=4)
        nbformat.validate(notebook)  # reading only warns
        return notebook
    except Exception as error:  # nbformat raises half a dozen unrelated kinds for damaged files
        raise DMMError(f"{path}: not a notebook ({type(error).__name__}); restore an earlier one") from None


def read_cells(path: Path) -> tuple[list[dict], dict]:
    """Cells, sources as one text, and metadata, as plain dicts. Raises DMMError as `read_notebook` does."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8-sig"))
        if notebook["nbformat"] != 4:
            raise ValueError("written by another version")
        cells = [{"metadata": {}} | cell | {"source": "".join(cell["source"])} for cell in notebook["cells"]]
        for cell in cells:
            if not (cell["cell_type"] and isinstance(cell["metadata"].get("tags", []), list)):
                raise ValueError("no cell")
        metadata = notebook.get("metadata", {})
        return cells, {**metadata, "dmmlab": {**metadata.get("dmmlab", {})}}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        notebook = read_notebook(path)  # reads older ones, or says what is wrong
        return notebook.cells, notebook.metadata


def read_parameters(path: Path) -> dict[str, tuple[str, str]]:
    """Name -> (type, default), as written; empty when no cell is tagged `parameters`. Raises DMMError."""
    sources = [cell["source"] for cell in read_cells(path)[0] if "parameters" in cell["metadata"].get("tags", ())]
    return {name: (kind, default) for name, kind, default in LINE.findall(sources[0] if sources else "")}


def check_parameters(notebook: str | os.PathLike, given: dict[str, Any]) -> dict[str, Any]:
    """The given values, read as the types that the notebook's cell tagged `parameters` declares.

    A value is plain JSON data or text that spells it: "100", "0.5", "true", "null", "[1, 2]". What lists and dicts
    contain is not checked. Raises DMMError for a name that the notebook does not have, a value of another type, and a
    type that is not one of JSON: no tuple can be given from outside.
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
    admitted = _types(name, kind)
    for read in (parse_json, _read_number, str) if isinstance(value, str) else (_through_json,):
        with suppress(ValueError, TypeError):
            plain = read(value)
            json.dumps(plain, ensure_ascii=False).encode()  # half a character can be neither run nor written
            if type(plain) in admitted:
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


def _types(name: str, kind: str) -> set[type]:
    """The types of JSON values that an annotation admits. Raises DMMError for one that admits others."""
    try:
        names = _names(ast.parse(kind or "Any", mode="eval").body)
        return {each for name in names for each in TYPES[name]}
    except (SyntaxError, KeyError):
        known = "int, float, bool, str, list, dict, None, or several with | between"
        raise DMMError(f"parameter {name}: no {kind} can be given from outside; annotate it as {known}") from None


def _names(annotation: ast.AST | None) -> set[str]:
    """The names of the types that an annotation admits, without what their items are."""
    match annotation:
        case ast.BinOp(left, ast.BitOr(), right):
            return _names(left) | _names(right)
        case ast.Subscript(ast.Name("Optional") | ast.Attribute(attr="Optional"), inner):
            return _names(inner) | {"None"}
        case ast.Subscript(ast.Name("Union") | ast.Attribute(attr="Union"), ast.Tuple(inner)):
            return set().union(*map(_names, inner))
        case ast.Subscript(value):
            return _names(value)
        case ast.Name(name) | ast.Attribute(attr=name):
            return {name}
        case ast.Constant(value):
            return {str(value)}
    return {""}
