"""The published files of the 2022 journal: matrices of two formats, and losses out of its logs.

The journal is github.com/anhinga/julia-flux-drafts, `arxiv-1606-09470-section3/May-August-2022` (MIT licence). What the
notebooks need lies in `data/journal`; a clone of that repository has the rest.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dmmlab.builders import CLOCK, FIELDS, add_neuron
from dmmlab.files import DMMError, errors_at
from dmmlab.lab.project import project_root
from dmmlab.links import check_matrix, load_matrix
from dmmlab.machines import DOT_CLIP, SOURCES, Machine
from dmmlab.neurons import kind_by_name
from dmmlab.vvalues import VValue, from_leaves

FOLDER = "arxiv-1606-09470-section3/May-August-2022"  # of the journal, in a clone
HEADER = b"7JL\x0f\x04\0\0\0"  # of Julia's Serialization, version 15, little endian
OBJECT, NUMBERED, STRING, FLOAT32, TYPE, PLAIN_TYPE = 0x35, 0x39, 0x21, 0x0D, 0x10, 0x00  # tags
REFERENCES = {0x2C: "H", 0x2B: "i"}  # tag → form of the number
DICT = b"\x01\x04Dict\x1fN\x9eD\x02\0\0\0"  # a name, a module, and how many types follow
LOSS = re.compile(r"^prereg loss (\S+)", re.MULTILINE)
OPTIMIZER = re.compile(r"(^|[-_])(opt|treeADAM)([-_]|$)", re.IGNORECASE)  # a name of a file that holds no matrix


def find_matrices(clone: str | os.PathLike) -> dict[str, Path]:
    """All matrices in a clone of the journal's repository, JSON and `.ser`: their names below the journal's folder,
    such as "v0-1/feedforward-run-3/2500-steps-matrix.json", with their paths, in the order of names.

    Raises DMMError for a folder without them.
    """
    return _find(clone, (".json", ".ser"), lambda path: not OPTIMIZER.search(path.stem), "matrices")


def find_logs(clone: str | os.PathLike) -> dict[str, Path]:
    """All logs of trainings in a clone, `.md` and `.txt`: names below the journal's folder with their paths.
    Raises DMMError for a folder without them.
    """
    return _find(clone, (".md", ".txt"), lambda path: LOSS.search(_text(path)), "logs")


def _find(clone: str | os.PathLike, suffixes: tuple, wanted: Callable[[Path], object], what: str) -> dict[str, Path]:
    """The wanted files of a clone, by their names below the journal's folder. Raises DMMError where there are none."""
    folder = Path(clone).expanduser() / FOLDER
    paths = sorted(path for path in folder.rglob("*") if path.suffix in suffixes and wanted(path))
    if not paths:
        raise DMMError(f"{folder}: no {what} here; give the path of a clone of github.com/anhinga/julia-flux-drafts")
    return {path.relative_to(folder).as_posix(): path for path in paths}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig", errors="replace")


def read_matrix(path: str | os.PathLike) -> VValue:
    """A published matrix, JSON or Julia's `.ser`, without the links of the clock, which early runs kept in it and our
    machines keep fixed. Raises DMMError that begins with the path.
    """
    matrix = _read_serialized(Path(path)) if Path(path).suffix == ".ser" else load_matrix(path)
    return matrix - from_leaves((link, weight) for link, weight in matrix.leaves() if link in CLOCK)


def load_published(name: str) -> VValue:
    """A matrix of `data/journal/matrices`, such as "sparse4-after-100-steps". Raises DMMError that lists the names.

    >>> len([*dmm.load_published("sparse4-after-100-steps").leaves()])
    645
    """
    folder = project_root() / "data" / "journal" / "matrices"
    names = sorted(path.stem for path in folder.glob("*.json"))
    if name not in names:
        none = (
            "none: they come with a clone of dmmlab's repository, not with the package; clone it, and run this inside"
        )
        raise DMMError(f"{folder}: no matrix {name!r}; there are: {', '.join(names) or none}")
    return read_matrix(folder / f"{name}.json")


def machine_of(matrix: VValue, dot_clip: float = DOT_CLIP) -> Machine:
    """The machine of a published matrix: just its links, and the neurons that its links name.

    Neurons of layers (`accum-1-2`) remember by a fixed link; those of the recurrent machines (`accum-2`) do not, and
    have all seven fields. Raises DMMError for neurons of unknown kinds.

    >>> dmm.run(dmm.machine_of(dmm.load_published("sparse20-after-200-steps")), "test string.")[-1].round(1)
    array([2., 3.])
    """
    links = [link for link, _ in check_matrix(matrix).leaves()]
    names = {name for to, _, source, _ in links for name in (to, source)} - {*SOURCES, "output"}
    layered = all(name.count("-") == 2 for name in names)
    machine = Machine({**SOURCES, "output": "output"}, fixed=from_leaves((link, 1.0) for link in CLOCK))
    for name in sorted(names):
        machine = add_neuron(machine, name) if layered else machine.with_neuron(name, kind_by_name(name))
    fields = () if layered else FIELDS
    return Machine(machine.neurons, matrix, machine.fixed, dot_clip=dot_clip, silent_fields=fields)


def read_losses(path: str | os.PathLike) -> np.ndarray:
    """The data losses (`prereg loss`) in a log of the journal, in the order of its lines: shape (steps,).
    Raises DMMError where there are none.
    """
    try:
        found = LOSS.findall(_text(Path(path)))
    except OSError as error:
        raise DMMError(f"{path}: cannot read this log ({error.strerror}); check the path") from None
    if not found:
        raise DMMError(f"{path}: no line begins with 'prereg loss'; this is no log of a training")
    with errors_at(path):
        return np.array([_read_float(text) for text in found])


def _read_float(text: str) -> float:
    try:
        return float(text.replace("f", "e"))
    except ValueError:
        raise DMMError(f"prereg loss {text!r} is no number; get the log again") from None


def _read_serialized(path: Path) -> VValue:
    """A matrix as Julia's Serialization wrote it, a tree of dictionaries with single-precision leaves."""
    try:
        return check_matrix(_Reader(path.read_bytes()).read(), str(path))
    except OSError as error:
        raise DMMError(f"{path}: cannot read this matrix ({error.strerror}); check the path") from None
    except (struct.error, UnicodeDecodeError, LookupError, TypeError, RecursionError):
        raise DMMError(f"{path}: not a matrix as Julia's Serialization writes it; get it again") from None


class _Reader:
    """Bytes of Julia's Serialization as dictionaries, strings and floats.

    Each value begins with a tag. Dictionaries, their types and the longer strings are numbered in the order in which
    they begin, and a reference gives a number.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0
        self.numbered: list = []
        self.expect(HEADER)

    def expect(self, wanted: bytes) -> None:
        if self.take(f"{len(wanted)}s") != wanted:
            raise LookupError

    def take(self, form: str) -> Any:
        """The next plain value, in a form of the module `struct`."""
        (value,) = struct.unpack_from(f"<{form}", self.data, self.place)
        self.place += struct.calcsize(f"<{form}")
        return value

    def read(self) -> Any:
        """The next value with a tag."""
        tag = self.take("B")
        if tag == FLOAT32:
            return self.take("f")
        if tag in REFERENCES:
            return self.numbered[self.take(REFERENCES[tag])]
        if tag == NUMBERED:
            self.numbered.append(self.read())
            return self.numbered[-1]
        if tag == STRING:
            return self.take(f"{self.take('B')}s").decode()
        if tag != OBJECT:
            raise LookupError
        content: dict = {}
        self.numbered.append(content)
        self.read_type()
        for _ in range(self.take("i")):
            key = self.read()
            content[key] = self.read()
        return content

    def read_type(self) -> None:
        """Dict{String, …}, spelled out once and then referred to."""
        tag = self.take("B")
        if tag == PLAIN_TYPE:
            self.take("B")
        elif tag == TYPE:
            self.numbered.append("a type")
            self.expect(DICT)
            self.read_type()
            self.read_type()
        else:
            self.take(REFERENCES[tag])
