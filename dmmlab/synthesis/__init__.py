"""Synthesis: from a task to a program that people can read, and what can be said about that program."""

from typing import Any

from dmmlab.synthesis.canonical_form import canonical, same_program
from dmmlab.synthesis.embedding import embed
from dmmlab.synthesis.examination import Examination
from dmmlab.synthesis.export import to_python
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.synthesis.search import Synthesis, synthesize, synthesize_all
from dmmlab.synthesis.verification import Verification, random_strings, verify

__all__ = [
    "Examination", "Formula", "Synthesis", "Verification", "canonical", "embed", "formula", "random_strings",
    "remove_dead", "same_program", "synthesize", "synthesize_all", "to_python", "verify",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in ("Formula", "formula"):
        raise AttributeError(f"module 'dmmlab.synthesis' has no attribute {name!r}")
    from dmmlab.synthesis import formulas  # SymPy takes half a second to import, and only formulas need it

    return getattr(formulas, name)
