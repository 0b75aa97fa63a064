"""Kernels of this Python: they run a notebook's cells, and end with all that they started."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import Any

import papermill
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.utils import ensure_event_loop
from nbformat import NotebookNode
from nbformat.v4 import new_output
from papermill.execute import remove_error_markers
from traitlets import Dict
from traitlets.config import Config

from dmmlab.lab.parameters import read_notebook

processes = []  # of the kernels that were started here
stopping = threading.Event()  # set by `stop_kernels`


class OwnKernelManager(AsyncKernelManager):
    """Starts the Python that runs this, and talks with it through files of its own."""

    environment = Dict(help="variables of the kernel").tag(config=True)

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        # With no folder to search, `python3` is the Python that runs this, whatever the user or JUPYTER_PATH has.
        return KernelSpecManager(kernel_dirs=[])

    async def start_kernel(self, **options: Any) -> None:
        """Start it, unless kernels were stopped meanwhile."""
        # A free port may be somebody else's until the kernel takes it; files in a folder of one's own are not.
        self.folder = tempfile.mkdtemp(prefix="dmmlab-")
        if os.name == "posix" and len(self.folder) < 80:  # names of sockets are short
            self.transport, self.ip = "ipc", f"{self.folder}/kernel"
        self.connection_file = f"{self.folder}/kernel.json"
        await super().start_kernel(env={**self.environment, **_homes(self.folder)}, **options)
        processes.append(self.provisioner.process)
        if stopping.is_set():
            stop_kernels()

    async def cleanup_resources(self, restart: bool = False) -> None:
        """Delete its files too."""
        await super().cleanup_resources(restart)
        shutil.rmtree(self.folder, ignore_errors=True)


def _homes(folder: str) -> dict[str, str]:
    """Variables that give IPython and matplotlib places in this folder, where those of the user cannot be written."""
    wanted = {"IPYTHONDIR": ".ipython", "MPLCONFIGDIR": ".config/matplotlib"}
    try:
        for name, usual in wanted.items():
            place = Path(os.environ.get(name) or Path("~", usual).expanduser())
            place.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=place).close()
    except (OSError, RuntimeError):  # no such folder, or no home
        return {name: str(Path(folder, usual)) for name, usual in wanted.items()}
    return {}


def stop_kernels() -> None:
    """Kill all kernels, with what they started; none starts until `stopping` is cleared."""
    stopping.set()
    for process in processes:
        with suppress(ProcessLookupError):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # a kernel leads a group of its own


def execute(
    path: Path, values: dict[str, Any], environment: dict[str, str], on_cell: Callable[[int, int], object] | None = None
) -> tuple[NotebookNode, dict]:
    """The notebook as far as it ran with these values, and its failure: empty when there was none. `on_cell` is told
    which of its code cells begins, from 1, and how many there are. Raises CancelledError where it was stopped.
    """
    notebook = read_notebook(path)
    # papermill logs what the summary says anyway, and calls parameters unknown that it cannot parse.
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    # papermill gives nothing back from a dead kernel: hooks keep hold of the notebook and the cell that runs.
    seen: dict[str, Any] = {"notebook": notebook, "cell": None}

    def begin(cell: NotebookNode, cell_index: int) -> None:
        seen["cell"] = cell
        place, places = _find_cell(seen["notebook"], cell)
        if on_cell is not None and place is not None:
            on_cell(place, places)

    try:
        papermill.execute_notebook(
            notebook,
            None,
            values,
            kernel_name="python3",
            language="python",
            extra_arguments=["--log-level=CRITICAL"],  # kernels warn of unencrypted talk within this machine
            progress_bar=False,
            resources={"metadata": {"path": str(path.parent)}},  # papermill's `cwd` would move all threads there
            kernel_manager_class=OwnKernelManager,
            config=Config(OwnKernelManager={"environment": environment}),
            on_notebook_start=lambda notebook: seen.update(notebook=notebook),
            on_cell_execute=begin,
        )
        failure = {}
    except Exception as error:
        if stopping.is_set():
            raise CancelledError from None
        # papermill calls every error a failure, also those after which a cell's tag `raises-exception` lets it go on.
        if isinstance(error, papermill.PapermillExecutionError) and not seen["cell"].metadata.papermill["exception"]:
            seen["notebook"], failure = remove_error_markers(seen["notebook"]), {}
        else:
            failure = _show_failure(**seen, error=error)
    finally:
        ensure_event_loop().close()  # this thread's, which its end would leave open
    for cell in seen["notebook"].cells:
        join_streams(cell.get("outputs", []))
    return seen["notebook"], failure


def join_streams(outputs: list[NotebookNode]) -> None:
    """One output for all that a cell printed, one for its errors, in this order; of progress bars the last state.

    This is nbclient's `coalesce_streams`, whose time grows with the square of a line's length.
    """
    streams: dict[str, list] = {"stdout": [], "stderr": []}
    kept = []
    for output in outputs:
        if output.output_type != "stream":
            kept.append(output)
            continue
        if not streams[output.name]:
            kept.append(output)
        streams[output.name].append(output)
    for first, *others in filter(None, streams.values()):
        first.text = _last_states("".join(output.text for output in (first, *others)))
    for i, (output, after) in enumerate(zip(kept, kept[1:], strict=False)):
        if (output.get("name"), after.get("name")) == ("stderr", "stdout"):
            kept[i : i + 2] = after, output
    outputs[:] = kept


def _last_states(text: str) -> str:
    """Each line without what was before its last carriage return, but for those at its end."""
    return "\n".join(line[line.rfind("\r", 0, max(len(line) - 1, 0)) + 1 :] for line in text.split("\n"))


def _find_cell(notebook: NotebookNode, cell: NotebookNode | None) -> tuple[int | None, int]:
    """The number of a cell among the code cells, from 1; and how many there are."""
    code = [each for each in notebook.cells if each.cell_type == "code"]
    return next((count for count, each in enumerate(code, 1) if each is cell), None), len(code)


def _show_failure(notebook: NotebookNode, cell: NotebookNode | None, error: Exception) -> dict:
    name, message = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", str(error))
    code = [each for each in notebook.cells if each.cell_type == "code"]
    number, _ = _find_cell(notebook, cell)
    outputs = code[(number or 1) - 1].outputs if code else []
    if not any(output.output_type == "error" for output in outputs):
        outputs.append(new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"]))
    return {"cell": number, "error": name, "message": message}
