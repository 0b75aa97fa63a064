"""dmmlab: synthesize dataflow matrix machines that people can read. `import dmmlab as dmm`."""

from dmmlab.drawing import Drawing, draw
from dmmlab.interpreter import Tick, answers, cycle, trace
from dmmlab.evolution import estimate_gradient, evolve
from dmmlab.exactness import Exactness, examine, random_strings
from dmmlab.figures import draw_strip, new_figure, plot_losses, save_figure
from dmmlab.files import DMMError, project_root, save_results, write_json
from dmmlab.engine import Engine, run
from dmmlab.formulas import Formula, formula
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
from dmmlab.recipes import STYLE
from dmmlab.rewiring import draw_changes, matrices, plot_matrix
from dmmlab.stepper import Stepper, step_through
from dmmlab.synthesis import Synthesis, embed, synthesize, synthesize_all
from dmmlab.tasks import TASKS, Task, find_task, task
from dmmlab.tikz import tikz
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
