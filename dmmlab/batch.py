"""Reruns the numbered notebooks in fresh kernels: parameters checked first, results kept in a run folder."""

from __future__ import annotations

import ast
import difflib
import json
import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from dmmlab.files import DMMError, parse_json, project_root, write_json, write_whole

TYPES = {"int": {int}, "float": {int, float}, "bool": {bool}, "str": {str}, "list": {list}, "dict": {dict}}
DRAWN = ("injected-parameters", "papermill-error")
WIDGET = "application/vnd.jupyter.widget-view+json"


def find_notebooks(root: str | os.PathLike | None = None) -> list[Path]:
    """The project's notebooks `notebooks/NN-title.ipynb`, in the order of their numbers.

    Raises DMMError when there is none. Example: `[path.stem for path in find_notebooks()]`.
    """
    folder = Path(root or project_root()).resolve() / "notebooks"
    found = sorted(folder.glob("[0-9][0-9]-*.ipynb"))
    if not found:
        raise DMMError(f"{folder}: no notebook named NN-title.ipynb; run this inside the project")
    return found


def check_parameters(notebook: str | os.PathLike, given: dict[str, Any]) -> dict[str, Any]:
    """The given values, read as the types that the notebook's cell tagged `parameters` declares.

    A value is plain JSON data or text that spells it: "100", "0.5", "true", "null", "[1, 2]". Raises DMMError
    for a notebook without such a cell, a name that it does not have, and a value of another type.
    Example: `check_parameters("notebooks/05-feedforward-run-3.ipynb", {"steps": "100"})` gives `{"steps": 100}`.
    """
    notebook = Path(notebook)
    known = read_parameters(notebook)
    if not known:
        raise DMMError(f"{notebook.name}: has no parameters; tag a cell `parameters`, or leave it out")
    refuse_unknown(given, known, notebook.name)
    return {name: read_value(name, value, known[name][0]) for name, value in given.items()}


def run_notebooks(
    numbers: list[int | str] | None = None,
    parameters: dict[str, Any] | None = None,
    output: str | os.PathLike | None = None,
    in_place: bool = False,
    root: str | os.PathLike | None = None,
) -> list[dict]:
    """Execute notebooks in order, each in a fresh kernel of this Python; a failure does not stop the others.

    numbers: which (2 or "02"); None means all. parameters: values by name, for those notebooks that have them
    (see `check_parameters`). output: a folder without notebooks; None means a new one, data/runs/<time>.
    in_place: each notebook that ran without error is replaced by its executed copy, cleaned.
    Returns what summary.json holds: dicts with number, notebook, status ("done" or "failed"), seconds,
    parameters, output (a path), and for failures cell (counted from 1 among the code cells of `output`; None
    when none was reached), error and message. Raises DMMError before anything is written, and on Ctrl-C
    KeyboardInterrupt with the summary so far. Example: `run_notebooks([5], {"steps": 100})[0]["status"]`.
    """
    if in_place and parameters:
        raise DMMError("notebooks are kept in place with default parameters only; leave out one of the two")
    root = Path(root or project_root()).resolve()
    plan = plan_runs(root, numbers, parameters or {})
    folder = _make_folder(root, output)
    summary: list[dict] = []
    try:
        for notebook, values in plan.items():
            summary.append(run_one(notebook, values, folder, in_place))
            if not sys.stderr.isatty():  # a terminal has a progress bar, a log wants a line
                print(f"{notebook.name}: {summary[-1]['status']}, {summary[-1]['seconds']} s", file=sys.stderr)
            write_json(folder / "summary.json", summary)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(summary) from None
    return summary


def read_notebook(path: Path) -> Any:
    """The notebook as nbformat's tree. Raises DMMError when the file is missing or damaged."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises half a dozen unrelated kinds for damaged files
        raise DMMError(f"{path}: not a notebook ({type(error).__name__}); restore an earlier one") from None


def read_parameters(path: Path) -> dict[str, tuple[ast.expr, str]]:
    """Name -> (type, default as written); empty when no cell is tagged `parameters`. Raises DMMError."""
    # Not papermill.inspect_notebook: 2.7 drops lines like `seed: int | None = 0` and cuts defaults at a "#".
    cells = [cell for cell in read_notebook(path).cells if "parameters" in cell.metadata.get("tags", ())]
    source = cells[0].source if cells else ""
    try:
        lines = ast.parse(source).body
    except SyntaxError as error:
        raise DMMError(f"{path.name}: parameters cell: {error.msg}; write lines like `n: int = 1`") from None
    found = {}
    for line in lines:
        match line:
            case ast.AnnAssign(target=ast.Name(name), annotation=kind, value=ast.expr() as value):
                found[name] = (kind, ast.get_source_segment(source, value))
            case ast.Assign(targets=[ast.Name(name)], value=value):
                # Without annotation, the type of a plain default; any other default admits every value.
                kind = ast.Name(type(value.value if isinstance(value, ast.Constant) else None).__name__)
                found[name] = (kind, ast.get_source_segment(source, value))
    return found


def refuse_unknown(given: dict[str, Any], known: dict[str, Any], where: str) -> None:
    """Raises DMMError for the first given name that is not known, with the closest one that is."""
    for name in [str(name) for name in given if name not in known]:
        hint = "".join(f" (did you mean {close}?)" for close in difflib.get_close_matches(name, known, 1))
        raise DMMError(f"{where}: no parameter {name}{hint}; choose from {', '.join(known) or 'none'}")


def read_value(name: str, value: Any, kind: ast.expr) -> Any:
    """One value as the annotated type of its parameter (see `check_parameters`). Raises DMMError."""
    for read in (parse_json, float, str) if isinstance(value, str) else (lambda same: same,):
        with suppress(ValueError, TypeError, RecursionError):
            reading = read(value)
            plain = json.loads(json.dumps(reading, allow_nan=False))
            # json.dumps turns tuples and number keys into something else: not what the notebook should get.
            if plain == reading and _fits(plain, kind) and (plain == value or type(plain) is not str):
                return plain
    raise DMMError(f"parameter {name}: {value!r:.60} does not read as {ast.unparse(kind)}; write it as JSON")


def _fits(value: Any, kind: ast.expr) -> bool:
    """Whether a JSON value is of the annotated type; annotations unknown here admit every value."""
    match kind:
        case ast.BinOp(left=one, right=other):
            return _fits(value, one) or _fits(value, other)
        case ast.Subscript(value=outer, slice=inner):
            return _fits(value, outer) and (type(value) is not list or all(_fits(x, inner) for x in value))
        case ast.Constant(None):
            return value is None
        case ast.Name(name):
            return type(value) in TYPES.get(name, {type(value)})
    return True


def plan_runs(root: Path, numbers: list[int | str] | None, given: dict[str, Any]) -> dict[Path, dict]:
    """The chosen notebooks, each with its share of the given values (see `run_notebooks`). Raises DMMError."""
    existing = {path: path.name[:2] for path in find_notebooks(root)}
    wanted = existing.values() if numbers is None else [str(number).zfill(2) for number in numbers]
    for number in [number for number in wanted if number not in existing.values()]:
        raise DMMError(f"no notebook has the number {number}; choose from {', '.join(existing.values())}")
    known = {path: read_parameters(path) for path, number in existing.items() if number in wanted}
    refuse_unknown(given, {name: path for path in known for name in known[path]}, "the chosen notebooks")
    shares = {path: {name: given[name] for name in given if name in known[path]} for path in known}
    return {path: check_parameters(path, share) if given else {} for path, share in shares.items()}


def _make_folder(root: Path, output: str | os.PathLike | None) -> Path:
    base = str(output or root / "data" / "runs" / time.strftime("%Y%m%d-%H%M%S"))
    paths = (Path(f"{base}-{count}" if count > 1 else base).resolve() for count in range(1, 1000))
    folder = next(path for path in paths if output or not path.exists())
    if any(folder.glob("*.ipynb")):
        raise DMMError(f"{folder}: holds notebooks already; choose another output folder")
    try:
        folder.mkdir(parents=True, exist_ok=bool(output))
    except OSError as error:
        raise DMMError(f"{folder}: cannot make it ({error.strerror}); choose another output folder") from None
    return folder


def run_one(path: Path, values: dict[str, Any], folder: Path, in_place: bool = False) -> dict:
    """Execute one notebook, keep its copy in the folder; its entry of the summary (see `run_notebooks`)."""
    source, start = path.read_bytes(), time.perf_counter()
    notebook, failure = _execute(path, values)
    seconds = round(time.perf_counter() - start, 1)
    if in_place and not failure and path.read_bytes() != source:
        failure = {"cell": None, "error": "Edited", "message": "changed meanwhile, not replaced; run again"}
    output = folder / f"{path.stem}{'.failed' if failure else ''}.ipynb"
    _save(output, _forget(notebook))
    if in_place and not failure:
        _save(path, _clean(notebook, seconds))
    entry = {"number": path.name[:2], "notebook": path.name, "status": "failed" if failure else "done"}
    return {**entry, "seconds": seconds, "parameters": values, "output": str(output), **failure}


def _execute(path: Path, values: dict[str, Any]) -> tuple[Any, dict]:
    """The notebook as far as it ran, and its failure: empty when there was none."""
    import papermill
    from jupyter_client import AsyncKernelManager, kernelspec

    # papermill logs what the summary says anyway, and calls parameters unknown that it cannot parse.
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    # Products of small matrices take longer when BLAS shares them among threads.
    os.environ.update({**dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"), **os.environ})
    # With no folder to search, `python3` is the Python that runs this, whatever the user or JUPYTER_PATH has.
    here = {"_kernel_spec_manager_default": lambda manager: kernelspec.KernelSpecManager(kernel_dirs=[])}
    # papermill gives nothing back from a dead kernel: hooks keep hold of the notebook and the cell that runs.
    seen: dict[str, Any] = {"notebook": read_notebook(path), "cell": None}
    try:
        return papermill.execute_notebook(
            str(path).replace("{", "{{").replace("}", "}}"),  # papermill formats its paths
            None,
            values,
            kernel_name="python3",
            language="python",
            request_save_on_cell_execute=False,
            coalesce_streams=True,
            extra_arguments=["--log-level=CRITICAL"],  # kernels warn of unencrypted talk within this machine
            progress_bar=sys.stderr.isatty() and {"desc": path.stem},
            cwd=path.parent,
            kernel_manager_class=type("OwnKernelManager", (AsyncKernelManager,), here),
            on_notebook_start=lambda notebook: seen.update(notebook=notebook),
            on_cell_execute=lambda cell, cell_index: seen.update(cell=cell),
        ), {}
    except Exception as error:
        return seen["notebook"], _show_failure(**seen, error=error)


def _show_failure(notebook: Any, cell: Any, error: Exception) -> dict:
    name, message = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", str(error))
    code = [each for each in notebook.cells if each.cell_type == "code"]
    number = next((count for count, each in enumerate(code, 1) if each is cell), None)
    outputs = code[(number or 1) - 1].outputs if code else []
    if not any(output.output_type == "error" for output in outputs):
        lines = [f"{name}: {message}"]
        outputs.append(type(notebook)(output_type="error", ename=name, evalue=message, traceback=lines))
    return {"cell": number, "error": name, "message": message}


def _save(path: Path, notebook: Any) -> None:
    import nbformat.sign

    text = nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"
    write_whole(path, text)
    # Unsigned, a notebook opens without its drawings; but a read-only home is no reason to fail.
    with suppress(Exception):
        notary = nbformat.sign.NotebookNotary()
        notary.sign(nbformat.reads(text, as_version=4))
        notary.store.close()


def _forget(notebook: Any) -> Any:
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
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    return notebook


def _clean(notebook: Any, seconds: float) -> Any:
    """The notebook as it is committed: of no particular Python, and without what was said on the side."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.update(kernelspec=kernel, language_info={"name": "python"}, dmmlab={"seconds": seconds})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook
