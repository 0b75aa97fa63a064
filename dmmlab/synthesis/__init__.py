"""Synthesis: from a task to a program that people can read, and what can be said about that program."""

from dmmlab.synthesis.canonical_form import canonical, same_program
from dmmlab.synthesis.formulas import Formula, formula
from dmmlab.synthesis.liveness import living
from dmmlab.synthesis.search import Synthesis, embed, synthesize, synthesize_all
from dmmlab.synthesis.verification import Exactness, examine, random_strings

__all__ = [
    "Exactness", "Formula", "Synthesis", "canonical", "embed", "examine", "formula", "living", "random_strings",
    "same_program", "synthesize", "synthesize_all",
]  # fmt: skip
