"""Reruns the numbered notebooks in fresh kernels: parameters checked first, results kept in a run folder."""

from __future__ import annotations

import ast
import difflib
import json
import logging
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dmmlab.engine.threads import engine_threads, usable_cores
from dmmlab.files import DMMError, atomic_write, parse_json, write_json
from dmmlab.lab.project import project_root

TYPES = {"int": {int}, "float": {int, float}, "bool": {bool}, "str": {str}, "list": {list}, "dict": {dict}}
DRAWN = ("injected-parameters", "papermill-error")
WIDGET = "application/vnd.jupyter.widget-view+json"
BITS = re.compile(r"^results of (.+): bits ([0-9a-f]{16})$", re.MULTILINE)  # what `save_results` prints
AT_A_TIME = 2  # notebooks, where there are as many cores
KERNELS: set[subprocess.Popen] = set()  # of the notebooks that run, but for those that were stopped


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
    """Execute notebooks, each in a fresh kernel of this Python; a failure does not stop the others.

    Two run at a time where this process may use two cores; but those whose parameter `workers` says that they share out
    the cores themselves run alone, and so does each that is kept in place, for the sake of the times it shows.

    numbers: which (2 or "02"); None means all. parameters: values by name, for those notebooks that have them
    (see `check_parameters`). output: a folder without notebooks; None means a new one, data/runs/<time>.
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
    root = Path(root or project_root()).resolve()
    batch = _Batch(plan_runs(root, numbers, parameters or {}), _make_folder(root, output), in_place)
    try:
        batch.run()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(batch.summary) from None
    return batch.summary


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


@dataclass
class _Batch:
    """Notebooks on their way: what was planned, when each began, and the summary's entries of those that have ended."""

    plan: dict[Path, dict]
    folder: Path
    in_place: bool
    began: dict[Path, float] = field(default_factory=dict)
    entries: dict[Path, dict] = field(default_factory=dict)

    @property
    def summary(self) -> list[dict]:
        return [self.entries[path] for path in self.plan if path in self.entries]

    def run(self) -> None:
        console, terminal = Console(stderr=True), sys.stderr.isatty()
        live = Live(get_renderable=self.picture, console=console, transient=True) if terminal else nullcontext()
        if not terminal:
            print(f"notebooks to run: {len(self.plan)}; kept in {self.folder}", file=sys.stderr)
        with live:
            for paths, at_a_time in self.stages():
                self.run_stage(paths, at_a_time)

    def stages(self) -> list[tuple[list[Path], int]]:
        """Which notebooks run one after the other, and how many at a time."""
        at_a_time = 1 if self.in_place else min(AT_A_TIME, usable_cores())
        if at_a_time == 1:
            return [([*self.plan], 1)]
        alone = [path for path, values in self.plan.items() if _shares_out_cores(path, values)]
        together = [path for path in self.plan if path not in alone]
        # A long one that began last would be left with an idle core beside it; a short one soon has a result to show.
        *long, short = sorted(together, key=_last_seconds, reverse=True) or [None]
        return [([short, *long] if short else [], at_a_time), (alone, 1)]

    def run_stage(self, paths: list[Path], at_a_time: int) -> None:
        """Threads are enough: they only wait for kernels, which are processes. Side by side, each kernel has a core."""
        with engine_threads(1 if at_a_time > 1 else None), ThreadPoolExecutor(at_a_time) as pool:
            futures = {pool.submit(self.run_path, path): path for path in paths}
            try:
                for future in as_completed(futures):
                    self.keep(futures[future], future.result())
            finally:
                _stop(futures)

    def run_path(self, path: Path) -> dict:
        self.began[path] = time.perf_counter()
        return run_one(path, self.plan[path], self.folder, self.in_place)

    def keep(self, path: Path, entry: dict) -> None:
        self.entries[path] = entry
        write_json(self.folder / "summary.json", self.summary)
        if not sys.stderr.isatty():  # a terminal has its line, a log wants one for each
            print(f"{path.name}: {entry['status']}, {entry['seconds']} s", file=sys.stderr)

    def picture(self) -> Text:
        """The line that a terminal shows."""
        failed = sum(entry["status"] == "failed" for entry in self.entries.values())
        running = [(path, time.perf_counter() - since) for path, since in [*self.began.items()]]
        now = ", ".join(f"{path.stem} {seconds:.0f} s" for path, seconds in running if path not in self.entries)
        counts = f"{len(self.entries)} of {len(self.plan)} finished" + f", {failed} failed" * bool(failed)
        return Text(f"{counts}; running: {now}", no_wrap=True, overflow="ellipsis")


def _shares_out_cores(path: Path, values: dict[str, Any]) -> bool:
    _, default = read_parameters(path).get("workers", (None, "1"))
    return str(values.get("workers", default)) != "1"


def _last_seconds(path: Path) -> float:
    """How long the committed run took; what never ran may be long."""
    return read_notebook(path).metadata.get("dmmlab", {}).get("seconds", math.inf)


def _stop(futures: Iterable[Future]) -> None:
    """Cancel what has not begun and kill the kernels of what runs, with all that they started."""
    for future in futures:
        future.cancel()
    while any(future.running() for future in futures):
        while KERNELS:
            kernel = KERNELS.pop()
            with suppress(ProcessLookupError):
                if kernel.poll() is None:
                    os.killpg(kernel.pid, signal.SIGKILL)  # a kernel leads a group of its own
        time.sleep(0.05)  # one may just be starting


def run_one(path: Path, values: dict[str, Any], folder: Path, in_place: bool = False) -> dict:
    """Execute one notebook, keep its copy in the folder; its entry of the summary (see `run_notebooks`)."""
    source, committed, start = path.read_bytes(), read_bits(read_notebook(path)), time.perf_counter()
    notebook, failure = _execute(path, values)
    seconds = round(time.perf_counter() - start, 1)
    if in_place and not failure and path.read_bytes() != source:
        failure = {"cell": None, "error": "Edited", "message": "changed meanwhile, not replaced; run again"}
    output = folder / f"{path.stem}{'.failed' if failure else ''}.ipynb"
    _save(output, _forget(notebook))
    if in_place and not failure:
        _save(path, _clean(notebook, seconds))
    same = None if values or failure or not committed else read_bits(notebook) == committed
    entry = {"number": path.name[:2], "notebook": path.name, "status": "failed" if failure else "done"}
    entry |= {"seconds": seconds, "bits": {True: "same", False: "other"}.get(same)}
    return {**entry, "parameters": values, "output": str(output), **failure}


def read_bits(notebook: Any) -> dict[str, str]:
    """What `save_results` printed in a notebook: the bits of its results by their names."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return dict(BITS.findall("\n".join(output.text for output in outputs if output.get("name") == "stdout")))


def _execute(path: Path, values: dict[str, Any]) -> tuple[Any, dict]:
    """The notebook as far as it ran, and its failure: empty when there was none."""
    import papermill
    from jupyter_core.utils import ensure_event_loop

    # papermill logs what the summary says anyway, and calls parameters unknown that it cannot parse.
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    # The bits of BLAS's products depend on the number of its threads; and small ones take longer when they are shared.
    os.environ.update({**dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"), **os.environ})
    # papermill gives nothing back from a dead kernel: hooks keep hold of the notebook and the cell that runs.
    seen: dict[str, Any] = {"notebook": read_notebook(path), "cell": None}
    kernels: list[subprocess.Popen] = []
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
            progress_bar=False,
            resources={"metadata": {"path": str(path.parent)}},  # papermill's `cwd` would move all threads there
            kernel_manager_class=_make_manager(kernels),
            on_notebook_start=lambda notebook: seen.update(notebook=notebook),
            on_cell_execute=lambda cell, cell_index: seen.update(cell=cell),
        ), {}
    except Exception as error:
        if not KERNELS.issuperset(kernels):
            raise KeyboardInterrupt from None  # it was stopped, and has not failed
        return seen["notebook"], _show_failure(**seen, error=error)
    finally:
        KERNELS.difference_update(kernels)
        ensure_event_loop().close()  # this thread's, which its end would leave open


def _make_manager(kernels: list[subprocess.Popen]) -> type:
    """A class of kernel managers that start the Python that runs this, and note its process."""
    from jupyter_client import AsyncKernelManager, kernelspec

    class OwnKernelManager(AsyncKernelManager):
        def _kernel_spec_manager_default(self) -> kernelspec.KernelSpecManager:
            # With no folder to search, `python3` is the Python that runs this, whatever the user or JUPYTER_PATH has.
            return kernelspec.KernelSpecManager(kernel_dirs=[])

        async def start_kernel(self, **options: Any) -> None:
            # A free port may be somebody else's until the kernel takes it; files in a folder of one's own are not.
            self.folder = tempfile.mkdtemp(prefix="dmmlab-")
            if os.name == "posix" and len(self.folder) < 80:  # names of sockets are short
                self.transport, self.ip = "ipc", f"{self.folder}/kernel"
            self.connection_file = f"{self.folder}/kernel.json"
            await super().start_kernel(**options)
            KERNELS.add(self.provisioner.process)
            kernels.append(self.provisioner.process)

        async def cleanup_resources(self, restart: bool = False) -> None:
            await super().cleanup_resources(restart)
            shutil.rmtree(self.folder, ignore_errors=True)

    return OwnKernelManager


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
    atomic_write(path, text)
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
