"""Pruning: what counts as alive, and the instruments that train, solve, cut and rewire."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import refused
from hypothesis import given, settings
from hypothesis import strategies as st

from dmmlab.builders import feedforward, handcrafted_detector, recurrent, write_program
from dmmlab.engine import Engine
from dmmlab.engine.keys import FREE, NUM, possible_keys
from dmmlab.inputs import Inputs
from dmmlab.interpreter import trace
from dmmlab.learn.julia import initialize
from dmmlab.learn.objective import SOLVED, Objective
from dmmlab.learn.tasks import Task
from dmmlab.learn.training import Adam, train
from dmmlab.machines import Link
from dmmlab.neurons import KINDS, SCALAR, find_kind
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.synthesis.pruning import cut, saliency, solve, train_sparse
from dmmlab.synthesis.rewiring import rewire
from dmmlab.synthesis.verification import largest_errors
from dmmlab.vvalues import from_leaves

DETECTOR = handcrafted_detector()
TASK = Task(["hello. all.", "abcab.", "zz.zzz."], ticks_per_character=4)
SEEDS = st.integers(0, 2**32)
STRINGS, SPEEDS = ["ab.a.cc..a", "aaaaaaaa", "b"], [3, 1, 7]


def sub_machine(rng, architectures=((3, 2), (4, 1), (2, 2)), links=(25, 140)):
    """Some links of a feedforward machine: weights small and round, or any; others zero, or not there."""
    machine = feedforward(*architectures[rng.integers(len(architectures))], dot_clip=float(rng.choice([1.0, 4.0])))
    size = len(machine.links)
    # Links that skip few layers, and those to the output, are the ones of which programs are made.
    odds = np.array([3.0 if link.to_neuron == "output" else 1.0 for link in machine.links])
    chosen = rng.choice(size, min(size, rng.integers(*links)), replace=False, p=odds / odds.sum())
    weights = np.zeros(size)
    weights[chosen] = rng.choice([-2, -1, -1, -0.5, 0.5, 1, 1, 1, 3], len(chosen))
    if rng.integers(2):
        weights[chosen] = rng.normal(size=len(chosen))
    if rng.integers(2):
        kept = [machine.links[i] for i in sorted(chosen)]
        return replace(machine, links=kept, weights=from_leaves((machine.links[i], weights[i]) for i in chosen))
    return machine.with_vector(weights)


def looped_machine(rng):
    machine = recurrent(1)
    weights = rng.normal(scale=0.3, size=len(machine.links)) * (rng.random(len(machine.links)) < 0.2)
    return machine.with_vector(weights)


def without(machine, links):
    """The machine without these links, and without those that are dead then."""
    return remove_dead(machine.with_vector([w * (link not in links) for link, w in machine.soft_links.items()]))


def apart(a, b, strings=STRINGS, speeds=SPEEDS):
    """The largest difference of two machines' answers, relative to the size of the answers where they are large."""
    size = np.abs(Engine(b, Inputs(strings, ticks_per_character=speeds)).answers(b.vector())).max()
    return largest_errors(a, b, strings, speeds).max() / max(1.0, size)


def reached(start, steps):
    """What can be reached from `start`; `steps` are pairs (from, to)."""
    found, new = set(), set(start)
    while new:
        found |= new
        new = {b for a, b in steps if a in found} - found
    return found


# ---- what is alive ----


@settings(max_examples=60)
@given(SEEDS, st.booleans())
def test_what_cannot_matter_goes_and_answers_stay(seed, loops):
    rng = np.random.default_rng(seed)
    machine = looped_machine(rng) if loops else sub_machine(rng)
    alive = remove_dead(machine)
    assert apart(alive, machine) <= 1e-12
    before = dict(zip(machine.links, machine.vector(), strict=True))
    assert all(before[link] == weight != 0 for link, weight in zip(alive.links, alive.vector(), strict=True))
    steps = [(link.from_neuron, link.to_neuron) for link in (*alive.links, *alive.fixed_links)]
    sources = [name for name, kind in alive.neurons.items() if not find_kind(kind).inputs or kind == "input"]
    forward, back = reached(sources, steps), reached(["output"], [(b, a) for a, b in steps])
    for link in alive.links:
        assert link.from_neuron in forward and link.to_neuron in back, str(link)
    assert set(alive.neurons) <= back | {"timer", "input"}
    assert remove_dead(alive) == alive
    assert (alive.dot_clip, alive.silent_fields) == (machine.dot_clip, machine.silent_fields)


def test_random_machines_are_no_empty_ones():
    sizes = [len(remove_dead(sub_machine(np.random.default_rng(seed))).links) for seed in range(40)]
    assert np.median(sizes) > 8
    looped = [len(remove_dead(looped_machine(np.random.default_rng(seed))).links) for seed in range(40)]
    assert np.median(looped) > 4


@pytest.mark.parametrize("to", ["accum-1.norm", "norm-1.true", "accum-1.dot"])
def test_a_link_to_a_field_that_its_neuron_does_not_read_cannot_matter(to):
    names = ["accum-1.dict-2 <- input.char", "norm-1.dict <- accum-1.dict", "output.dict-1 <- norm-1.norm"]
    machine = recurrent(1)
    weights = [float(str(link) in names) for link in machine.links]
    alive = remove_dead(machine.with_vector(weights))
    assert {str(link) for link in alive.links} == set(names)
    dead = {*names, f"{to} <- input.char"}
    alive = remove_dead(machine.with_vector([float(str(link) in dead) for link in machine.links]))
    assert {str(link) for link in alive.links} == set(names)


@pytest.mark.parametrize(
    ("program", "dead"),
    [
        ("output.dict-2 <- input.char", "characters where a number is read"),
        ("norm.dict <- accum.dict\noutput.dict-1 <- norm.norm", "a memory that nothing feeds"),
        ("dot.dict-1 <- input.char\noutput.dict-1 <- dot.dot", "one input of a dot"),
        ("dot.dict-1 <- input.char\ndot.dict-2 <- const_1.const_1\noutput.dict-1 <- dot.dot", "nothing in common"),
        ("norm.dict <- input.char\ncompare.dict-1 <- norm.norm", "no way to the output"),
        ("compare.dict-1 <- input.char\noutput.dict-2 <- compare.true", "characters where numbers are compared"),
    ],
    ids=lambda text: text if "<-" not in text else "",
)
def test_what_carries_nothing_to_the_output_goes(program, dead):
    alive = remove_dead(write_program(program))
    assert alive.links == ()
    assert set(alive.neurons) == {"timer", "input", "output"}
    assert set(map(str, alive.fixed_links)) == {"timer.timer <- timer.timer", "input.timer <- timer.timer"}


def test_the_detector_is_all_alive_and_falls_with_any_link():
    assert remove_dead(DETECTOR).links == DETECTOR.links
    assert dict(remove_dead(DETECTOR).neurons) == dict(DETECTOR.neurons)
    gone = {str(link): len(without(DETECTOR, [link]).links) for link in DETECTOR.links}
    assert gone["accum.dict-2 <- input.char"] == 2  # the threshold would still be compared with nothing
    assert gone["dot.dict-2 <- eos.char"] == 5
    assert gone["compare.dict-2 <- const_1.const_1"] == 7
    assert without(DETECTOR, []).links == DETECTOR.links
    assert without(DETECTOR, DETECTOR.links).links == ()


def carried(fields, letters):
    """(field, class) of every leaf of field → stream, as `possible_keys` names it."""
    classes = letters | {":number": NUM}
    return {(path[0], NUM if len(path) == 1 else classes.get(path[-1], FREE)) for path, _ in fields.leaves()}


@settings(max_examples=40)
@given(SEEDS, st.booleans())
def test_supports_miss_nothing_that_flows(seed, loops):
    rng = np.random.default_rng(seed)
    machine = looped_machine(rng) if loops else sub_machine(rng, ((2, 2), (3, 1)))
    links = [link for link, weight in zip(machine.links, machine.vector(), strict=True) if weight]
    inputs, outputs, letters = possible_keys(machine, links)
    for tick in trace(machine, "a.ba.", 24, 3):
        for name, kind in machine.neurons.items():
            for field, what in carried(tick.outputs[name], letters) if name in tick.outputs else ():
                assert what & outputs[name, field]
            for field, what in carried(tick.inputs[name], letters) if name in tick.inputs else ():
                read = find_kind(kind).inputs.get(field)
                if read and (what == NUM or read != SCALAR):
                    assert what & inputs[name, field]


def test_supports_are_no_larger_than_kinds_allow():
    inputs, outputs, letters = possible_keys(DETECTOR, DETECTOR.links)
    assert outputs["accum", "dict"] == inputs["norm", "dict"] == FREE | letters["."]
    assert outputs["dot", "dot"] == outputs["compare", "true"] == inputs["output", "dict-2"] == NUM
    assert outputs["eos", "char"] == letters["."]
    inputs, outputs, _ = possible_keys(DETECTOR, [Link.parse("norm.dict", "accum.dict")])
    assert not any((outputs.get(("accum", "dict")), outputs.get(("norm", "norm")), inputs["norm", "dict"]))


def test_the_dot_of_two_different_letters_carries_nothing():
    program = "dot.dict-1 <- letter-a.char\ndot.dict-2 <- letter-b.char\noutput.dict-1 <- dot.dot"
    assert remove_dead(write_program(program)).links == ()


# ---- train ----


def dead_link():
    """The detector with a link whose gradient is zero: nothing reads what it feeds."""
    machine = replace(DETECTOR, neurons={**DETECTOR.neurons, "accum-2": "accum"})
    return machine.link("accum-2.dict-2", "input.char", 0.05)


def test_a_weight_without_gradient_goes_to_zero_and_stays():
    objective = Objective(dead_link(), TASK)
    place = objective.links.index("accum-2.dict-2 <- input.char")
    adam, weights, values = Adam(0.01), objective.weights, []
    for _ in range(25):
        weights = train_sparse(objective, weights, adam, lambda step: 0.3, 1)
        values.append(weights[place])
    assert values[:16] == pytest.approx([0.05 - 0.003 * step for step in range(1, 17)])
    assert values[16:] == [0.0] * 9
    assert adam.steps == 25


@pytest.mark.parametrize("split", [1, 3], ids=["at once", "in parts"])
def test_without_pressure_it_is_adam(split):
    machine = initialize(feedforward(2, 1), scale=0.3, seed=1)
    objective, adam = Objective(machine, TASK), Adam(0.02)
    weights = objective.weights
    for _ in range(split):
        weights = train_sparse(objective, weights, adam, lambda step: 0.0, 12 // split)
    expected = train(Objective(machine, TASK), 12, 0.02, progress=False)
    np.testing.assert_allclose(weights, expected.machine.vector(), rtol=1e-12, atol=0)
    np.testing.assert_allclose(adam.mean, expected.optimizer.mean, rtol=1e-12)


def test_pressure_is_asked_for_every_step_and_may_differ_from_link_to_link():
    machine = initialize(feedforward(2, 1), scale=0.3, seed=1)
    objective, asked = Objective(machine, TASK), []
    free = np.arange(len(objective.links)) % 2

    def pressure(step):
        asked.append(step)
        return 0.5 * free

    adam = Adam(0.02)
    train_sparse(objective, objective.weights, adam, pressure, 3)
    train_sparse(objective, objective.weights, adam, pressure, 2)
    assert asked == [0, 1, 2, 3, 4]
    once = train_sparse(objective, objective.weights, Adam(0.02), pressure, 1)
    plain = train_sparse(objective, objective.weights, Adam(0.02), lambda step: 0.0, 1)
    np.testing.assert_array_equal(once[free == 0], plain[free == 0])
    pulled = np.abs(plain) - np.abs(once)
    expected = np.minimum(0.01, np.abs(plain))
    np.testing.assert_allclose(pulled[free == 1], expected[free == 1], atol=1e-15)


def test_no_weight_is_pulled_across_zero():
    objective = Objective(dead_link(), TASK)
    weights = train_sparse(objective, objective.weights, Adam(0.01), lambda step: 1e6, 1)
    assert not weights.any()


def test_a_loss_that_is_not_finite_is_refused():
    objective = Objective(DETECTOR, TASK)
    with refused("step 1", "learning rate"), np.errstate(all="ignore"):
        train_sparse(objective, np.full(8, 1e200), Adam(), lambda step: 0.1, 5)


# ---- solve ----


@pytest.mark.parametrize("seed", range(5))
def test_what_is_left_is_solved_exactly(seed):
    factors = np.random.default_rng(seed).uniform(0.8, 1.2, 8)
    solved, loss = solve(DETECTOR.with_vector(factors), TASK)
    assert loss < 1e-20
    assert loss == pytest.approx(Objective(solved, TASK).data_loss(solved.vector()), abs=1e-25)
    assert solved.links == DETECTOR.links
    assert largest_errors(solved, DETECTOR, ["aab.a", "..b"], [2, 3]).max() < 1e-9


def test_what_cannot_be_solved_keeps_a_loss_and_is_no_worse():
    lame = without(DETECTOR, [Link.parse("compare.dict-2", "const_1.const_1")])
    solved, loss = solve(lame, TASK)
    assert SOLVED < loss < Objective(lame, TASK).data_loss(lame.vector())
    bare = without(DETECTOR, DETECTOR.links)
    assert solve(bare, TASK) == (bare, pytest.approx(np.square(TASK.targets * TASK.valid_ticks).sum() / 3))


@pytest.mark.parametrize("members", [None, 4])
def test_residuals_have_the_data_loss_as_their_squares(members):
    task = Task(["ab.a", "zz.zzz."], ticks_per_character=[3, 5])
    machine = initialize(feedforward(2, 2), scale=0.4, seed=3)
    objective = Objective(machine, task)
    weights = objective.weights if members is None else np.outer(np.arange(1, members + 1), objective.weights)
    residuals = objective.residuals(weights)
    assert residuals.shape == (*np.shape(weights)[:-1], 2 * sum(task.ticks))
    np.testing.assert_allclose((residuals**2).sum(axis=-1), objective.data_loss(weights), rtol=1e-12)
    assert not Objective(task.teacher, task).residuals(task.teacher.vector()).any()


# ---- cut ----


def redundant():
    """The detector with its memory twice, its threshold three times, and a link that adds nothing."""
    return write_program("""
        accum-1.dict-2 <- input.char
        accum-2.dict-2 <- input.char
        norm.dict <- 0.4 accum-1.dict
        norm.dict <- 0.6 accum-2.dict
        compare.dict-1 <- norm.norm
        compare.dict-2 <- 0.5 const_1.const_1
        norm-2.dict <- eos.char
        compare-2.dict-1 <- const_1.const_1
        compare.dict-2 <- 0.25 norm-2.norm
        compare.dict-2 <- 0.25 compare-2.true
        dot.dict-1 <- 0.7 accum-1.dict
        dot.dict-1 <- 0.3 accum-2.dict
        dot.dict-2 <- eos.char
        dot-2.dict-1 <- eos.char
        dot-2.dict-2 <- eos.char
        compare-2.dict-2 <- 2 dot-2.dot
        compare-2.dict-1 <- 2 norm-2.norm
        output.dict-1 <- compare.true
        output.dict-2 <- 0.5 dot.dot
        output.dict-2 <- 0.5 dot-3.dot
        dot-3.dict-1 <- accum-1.dict
        dot-3.dict-2 <- eos.char
    """)


SOLVED_TASK = Task(["ab.a", "zz.zz."], ticks_per_character=4)


@pytest.mark.parametrize("seed", [0, 1])
def test_saliencies_are_those_of_leaving_out_one_by_one(seed):
    machine = initialize(feedforward(2, 1), scale=0.5, seed=seed)
    expected = []
    for i in range(len(machine.links)):
        weights = machine.vector()
        weights[i] = 0.0
        expected.append(Objective(machine, TASK).data_loss(weights))
    np.testing.assert_allclose(saliency(Objective(machine, TASK)), expected, rtol=1e-9)
    assert len(set(expected)) > 10
    np.testing.assert_array_equal(saliency(Objective(machine, TASK), "magnitude"), np.abs(machine.vector()))


def named(machine):
    return {str(link) for link in machine.links}


@pytest.mark.parametrize("order", ["leave-one-out", "magnitude"])
def test_a_round_of_cutting_leaves_fewer_links_and_no_loss(order):
    machine, _ = solve(redundant(), SOLVED_TASK)
    for _ in range(3):
        found = cut(machine, SOLVED_TASK, order=order)
        smaller = found.machine
        assert Objective(smaller, SOLVED_TASK).data_loss(smaller.vector()) < SOLVED
        assert named(smaller) < named(machine)
        assert set(found.removed) == named(machine) - named(smaller)
        assert all(each["loss"] >= SOLVED for each in found.refused)
        machine = smaller


def test_a_round_may_take_several_links_at_once():
    machine, rounds = solve(redundant(), SOLVED_TASK)[0], []
    assert len(machine.links) >= 20
    while not rounds or rounds[-1]:
        found = cut(machine, SOLVED_TASK)
        machine = found.machine
        rounds.append(found.removed)
    assert max(map(len, rounds)) >= 2
    assert len(machine.links) <= 10
    assert machine.links == tuple(link for link in redundant().links if link in machine.links)


@pytest.mark.parametrize("seed", range(3))
def test_links_to_keep_are_never_cut(seed):
    machine, _ = solve(redundant(), SOLVED_TASK)
    spare = ["norm-2.dict <- eos.char", "accum-2.dict-2 <- input.char", "compare.dict-2 <- 0.25 compare-2.true"]
    keep = {spare[seed].replace("0.25 ", "")}
    for _ in range(12):
        found = cut(machine, SOLVED_TASK, keep)
        machine = found.machine
        assert keep <= named(machine)
        assert not keep & set(found.removed)
        assert not any(keep & set(each["links"]) for each in found.refused)
        if not found.removed:
            break
    assert 8 < len(machine.links) < 16
    assert Objective(machine, SOLVED_TASK).data_loss(machine.vector()) < SOLVED


def test_where_nothing_can_go_the_machine_stays_and_every_refusal_is_told():
    found = cut(DETECTOR, TASK)
    assert found.machine is DETECTOR
    assert found.removed == []
    single = [each["links"][0] for each in found.refused if len(each["links"]) == 1]
    assert sorted(single) == sorted(named(DETECTOR))
    assert all(each["loss"] >= SOLVED for each in found.refused)
    assert cut(DETECTOR, TASK, keep=named(DETECTOR)).refused == []


# ---- rewire ----

STRAIGHT = """
    accum-1-1.dict-2 <- input.char
    norm-2-1.dict <- accum-1-1.dict
    compare-4-1.dict-1 <- norm-2-1.norm
    compare-4-1.dict-2 <- const_1.const_1
    dot-2-2.dict-1 <- accum-1-1.dict
    dot-2-2.dict-2 <- eos.char
    output.dict-1 <- compare-4-1.true
    output.dict-2 <- dot-2-2.dot
"""
DETOURS = {
    "const through a compare": ["compare-1-1.dict-1 <- const_1.const_1", "compare-4-1.dict-2 <- compare-1-1.true"],
    "the size of eos": ["norm-1-2.dict <- eos.char", "compare-4-1.dict-2 <- norm-1-2.norm"],
    "const through two": [
        "compare-1-1.dict-1 <- const_1.const_1",
        "norm-3-1.dict <- compare-1-1.true",
        "compare-4-1.dict-2 <- norm-3-1.norm",
    ],
    "eos with itself": [
        "dot-1-1.dict-1 <- eos.char",
        "dot-1-1.dict-2 <- eos.char",
        "compare-4-1.dict-2 <- dot-1-1.dot",
    ],
}
FED = Task(["hello. all.", "abcab.", "zz.zzz."])


def detour(name):
    straight = STRAIGHT.replace("compare-4-1.dict-2 <- const_1.const_1", "\n".join(DETOURS[name]))
    return write_program(straight)


@pytest.mark.parametrize("name", DETOURS)
def test_a_detour_is_made_straight(name):
    machine = detour(name)
    assert len(machine.links) == 7 + len(DETOURS[name])
    shorter = rewire(machine, FED, feedforward())
    assert len(shorter.links) == 8
    assert Objective(shorter, FED).data_loss(shorter.vector()) < SOLVED
    assert largest_errors(shorter, DETECTOR, ["aab..a", "." * 7], [5, 10])[0] < 1e-12
    assert named(shorter) <= {str(link) for link in feedforward().links}


def test_the_shortest_program_is_not_rewired():
    machine = write_program(STRAIGHT)
    assert rewire(machine, FED, feedforward()) is machine
    assert rewire(machine, FED, machine) is machine


@pytest.mark.parametrize("kept", DETOURS["const through a compare"])
def test_links_to_keep_are_never_rewired(kept):
    shorter = rewire(detour("const through a compare"), FED, feedforward(), keep={kept})
    assert kept in named(shorter)
    assert Objective(shorter, FED).data_loss(shorter.vector()) < SOLVED


def test_every_kind_of_flat_streams_can_be_read_and_pruned():
    for name, each in KINDS.items():
        if each.inputs and each.outputs and not each.trees:
            fields = dict.fromkeys(each.inputs, "const_1.const_1")
            lines = [f"{name}.{field} <- {source}" for field, source in fields.items()]
            machine = write_program("\n".join([*lines, f"output.dict-1 <- {name}.{next(iter(each.outputs))}"]))
            assert len(remove_dead(machine).links) <= len(machine.links)
