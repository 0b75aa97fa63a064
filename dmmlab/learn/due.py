"""Examples: answers due, as people write them, and files of them, CSV and JSON with the columns input and target."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from collections.abc import Iterator
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from dmmlab.files import DMMError, errors_at, parse_json, read_json, read_text
from dmmlab.inputs import Inputs, Text, read_list

Due = tuple[tuple[float, float], ...]  # left and right a step, not a number where nothing is asked
COLUMNS = ("input", "target")
GAPS = ("", "-", "_")  # where nothing is asked, in a list of numbers


def load_examples(path: str | os.PathLike) -> tuple[list[Text], list[Any]]:
    """The inputs and targets of a file, as `Task.from_examples` takes them.

    CSV has the columns input and target. An input is a string, or a JSON list of steps; a target is a number, a JSON
    list of answers, or numbers with spaces between, of which - is none. JSON is a list of objects of these two names.
    Raises DMMError that names file, row and column.
    """
    path = Path(path)
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    inputs, targets = [], []
    for place, row in rows:
        with errors_at(f"{place}, column input"):
            (string,) = Inputs([row["input"]]).strings
        with errors_at(f"{place}, column target"):
            read_due(len(string), row["target"])
        inputs.append(string)
        targets.append(row["target"])
    if not inputs:
        raise DMMError(f"{path}: no examples; give at least one row")
    return inputs, targets


def _json_rows(path: Path) -> Iterator[tuple[str, dict]]:
    content = read_json(path, "file of examples")
    if not isinstance(content, list):
        raise DMMError(f"{path}: not a list; write a list of objects with {' and '.join(COLUMNS)}")
    for number, row in enumerate(content, 1):
        place = f"{path}, row {number}"
        if not isinstance(row, dict) or {*row} != {*COLUMNS}:
            raise DMMError(f"{place}: not an object with {' and '.join(COLUMNS)}; write one")
        yield place, row


def _csv_rows(path: Path) -> Iterator[tuple[str, dict]]:
    reader = csv.reader(io.StringIO(read_text(path, "file of examples"), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if not {*COLUMNS} <= {*header} or len({*header}) < len(header):
            raise DMMError(f"{path}, row 1: the columns are {', '.join(header) or 'none'}; name them input and target")
        for number, cells in enumerate(reader, 2):
            place = f"{path}, row {number}"
            if not cells:
                continue
            if len(cells) != len(header):
                raise DMMError(f"{place}: {len(cells)} cells under {len(header)} columns; quote commas")
            row = dict(zip(header, cells, strict=True))
            with errors_at(f"{place}, column input"):
                string = read_list(row["input"]) if re.match(r"\s*\[.*\]\s*$", row["input"]) else row["input"]
            with errors_at(f"{place}, column target"):
                yield place, {"input": string, "target": _read_target(row["target"])}
    except csv.Error as error:
        raise DMMError(f"{path}, row {reader.line_num}: {error}; save it as CSV again") from None


def _read_target(cell: str) -> Any:
    """A number, a JSON list, or numbers with spaces between."""
    text = cell.strip()
    if text.startswith("["):
        return parse_json(text)
    numbers = [None if part in GAPS else _read_number(part) for part in re.split(r"[\s;]+", text)]
    return numbers if len(numbers) > 1 else numbers[0]


def _read_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DMMError(f"{text!r} is no number; write a number, or a list of them") from None


def read_due(steps: int, target: Any) -> Due:
    """The answers due at each step, of one example's target. Raises DMMError that names the step."""
    if not isinstance(target, (list, np.ndarray)):
        return (*[(np.nan, np.nan)] * (steps - 1), _read_answer(target))
    if len(target) != steps:
        raise DMMError(f"{len(target)} targets for {steps} steps; give one a step, or one for the end")
    return tuple(_read_answer(answer, f"step {i}: ") for i, answer in enumerate(target, 1))


def _read_answer(answer: Any, where: str = "") -> tuple[float, float]:
    pair = answer if isinstance(answer, (tuple, list)) else (answer, None)
    if len(pair) != 2:
        raise DMMError(f"{where}target {answer!r}: an answer is a number, a pair (left, right), or None")
    numbers = []
    for each in pair:
        if each is None:
            numbers.append(np.nan)
        elif isinstance(each, Real) and abs(each) <= sys.float_info.max:
            numbers.append(float(each))
        else:
            raise DMMError(f"{where}target {each!r} is no finite number; give one, or None where nothing is asked")
    return tuple(numbers)
