"""The lab: circuits, figures, the stepper, notebooks, sweeps, and the command line."""

from dmmlab.lab.circuits import Drawing, draw
from dmmlab.lab.figures import STYLE, panels, plot_losses, save_figure
from dmmlab.lab.journal import load_published, machine_of
from dmmlab.lab.pictures import draw_changes, draw_strip, matrices, plot_matrix
from dmmlab.lab.players import play
from dmmlab.lab.project import load_machine, project_root, save_results
from dmmlab.lab.reports import say, table
from dmmlab.lab.stepper import Stepper, step_through

__all__ = [
    "Drawing", "STYLE", "Stepper", "draw", "draw_changes", "draw_strip", "load_machine", "load_published",
    "machine_of", "matrices", "panels", "play", "plot_losses", "plot_matrix", "project_root", "save_figure",
    "save_results", "say", "step_through", "table",
]  # fmt: skip
