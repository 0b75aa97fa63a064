"""The project around the package: where its folders are, its machines, and the results that notebooks keep."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from dmmlab.files import DMMError, dump_json, write_json
from dmmlab.machines import Machine


def project_root() -> Path:
    """The nearest folder, from here upwards, that holds `notebooks` and `pyproject.toml`; else the current one.

    Notebooks run with their own folder as working directory, commands with the project's: both find `figures/`.

    >>> (dmm.project_root() / "figures").name
    'figures'
    """
    try:
        here = Path.cwd()
    except OSError as error:
        raise DMMError(f"the current folder cannot be read ({error.strerror}); change into another") from None
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return here


def output_root() -> Path:
    """The folder below which `figures/` and `data/results/` are written: the project's, or what DMMLAB_OUTPUT names.

    A sweep gives every run a folder of its own in this way.
    """
    return Path(os.environ.get("DMMLAB_OUTPUT") or project_root())


def save_results(name: str, content: Any, measured: Any = None) -> Path:
    """Write what a notebook found, plain data, to `data/results/NAME.json`; returns the path.

    `measured` is for what another run, or another computer, is free to change: seconds, ratios of them, memory in use.
    It is written under the key "measured" of `content`, then a dict. The line that is printed has the first 16
    hexadecimal digits of the SHA-256 of all the rest, numbers to their last bit: so a notebook that keeps its outputs
    says what its rerun ought to give, and `dmmlab run` compares. Raises DMMError.

    >>> dmm.save_results("13-mine", {"loss": 0.25}, measured={"seconds": 1.5}).name
    results of 13-mine: bits 3b76c16dc5607af8
    '13-mine.json'
    """
    path = output_root() / "data" / "results" / f"{name}.json"
    if measured is not None and (not isinstance(content, dict) or "measured" in content):
        raise DMMError(f"{path}: what is measured stands beside other results; give them as a dict without `measured`")
    # Read again, for keys that are no text become text, and then have an order.
    plain = json.dumps(json.loads(dump_json(path, content)), sort_keys=True)
    write_json(path, content if measured is None else {**content, "measured": measured})
    print(f"results of {name}: bits {hashlib.sha256(plain.encode()).hexdigest()[:16]}")
    return path


def load_machine(name: str) -> Machine:
    """A machine of the project's data/machines, or of those that came with the package; in a clone, `name.about.json`
    there says how it was made.
    Raises DMMError that lists the names there are, or begins with the path of a file that is no machine.

    >>> len(dmm.load_machine("published-19").links)
    19
    """
    above = Path(__file__).parents
    folders = (project_root() / "data" / "machines", above[1] / "stored", above[2] / "data" / "machines")
    paths = [path for folder in folders for path in folder.glob("*.json") if not path.stem.endswith(".about")]
    found = {path.stem: path for path in reversed(paths)}  # the project's own before those of the package
    if name not in found:
        raise DMMError(f"there is no machine {name!r} in {folders[0]}; there are: {', '.join(sorted(found)) or 'none'}")
    return Machine.load(found[name])
