"""dmmlab: synthesize dataflow matrix machines that people can read. `import dmmlab as dmm`.

What lies in this folder is the core: V-values, neurons, machines, and the interpreter. The rooms above it only look
down, and their names are imported when they are first used.
"""

from importlib import import_module
from typing import Any

import dmmlab.flattening  # noqa: F401  autograd learns of V-values
from dmmlab.builders import feedforward, handcrafted_detector, recurrent, write_program
from dmmlab.files import DMMError, write_json
from dmmlab.inputs import Inputs
from dmmlab.interpreter import Tick, answers, cycle, trace
from dmmlab.links import Link, load_matrix, save_matrix
from dmmlab.machines import Machine
from dmmlab.vvalues import VValue, inner, mask, max_norm, number

_ROOMS = {  # each looks down on those before it
    "engine": "Engine run",
    "learn": "Adam Objective Task Training estimate_gradient evolve initialize train",
    "enumeration": "find_programs",
    "synthesis": (
        "Examination Formula Synthesis Verification canonical embed formula random_strings remove_dead same_program "
        "synthesize synthesize_all to_python verify"
    ),
    "examples": "LADDER PROGRAMS Program Rung TASKS automaton find_task ladder_task task",
    "lab": (
        "Drawing STYLE Stepper draw draw_changes draw_strip load_machine load_published machine_of matrices "
        "panels play plot_losses plot_matrix project_root save_figure save_results say step_through table"
    ),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names.split()}

__all__ = [
    "DMMError", "Inputs", "Link", "Machine", "Tick", "VValue", "answers", "cycle", "feedforward",
    "handcrafted_detector", "inner", "load_matrix", "mask", "max_norm", "number", "recurrent", "save_matrix",
    "trace", "write_json", "write_program", *_HOMES,
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("dmmlab")
    if name not in _HOMES:
        raise AttributeError(f"module 'dmmlab' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"dmmlab.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
