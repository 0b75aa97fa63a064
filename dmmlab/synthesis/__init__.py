"""Synthesis: from a task to a program that people can read, and what can be said about that program."""

from dmmlab.synthesis.canonical_form import canonical, same_program
from dmmlab.synthesis.embedding import embed
from dmmlab.synthesis.formulas import Formula, formula
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.synthesis.search import Synthesis, synthesize, synthesize_all
from dmmlab.synthesis.verification import Verification, random_strings, verify

__all__ = [
    "Verification", "Formula", "Synthesis", "canonical", "embed", "verify", "formula", "remove_dead", "random_strings",
    "same_program", "synthesize", "synthesize_all",
]  # fmt: skip
