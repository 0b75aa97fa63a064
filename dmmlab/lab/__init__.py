"""The lab: circuits, figures, the stepper, notebooks, sweeps, and the command line."""

from importlib import import_module
from typing import Any

# Commands that draw nothing do not wait for what draws.
_MODULES = {
    "axes": "panels",
    "circuits": "Drawing draw",
    "figures": "STYLE plot_losses save_figure",
    "journal": "load_published machine_of",
    "pictures": "draw_changes draw_strip matrices plot_matrix",
    "players": "play",
    "project": "load_machine project_root save_results",
    "reports": "say table",
    "stepper": "Stepper step_through",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dmmlab.lab' has no attribute {name!r}")
    return getattr(import_module(f"dmmlab.lab.{_HOMES[name]}"), name)
