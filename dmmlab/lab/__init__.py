"""The lab: circuits, figures, the stepper, notebooks, sweeps, and the command line."""

from dmmlab.lab.circuits import Drawing, draw
from dmmlab.lab.figures import draw_strip, new_figure, plot_losses, save_figure
from dmmlab.lab.latex import tikz
from dmmlab.lab.project import load_machine, project_root, save_results
from dmmlab.lab.recipes import STYLE
from dmmlab.lab.rewiring import draw_changes, matrices, plot_matrix
from dmmlab.lab.stepper import Stepper, step_through

__all__ = [
    "Drawing", "STYLE", "Stepper", "draw", "draw_changes", "draw_strip", "load_machine", "matrices", "new_figure",
    "plot_losses", "plot_matrix", "project_root", "save_figure", "save_results", "step_through", "tikz",
]  # fmt: skip
