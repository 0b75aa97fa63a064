"""dmmlab: synthesize dataflow matrix machines that people can read. `import dmmlab as dmm`."""

from importlib import import_module
from typing import Any

from dmmlab.engine import Engine, run
from dmmlab.evolution import estimate_gradient, evolve
from dmmlab.exactness import Exactness, examine, random_strings
from dmmlab.files import DMMError, project_root, save_results, write_json
from dmmlab.interpreter import Tick, answers, cycle, trace
from dmmlab.julia import initialize
from dmmlab.machines import (
    Link,
    Machine,
    feedforward,
    handcrafted_detector,
    load_machine,
    load_matrix,
    recurrent,
    save_matrix,
    write_program,
)
from dmmlab.objective import Objective
from dmmlab.programs import PROGRAMS, Program, automaton
from dmmlab.pruning import living
from dmmlab.reading import canonical, same_program
from dmmlab.synthesis import Synthesis, embed, synthesize, synthesize_all
from dmmlab.tasks import TASKS, Task, find_task, task
from dmmlab.training import SGD, Adam, Training, train
from dmmlab.vvalues import VValue, inner, mask, max_norm, number

__all__ = [
    "PROGRAMS",
    "SGD",
    "STYLE",
    "TASKS",
    "Adam",
    "DMMError",
    "Drawing",
    "Exactness",
    "Engine",
    "Formula",
    "Link",
    "Machine",
    "Objective",
    "Program",
    "Stepper",
    "Synthesis",
    "Task",
    "Tick",
    "Training",
    "VValue",
    "answers",
    "automaton",
    "canonical",
    "cycle",
    "draw",
    "draw_changes",
    "draw_strip",
    "estimate_gradient",
    "evolve",
    "embed",
    "examine",
    "feedforward",
    "find_task",
    "formula",
    "handcrafted_detector",
    "initialize",
    "inner",
    "living",
    "load_machine",
    "load_matrix",
    "mask",
    "matrices",
    "max_norm",
    "new_figure",
    "number",
    "plot_losses",
    "plot_matrix",
    "project_root",
    "random_strings",
    "recurrent",
    "run",
    "same_program",
    "save_figure",
    "save_matrix",
    "save_results",
    "step_through",
    "synthesize",
    "synthesize_all",
    "task",
    "tikz",
    "trace",
    "train",
    "write_json",
    "write_program",
]

# What draws is imported when it is first used: matplotlib and IPython take longer than all the rest.
_DRAWING = {
    "drawing": ("Drawing", "draw"),
    "figures": ("draw_strip", "new_figure", "plot_losses", "save_figure"),
    "formulas": ("Formula", "formula"),
    "recipes": ("STYLE",),
    "rewiring": ("draw_changes", "matrices", "plot_matrix"),
    "stepper": ("Stepper", "step_through"),
    "latex": ("tikz",),
}
_HOMES = {name: f"dmmlab.{module}" for module, names in _DRAWING.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dmmlab' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
