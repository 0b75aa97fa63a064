"""Kernels of this Python: they run a notebook's cells, and end with all that they started."""

from __future__ import annotations

import logging
import os
import re
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
from jupyter_client import AsyncKernelClient, AsyncKernelManager
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.utils import ensure_event_loop
from nbformat import NotebookNode
from nbformat.v4 import new_output
from papermill.execute import remove_error_markers
from traitlets import Dict, Integer, Type
from traitlets.config import Config

from dmmlab.lab.parameters import read_notebook

REASON = re.compile(r"^(?:\w+Error|Fatal Python error): .*", re.MULTILINE)
processes = []  # of the kernels that were started here
stopping = threading.Event()  # set by `stop_kernels`


class Replies(AsyncZMQSocketChannel):
    """The replies of a kernel. After each cell it is asked for one more: replies come in order, so a cell that has none
    by then never has one, and is given one here. nbclient would wait for it for ever.
    """

    cell = after = None  # the request that runs a cell, while it has no reply, and the one after it

    def send(self, message: dict[str, Any]) -> None:
        """Send a request."""
        super().send(message)
        if message["header"]["msg_type"] == "execute_request":
            self.cell, self.after = message, self.session.msg("kernel_info_request")
            super().send(self.after)

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:
        """The next reply."""
        reply = await super().get_msg(timeout)
        if self.cell is not None:
            request = reply["parent_header"].get("msg_id")
            if request == self.after["msg_id"]:
                told = "the kernel cannot tell how this cell ended; an error's own __str__ may be wrong"
                failure = {"status": "error", "ename": "NoReply", "evalue": told, "traceback": []}
                return self.session.msg("execute_reply", failure, parent=self.cell)
            if request == self.cell["msg_id"]:
                self.cell = None
        return reply


class OwnKernelClient(AsyncKernelClient):
    """Does not wait for replies that never come."""

    shell_channel_class = Type(Replies)


class OwnKernelManager(AsyncKernelManager):
    """Starts the Python that runs this, and talks with it through files of its own."""

    environment = Dict(help="variables of the kernel").tag(config=True)
    said = Integer(help="the number of an open file, for what it says outside of cells").tag(config=True)
    client_factory = Type(OwnKernelClient)

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
        options |= {"env": {**self.environment, **_homes(self.folder)}, "stdout": self.said, "stderr": self.said}
        await super().start_kernel(**options)
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
    seen: dict[str, Any] = {"notebook": notebook, "cell": None, "reply": None}

    def begin(cell: NotebookNode, cell_index: int) -> None:
        seen["cell"] = cell
        place, places = _find_cell(seen["notebook"], cell)
        if on_cell is not None and place is not None:
            on_cell(place, places)

    with tempfile.TemporaryFile() as said:
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
                config=Config(OwnKernelManager={"environment": environment, "said": said.fileno()}),
                on_notebook_start=lambda notebook: seen.update(notebook=notebook),
                on_cell_execute=begin,
                on_cell_error=lambda execute_reply, **_: seen.update(reply=execute_reply["content"]),
            )
            failure = {}
        except Exception as error:
            if stopping.is_set():
                raise CancelledError from None
            told = isinstance(error, papermill.PapermillExecutionError)
            # papermill calls every error a failure, also where a cell's tag `raises-exception` lets it go on.
            if told and not seen["cell"].metadata.papermill["exception"]:
                seen["notebook"], failure = remove_error_markers(seen["notebook"]), {}
            else:
                said.seek(0)
                failure = _show_failure(**seen, error=error, said=said.read().decode(errors="replace"))
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


def _show_failure(
    notebook: NotebookNode, cell: NotebookNode | None, reply: dict | None, error: Exception, said: str
) -> dict:
    """What the summary tells of a failure. Where its cell does not show it, it is added there, with what was said."""
    name, message = type(error).__name__, str(error)
    if isinstance(error, papermill.PapermillExecutionError):
        # It speaks of an error that some cell shows, perhaps one that was allowed; the kernel's last reply does not.
        told = reply or {"ename": error.ename, "evalue": error.evalue}
        name, message = told["ename"], told["evalue"]
    code = [each for each in notebook.cells if each.cell_type == "code"]
    number, _ = _find_cell(notebook, cell)
    outputs = code[(number or 1) - 1].outputs if code else []
    if not any(output.output_type == "error" for output in outputs):
        message = ": ".join([message, *REASON.findall(said)[-1:]])
        traceback = [f"{name}: {message}", *said.splitlines()]
        outputs.append(new_output("error", ename=name, evalue=message, traceback=traceback))
    return {"cell": number, "error": name, "message": message}
