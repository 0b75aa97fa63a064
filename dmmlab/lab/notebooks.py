"""The numbered notebooks of the project, run again in fresh kernels; results are kept in a run folder."""

from __future__ import annotations

import os
import re
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmmlab.engine.threads import engine_threads, usable_cores
from dmmlab.files import DMMError, atomic_write, write_json
from dmmlab.lab.parameters import check_parameters, read_cells, read_notebook, read_parameters, refuse_unknown
from dmmlab.lab.progress import Progress
from dmmlab.lab.project import project_root

if TYPE_CHECKING:
    import nbformat

DRAWN = ("injected-parameters", "papermill-error")
WIDGET = "application/vnd.jupyter.widget-view+json"
BITS = re.compile(r"^results of (.+): bits ([0-9a-f]{16})$", re.MULTILINE)  # what `save_results` prints
UNKNOWN = 10.0  # seconds of a notebook that never ran
AT_A_TIME = 2  # notebooks, where there are as many cores


def find_notebooks(root: str | os.PathLike | None = None) -> list[Path]:
    """The project's notebooks `notebooks/NN-title.ipynb`, in the order of their numbers.

    Raises DMMError when there is none. Example: `[path.stem for path in find_notebooks()]`.
    """
    folder = Path(root or project_root()).resolve() / "notebooks"
    found = sorted(folder.glob("[0-9][0-9]-*.ipynb"))
    if not found:
        told = "they come with a clone of dmmlab's repository, not with the package; clone it, and run this inside"
        raise DMMError(f"{folder}: no notebook named NN-title.ipynb; {told}")
    return found


def describe_notebooks() -> list[dict]:
    """For each notebook a dict with number, notebook, question, parameters (defaults by name, as written) and
    seconds: how long it ran when it was last kept in place (None when unknown).

    Raises DMMError for a damaged notebook. Example: `describe_notebooks()[0]["question"]`.
    """
    table = []
    for path in find_notebooks():
        cells, metadata = read_cells(path)
        text = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
        found = re.search(r"^\*\*Question\.\*\*(.*)", text, re.MULTILINE) or re.search("^# (.*)", text, re.MULTILINE)
        row = {"number": path.name[:2], "notebook": path.name}
        row["question"] = found[1].strip() if found else path.stem[3:].replace("-", " ")
        row["parameters"] = {name: default for name, (_, default) in read_parameters(path).items()}
        kept = metadata.get("dmmlab")
        seconds = kept.get("seconds") if isinstance(kept, dict) else None
        row["seconds"] = seconds if type(seconds) in (int, float) else None
        table.append(row)
    return table


def run_notebooks(
    numbers: list[int | str] | None = None,
    parameters: dict[str, Any] | None = None,
    output: str | os.PathLike | None = None,
    in_place: bool = False,
) -> list[dict]:
    """Execute notebooks, each in a fresh kernel of this Python; a failure does not stop the others.

    Two run at a time where this process may use two cores; but those whose parameter `workers` says that they share out
    the cores themselves run alone, and so does each that is kept in place, for the sake of the times it shows.

    Args:
        numbers: which (2 or "02"); None means all.
        parameters: values by name, for those notebooks that have them (see `check_parameters`).
        output: a folder without notebooks; None means a new one, data/runs/<time>.
        in_place: each notebook that ran without error is replaced by its executed copy, cleaned.

    Returns what summary.json holds, in the order of numbers: dicts with number, notebook, status ("done" or "failed"),
    seconds, bits, parameters, output (a path), and for failures cell (counted from 1 among the code cells of `output`;
    None when none was reached), error and message. bits: "same" when `save_results` printed what it printed in the
    notebook as it was, "other" when not, None after a failure, with parameters given, and where nothing was printed.
    Raises DMMError before anything is written, and on Ctrl-C KeyboardInterrupt with the summary so far.
    Example: `run_notebooks([5], {"steps": 100})[0]["status"]`.
    """
    if in_place and parameters:
        raise DMMError("notebooks are kept in place with default parameters only; leave out one of the two")
    plan, entries = plan_runs(numbers, parameters or {}), []
    try:
        _run_all(plan, _make_folder(output), in_place, entries)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(entries) from None
    return entries


def plan_runs(numbers: list[int | str] | None, given: dict[str, Any]) -> dict[Path, dict]:
    """The chosen notebooks, each with its share of the given values (see `run_notebooks`). Raises DMMError."""
    existing = {path: path.name[:2] for path in find_notebooks()}
    wanted = [*existing.values()] if numbers is None else [str(number).zfill(2) for number in numbers]
    missing = [number for number in wanted if number not in existing.values()]
    if missing:
        raise DMMError(f"no notebook has the number {missing[0]}; choose from {', '.join(existing.values())}")
    known = {path: read_parameters(path) for path, number in existing.items() if number in wanted}
    refuse_unknown(given, dict.fromkeys(name for names in known.values() for name in names), "the chosen notebooks")
    plan = {}
    for path, names in known.items():
        plan[path] = check_parameters(path, {name: value for name, value in given.items() if name in names})
    return plan


def _make_folder(output: str | os.PathLike | None) -> Path:
    """The folder of a run, made; without one given it is named by the second, and never one that is there already."""
    if output is not None and any(Path(output).resolve().glob("*.ipynb")):
        raise DMMError(f"{Path(output).resolve()}: holds notebooks already; choose another output folder")
    named = project_root() / "data" / "runs" / time.strftime("%Y%m%d-%H%M%S")
    for folder in [output] if output is not None else (named, *(f"{named}-{i}" for i in range(2, 100))):
        try:
            Path(folder).mkdir(parents=True, exist_ok=output is not None)
            return Path(folder).resolve()
        except FileExistsError as error:
            reason = error.strerror
        except OSError as error:
            reason = error.strerror
            break
    raise DMMError(f"{folder}: cannot make it ({reason}); choose another output folder")


def _run_all(plan: dict[Path, dict], folder: Path, in_place: bool, entries: list[dict]) -> None:
    """Run what is planned; each entry is added to the list, and written, as soon as its notebook has ended."""
    from dmmlab.lab.kernels import stop_kernels, stopping

    at_a_time = 1 if in_place else min(AT_A_TIME, usable_cores())
    alone = [path for path in plan if at_a_time == 1 or _shares_out_cores(path, plan[path])]
    together = [path for path in plan if path not in alone]
    expected = {path.name: read_seconds(path) for path in plan}
    told = f"last time {sum(expected.values()):.0f} s, one after another; kept in {folder}"
    print(f"notebooks to run: {len(plan)}, {at_a_time} at a time; {told}", file=sys.stderr)
    stopping.clear()
    with Progress(expected) as progress:
        for paths, count in ((together, at_a_time), (alone, 1)):
            # Threads are enough: they only wait for kernels, which are processes. Side by side, each has a core.
            with engine_threads(1 if count > 1 else None), ThreadPoolExecutor(count) as pool:
                futures = [
                    pool.submit(run_one, path, plan[path], folder, in_place, None, progress.at) for path in paths
                ]
                try:
                    for future in as_completed(futures):
                        entries.append(future.result())
                        entries.sort(key=itemgetter("notebook"))
                        write_json(folder / "summary.json", entries)
                        progress.end(future.result()["notebook"], future.result())
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    stop_kernels()
                    raise


def read_seconds(path: Path) -> float:
    """How long a notebook ran when it was last kept in place; 10 where that is unknown."""
    return float(read_notebook(path).metadata.get("dmmlab", {}).get("seconds") or UNKNOWN)


def _shares_out_cores(path: Path, values: dict[str, Any]) -> bool:
    _, default = read_parameters(path).get("workers", (None, "1"))
    return str(values.get("workers", default)) != "1"


def run_one(
    path: Path,
    values: dict[str, Any],
    folder: Path,
    in_place: bool = False,
    output_root: Path | None = None,
    on_cell: Callable[[str, int, int], object] | None = None,
) -> dict:
    """Execute one notebook, keep its copy in the folder; its entry of the summary (see `run_notebooks`).

    Args:
        path: the notebook.
        values: of its parameters, checked.
        folder: for the executed copy.
        in_place: replace the notebook too, where it ran without error.
        output_root: what `output_root()` says in the notebook; None means the project.
        on_cell: told, when a code cell begins, the notebook's name, which cell it is, and of how many.
    """
    from dmmlab.lab.kernels import execute

    # The bits of BLAS's products depend on the number of its threads; and small ones take longer when they are shared.
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **os.environ}
    if output_root:
        environment["DMMLAB_OUTPUT"] = str(output_root)
    source, committed, start = path.read_bytes(), read_bits(read_notebook(path)), time.perf_counter()
    notebook, failure = execute(path, values, environment, on_cell and partial(on_cell, path.name))
    seconds = round(time.perf_counter() - start, 1)
    if in_place and not failure and path.read_bytes() != source:
        failure = {"cell": None, "error": "Edited", "message": "changed meanwhile, not replaced; run again"}
    output = folder / f"{path.stem}{'.failed' if failure else ''}.ipynb"
    _save(output, strip_run_metadata(notebook))
    if in_place and not failure:
        _save(path, normalize_for_commit(notebook, seconds))
    bits = None
    if committed and not values and not failure:
        bits = "same" if read_bits(notebook) == committed else "other"
    entry = {"number": path.name[:2], "notebook": path.name, "status": "failed" if failure else "done"}
    return {**entry, "seconds": seconds, "bits": bits, "parameters": values, "output": str(output), **failure}


def describe_failure(name: object, entry: dict) -> str:
    """One line that says where a run failed, and how."""
    where = f"cell {entry['cell']}" if entry["cell"] else "before its first cell"
    return textwrap.shorten(f"{name}, {where}: {entry['error']}: {entry['message']}", 200, placeholder="...")


def read_bits(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """What `save_results` printed in a notebook: the bits of its results by their names."""
    return dict(BITS.findall(read_printed(notebook)))


def read_printed(notebook: nbformat.NotebookNode) -> str:
    """What the cells of a notebook printed, one after another."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(output.text for output in outputs if output.get("name") == "stdout")


def _save(path: Path, notebook: nbformat.NotebookNode) -> None:
    import nbformat.sign

    text = nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"
    atomic_write(path, text)
    # Unsigned, a notebook opens without its drawings; but a read-only home is no reason to fail.
    with suppress(Exception):
        notary = nbformat.sign.NotebookNotary()
        notary.sign(nbformat.reads(text, as_version=4))
        notary.store.close()


def strip_run_metadata(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without what changes from run to run or needs the kernel that made it."""
    for part in (notebook, *notebook.cells):
        for key in ("papermill", "widgets", "execution"):
            part.metadata.pop(key, None)
        if part.metadata.get("tags") == []:
            del part.metadata["tags"]  # papermill gives every cell a list of tags
    for number, cell in enumerate(notebook.cells):
        if "id" in cell and any(tag.startswith(DRAWN) for tag in cell.metadata.get("tags", ())):
            cell.id = f"papermill-{number}"  # it draws the names of its cells at random
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _lasts(output)]
    return notebook


def _lasts(output: nbformat.NotebookNode) -> bool:
    """Whether an output shows something without a kernel; a widget beside its picture is taken away."""
    data = output.get("data", {})
    return data.pop(WIDGET, None) is None or bool(data.keys() - {"text/plain"})


def normalize_for_commit(notebook: nbformat.NotebookNode, seconds: float) -> nbformat.NotebookNode:
    """The notebook as it is committed: with the kernel named python3 of any version, and nothing of stderr."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.update(kernelspec=kernel, language_info={"name": "python"}, dmmlab={"seconds": seconds})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook
