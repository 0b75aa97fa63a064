"""dmmlab: synthesize dataflow matrix machines that people can read. `import dmmlab as dmm`."""

from dmmlab.drawing import STYLE, Drawing, draw, draw_strip, new_figure, plot_losses, save_figure
from dmmlab.engine import Tick, answers, trace
from dmmlab.files import DMMError, project_root, write_json
from dmmlab.flat import Flat, run
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
)
from dmmlab.tasks import Task
from dmmlab.training import Adam, Objective, Training, train
from dmmlab.vvalues import VValue, inner, max_norm, number

__all__ = [
    "STYLE",
    "Adam",
    "DMMError",
    "Drawing",
    "Flat",
    "Link",
    "Machine",
    "Objective",
    "Task",
    "Tick",
    "Training",
    "VValue",
    "answers",
    "draw",
    "draw_strip",
    "feedforward",
    "handcrafted_detector",
    "initialize",
    "inner",
    "load_machine",
    "load_matrix",
    "max_norm",
    "new_figure",
    "number",
    "plot_losses",
    "project_root",
    "recurrent",
    "run",
    "save_figure",
    "save_matrix",
    "trace",
    "train",
    "write_json",
]
