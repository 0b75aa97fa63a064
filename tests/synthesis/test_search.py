"""Synthesis: exact programs unattended, the same after a kill, and refusals that leave checkpoints alone."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import refused

from dmmlab.builders import feedforward, handcrafted_detector, write_program
from dmmlab.engine import run
from dmmlab.examples.tasks import find_task
from dmmlab.learn.objective import SOLVED
from dmmlab.learn.tasks import Task
from dmmlab.machines import Machine
from dmmlab.synthesis.canonical_form import same_program
from dmmlab.synthesis.embedding import embed
from dmmlab.synthesis.search import ATTEMPTS, synthesize, synthesize_all

TASK = find_task("duplicates")
COUNTER = write_program(
    """
    accum.dict-2 <- input.char
    dot.dict-1 <- accum.dict
    dot.dict-2 <- eos.char
    output.dict-2 <- dot.dot
    """
)
SMALL = {"task": Task(["a.b.", "..."], ticks_per_character=4, teacher=COUNTER), "architecture": feedforward(3, 1)}


def without_seconds(history):
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]


@pytest.fixture(scope="module")
def found():
    return synthesize(TASK, seed=3, progress=False)


def test_ends_in_the_handcrafted_program(found):
    assert found.verification
    assert found.verification.largest_error == 0.0
    assert found.data_loss == 0.0
    assert same_program(found.machine, handcrafted_detector())
    assert set(found.machine.vector()) == {1.0}
    assert len(found.machine.links) == 8


def test_tells_every_round(found):
    stages = ["train", "solve", "cut", "rewire"]
    assert {entry["stage"] for entry in found.history} == set(stages)
    assert found.history[0]["links"] == 1486
    for before, entry in zip(found.history, found.history[1:], strict=False):
        same = before["attempt"] == entry["attempt"]
        assert entry["loss_before"] == (before["loss"] if same else None)
        assert not same or entry["links"] <= before["links"] or entry["stage"] == "rewire"
    cuts = [entry for entry in found.history if entry["stage"] == "cut"]
    assert any(entry["refused"] for entry in cuts)
    for entry in cuts:
        assert entry["loss"] < SOLVED
        assert all(refusal["loss"] >= SOLVED for refusal in entry["refused"])
    row = json.loads(json.dumps(found.to_dict()))
    assert row["passed"] is True
    assert row["attempts"] == 1 + found.history[-1]["attempt"]
    assert "seconds" not in row
    assert found.seconds == pytest.approx(sum(entry["seconds"] for entry in found.history))
    sizes = [len(machine.links) for machine in found.programs]
    assert sizes[0] == 8
    assert sizes.count(8) == 2 or len(sizes) == ATTEMPTS  # found twice, or as often as was tried


def test_a_resumed_run_ends_as_one_that_was_never_stopped(tmp_path):
    checkpoint, undisturbed = tmp_path / "run.json", synthesize(**SMALL, progress=False)
    assert undisturbed.verification
    assert {entry["stage"] for entry in undisturbed.history} == {"train", "solve", "cut", "rewire"}
    attempts = 1 + undisturbed.history[-1]["attempt"]
    assert attempts > 1
    for number in range(attempts):

        def stop(entry, machine, number=number):
            if entry["attempt"] == number and entry["stage"] == "solve":
                raise KeyboardInterrupt  # this attempt is lost, those before it are in the checkpoint

        with pytest.raises(KeyboardInterrupt):
            synthesize(**SMALL, checkpoint=checkpoint, progress=False, on_round=stop)
        assert checkpoint.exists() == (number > 0)
    resumed = synthesize(**SMALL, checkpoint=checkpoint, progress=False)
    assert resumed.machine == undisturbed.machine
    assert resumed.programs == undisturbed.programs
    assert without_seconds(resumed.history) == without_seconds(undisturbed.history)
    again = synthesize(**SMALL, checkpoint=checkpoint, progress=False)  # of a finished run
    assert again.machine == undisturbed.machine


FEW = Task.from_examples(["a", "ab"], [[1], [1, 1]], ticks_per_step=4)
SUMS = feedforward(1, 1, kinds=("accum", "dot"), letters="ab")


@pytest.mark.parametrize("options", [{"attempts": 1}, {"attempts": 2, "architecture": SUMS}], ids=["small", "layers"])
def test_a_search_stopped_after_an_added_example_goes_on_with_it(options, tmp_path, monkeypatch):
    monkeypatch.setattr("dmmlab.synthesis.search.QUESTIONS", 1)
    checkpoint, rounds = tmp_path / "run.json", []
    run = {"task": FEW, "reference": lambda x: x.count("a"), "progress": False, **options}
    undisturbed = synthesize(**run, on_round=lambda entry, machine: rounds.append(entry["attempt"]))
    second = len(rounds) - len(undisturbed.history)  # rounds before the example was added
    assert second > 0
    last = next(i for i in range(second, len(rounds)) if rounds[i] == max(rounds))  # the first of the last attempt
    done = []

    def stop(entry, machine):
        done.append(entry)
        if len(done) > last:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(**run, checkpoint=checkpoint, on_round=stop)
    done.clear()
    resumed = synthesize(**run, checkpoint=checkpoint, on_round=lambda entry, machine: done.append(entry))
    assert len(done) == len(rounds) - last  # nothing that was finished is done again
    assert resumed.machine == undisturbed.machine
    assert resumed.programs == undisturbed.programs
    assert without_seconds(resumed.history) == without_seconds(undisturbed.history)
    with refused("another", start=checkpoint):
        synthesize(**run | {"task": FEW.with_example("b", len)}, checkpoint=checkpoint)


def test_a_finished_run_goes_on_when_more_attempts_are_asked(tmp_path):
    checkpoint, task = tmp_path / "run.json", {**SMALL, "architecture": feedforward(2, 1), "progress": False}
    synthesize(**task, attempts=1, checkpoint=checkpoint)
    longer = synthesize(**task, attempts=3, checkpoint=checkpoint)
    assert without_seconds(longer.history) == without_seconds(synthesize(**task, attempts=3).history)


def test_an_attempt_that_diverges_is_one_that_failed():
    wild = SMALL["architecture"].with_vector(np.full(len(SMALL["architecture"].links), 1e200))
    found = synthesize(**{**SMALL, "architecture": wild}, attempts=2, progress=False)
    assert found.history[0]["loss"] is None
    assert {entry["attempt"] for entry in found.history} == {0, 1}
    json.dumps(found.history, allow_nan=False)


KILLED = """
import sys
sys.path[:0] = [sys.argv[2], sys.argv[2] + "/.."]
from test_search import SMALL, synthesize
synthesize(**SMALL, checkpoint=sys.argv[1], progress=False)
"""


def test_a_killed_run_goes_on_from_its_checkpoint(tmp_path):
    checkpoint = tmp_path / "run.json"
    command = [sys.executable, "-c", KILLED, str(checkpoint), str(Path(__file__).parent)]
    with subprocess.Popen(command) as process:
        while not checkpoint.exists() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    (search,) = json.loads(checkpoint.read_text(encoding="utf-8"))["searches"]
    resumed, undisturbed = (
        synthesize(**SMALL, checkpoint=checkpoint, progress=False),
        synthesize(**SMALL, progress=False),
    )
    assert 0 < len(search["history"]) <= len(undisturbed.history)
    assert resumed.machine == undisturbed.machine


def test_a_checkpoint_of_another_run_is_refused_and_left_alone(tmp_path):
    checkpoint = tmp_path / "run.json"
    synthesize(**SMALL, attempts=1, checkpoint=checkpoint, progress=False)
    before = checkpoint.read_bytes()
    others = [{"seed": 1}, {"memory_gradient": "truncated"}, {"cut_order": "magnitude"}, {"task": TASK}]
    others.append({"architecture": feedforward(3, 2)})
    for other in others:
        with refused("another", start=checkpoint):
            synthesize(**{**SMALL, **other}, checkpoint=checkpoint, progress=False)
        assert checkpoint.read_bytes() == before
    for damage in (b"", b"[]", b'{"format": "dmmlab synthesis 3"}', before.replace(b'"history"', b'"story"')):
        checkpoint.write_bytes(damage)
        with refused(start=checkpoint):
            synthesize(**SMALL, checkpoint=checkpoint, progress=False)
        assert checkpoint.read_bytes() == damage


def test_what_cannot_be_synthesized_is_refused():
    bare = feedforward(2, 1)
    one_sided = Machine(bare.neurons, bare.weights, bare.fixed, [x for x in bare.links if x.to_field != "dict-2"])
    with refused("output.dict-2", "the task wants answers"):
        synthesize(SMALL["task"], architecture=one_sided.with_vector(np.zeros(len(one_sided.links))), progress=False)
    with refused("keep", "accum-9-9"):
        synthesize(**SMALL, keep=["accum-9-9.dict-2 <- input.char"], progress=False)
    odd = Machine(bare.neurons, bare.weights, bare.fixed, bare.links).link("norm-1-1.dict", "norm-1-1.norm", 1.0, True)
    with refused("norm-1-1.dict <- norm-1-1.norm", "fixed"):
        synthesize(SMALL["task"], architecture=odd, progress=False)
    with refused("Task"):
        synthesize("test string.", progress=False)
    with refused("keep"):
        lost = {"keep": ["dot-2-1.dict-1 <- compare-1-1.false"], "attempts": 1, "progress": False}
        synthesize(**{**SMALL, "architecture": feedforward(2, 1)}, **lost)
    with refused("cut_order"):
        synthesize(**SMALL, cut_order="random", progress=False)
    with refused("seed"):
        synthesize(**SMALL, seed=-1, progress=False)
    with refused("attempts"):
        synthesize(**SMALL, attempts=0, progress=False)
    with refused("0 neurons of kind 'output'"):
        synthesize(Task(["a"], teacher=Machine({"eos": "eos"})), progress=False)


def test_links_to_keep_are_kept():
    counters = {f"accum-{layer}-1.dict-2 <- input.char" for layer in (1, 2)}
    used = counters & set(map(str, synthesize(**SMALL, attempts=2, progress=False).machine.links))
    (other,) = counters - used
    found = synthesize(**SMALL, keep=[other], attempts=2, progress=False)
    assert found.verification
    assert other in map(str, found.machine.links)


def test_a_failure_says_so():
    found = synthesize(**{**SMALL, "architecture": feedforward(1, 1, kinds=("norm",))}, attempts=1, progress=False)
    assert not found.verification
    assert found.data_loss > SOLVED
    assert "counterexample" in str(found.verification)


def test_an_embedded_machine_answers_as_before():
    detector, home = handcrafted_detector(), embed(handcrafted_detector(), feedforward())
    assert len(home.links) == 1486
    assert np.count_nonzero(home.vector()) == 8
    assert np.array_equal(run(home, "zz.test"), run(detector, "zz.test"))
    with refused("dot_clip"):
        embed(handcrafted_detector(dot_clip=9.0), feedforward())
    with refused("no free place"):
        embed(detector, feedforward(2, 1))


def test_a_broken_machine_is_mended():
    weights = handcrafted_detector().vector()
    weights[[1, 4, 6]] = 0.0, -1.0, 1.7
    home = embed(handcrafted_detector().with_vector(weights), feedforward())
    mended = synthesize(TASK, seed=0, architecture=home, progress=False)
    assert mended.verification
    assert same_program(mended.machine, handcrafted_detector())


def test_many_at_once_give_the_same_in_the_same_order():
    runs = [{**SMALL, "seed": seed, "attempts": 1} for seed in (0, 1)]
    alone = [synthesize(**run, progress=False).machine for run in runs]
    assert [each.machine for each in synthesize_all(runs, workers=2)] == alone
