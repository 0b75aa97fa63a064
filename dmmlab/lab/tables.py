"""The table of a sweep: a row for each run, a column for each parameter and each number among the results."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dmmlab.files import atomic_write, read_json

OUTCOME = ("status", "cell", "error", "message")


def make_row(own: str, values: dict[str, Any], entry: dict, folder: Path) -> dict[str, Any]:
    """The values of the parameters, how the run ended, and its results; a name that is taken is told with its origin.

    Results of the file named `own` stand by their names, others below the name of their file.
    """
    row = {**values}
    _add(row, "run", {name: entry.get(name) for name in OUTCOME})
    if entry["status"] == "done":
        for path in sorted((folder / "data" / "results").glob("*.json")):
            content = read_json(path)
            fields = content if isinstance(content, dict) and path.stem == own else {path.stem: content}
            # A machine or a checkpoint is no row of a table.
            if not (isinstance(content, dict) and str(content.get("format")).startswith("dmmlab ")):
                _add(row, "results", fields)
    return {
        name: json.dumps(each, ensure_ascii=False) if isinstance(each, list) else each for name, each in row.items()
    }


def _add(row: dict[str, Any], origin: str, fields: dict[str, Any]) -> None:
    found = dict(_flatten(fields, ""))
    row |= {f"{origin}.{name}" if name in row else name: value for name, value in found.items()}


def _flatten(content: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(content, list) and any(isinstance(each, dict) for each in content):
        content = dict(enumerate(content))
    if isinstance(content, dict):
        for key, part in content.items():
            yield from _flatten(part, f"{name}.{key}" if name else key)
    else:
        yield name, content


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV; a row may lack columns that others have."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(path, text.getvalue())
