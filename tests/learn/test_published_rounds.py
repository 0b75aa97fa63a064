"""The twenty rounds of the journal's pruning by hand, each from the published matrix before it."""

import csv

import numpy as np
import pytest

from dmmlab.builders import feedforward
from dmmlab.lab.journal import load_published
from dmmlab.lab.project import project_root
from dmmlab.learn.objective import Objective
from dmmlab.learn.tasks import Task

with (project_root() / "data" / "journal" / "sparse-rounds.csv").open(encoding="utf-8") as file:
    ROUNDS = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
NAMES = ["run-3-2500-steps", *(f"sparse{row['round']:.0f}-after-{row['steps']:.0f}-steps" for row in ROUNDS)]


@pytest.mark.parametrize("row", ROUNDS, ids=lambda row: f"{row['round']:.0f}")
def test_a_cut_leaves_the_published_links_and_the_published_loss(row):
    before, after = (load_published(name) for name in NAMES[int(row["round"]) - 1 : int(row["round"]) + 1])
    machine = feedforward().with_weights(before)
    kept = np.where(np.abs(machine.vector()) >= row["cutoff"], machine.vector(), 0.0)
    machine = machine.with_weights(machine.with_vector(kept).weights)
    assert {*machine.links} == {link for link, _ in after.leaves()}
    assert len(machine.links) == row["links"]
    loss = Objective(machine, Task(["test string."], ticks=140), dtype=np.float32).data_loss(machine.vector())
    assert loss == pytest.approx(row["first_data_loss"], rel=5e-6)
