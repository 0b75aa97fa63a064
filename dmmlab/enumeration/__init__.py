"""Enumeration: small programs for tasks of examples, put together from parts, or read off from the answers.

In this order: the steps of a task as arrays (steps); parts of programs (parts, streams); what gives the answers
(fitting, curves, regression, loops, automata); neurons and links of it (assembly and two more); programs of streams at
slow speeds (slowing); the search (programs).
"""

from dmmlab.enumeration.programs import find_programs

__all__ = ["find_programs"]
