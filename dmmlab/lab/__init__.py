"""The lab: circuits, figures, the stepper, notebooks, sweeps, and the command line."""

from dmmlab.lab.circuits import Drawing, draw
from dmmlab.lab.figures import STYLE, panels, plot_losses, save_figure
from dmmlab.lab.pictures import draw_changes, draw_strip, matrices, plot_matrix
from dmmlab.lab.project import load_machine, project_root, save_results
from dmmlab.lab.stepper import Stepper, step_through

__all__ = [
    "Drawing", "STYLE", "Stepper", "draw", "draw_changes", "draw_strip", "load_machine", "matrices", "panels",
    "plot_losses", "plot_matrix", "project_root", "save_figure", "save_results", "step_through",
]  # fmt: skip
