"""Rewiring: a shorter program that lies one link aside."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from itertools import combinations

import numpy as np

from dmmlab.learn.objective import SOLVED, Objective
from dmmlab.learn.tasks import Task
from dmmlab.machines import SOURCES, Machine
from dmmlab.synthesis.liveness import remove_dead


def rewire(machine: Machine, task: Task, architecture: Machine, keep: Collection[str] = ()) -> Machine:
    """A shorter machine with data loss zero that lies one link aside, or the same machine if there is none.

    Once weights are canonical, programs are nearly discrete: all machines that drop one or two links and add one,
    between their neurons and the sources, of one of the three smallest weights (mostly 1 alone), are tried in batches.
    """
    names = {*machine.neurons, *SOURCES} & architecture.neurons.keys()
    neurons = {name: kind for name, kind in architecture.neurons.items() if name in names}
    links = [link for link in architecture.links if {link.to_neuron, link.from_neuron} <= names]
    links = [link for link in links if link not in machine.fixed_links]
    wide = replace(machine, neurons=neurons, links=links)
    wide = replace(wide, links=remove_dead(wide.with_vector(np.ones(len(wide.links)))).links)
    start, sizes = wide.vector(), sorted(set(np.abs(machine.vector())))[:3]
    old = [i for i, link in enumerate(wide.links) if link in machine.links and str(link) not in keep]
    new = [i for i, link in enumerate(wide.links) if link not in machine.links]
    added = np.kron(np.eye(len(start))[new], np.outer(sizes, (1.0, -1.0)).reshape(-1, 1))
    checks = [Objective(wide, _shortest(task)), Objective(wide, task)]  # most fail the first, which is quick
    best = machine
    for count in (1, 2):
        for dropped in combinations(old, count):
            trials = start + added
            trials[:, dropped] = 0.0
            for objective in checks:
                trials = trials[objective.data_loss(trials) < SOLVED] if len(trials) else trials
            for trial in trials:
                shorter = remove_dead(wide.with_vector(trial))
                if set(keep) <= {str(link) for link in shorter.links}:
                    best = min(best, shorter, key=lambda each: len(each.links))
        if best is not machine:
            break
    return best


def _shortest(task: Task) -> Task:
    return task.only([int(np.argmin(task.ticks))])
