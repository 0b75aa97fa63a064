"""Canonical form: canonical forms keep the answers, and are the same for the same program."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_pruning import apart, sub_machine

from dmmlab.builders import handcrafted_detector, write_program
from dmmlab.engine import run
from dmmlab.enumeration.programs import find_programs
from dmmlab.examples.ladder import find_rung, ladder_task
from dmmlab.files import DMMError
from dmmlab.inputs import Inputs
from dmmlab.machines import SOURCES, Link, Machine
from dmmlab.neurons import find_kind
from dmmlab.synthesis.canonical_form import canonical, round_weights, same_program, signatures, simplify
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.synthesis.loop_units import in_exact_units
from dmmlab.synthesis.verification import largest_errors, random_strings
from dmmlab.vvalues import from_leaves

DETECTOR = handcrafted_detector()
SEEDS = st.integers(0, 2**32)
SMALL = ((2, 1), (3, 1), (2, 2))


def rebuilt(machine, weights, neurons=None):
    """The machine with these neurons and weights; accumulators remember."""
    neurons = dict(neurons or machine.neurons)
    fixed = {Link.parse("timer.timer", "timer.timer"): 1.0, Link.parse("input.timer", "timer.timer"): 1.0}
    fixed |= {Link(name, "dict-1", name, "dict"): 1.0 for name, kind in neurons.items() if kind == "accum"}
    return Machine(neurons, from_leaves(weights.items()), from_leaves(fixed.items()), tuple(weights), machine.dot_clip)


def moved(machine, rng, clipped=True):
    """The same program in other units: factors moved along the links, dots' only inside where they may clip."""
    into, out = {}, {}
    for name, kind in machine.neurons.items():
        f, g = rng.uniform(0.3, 3, 2) * rng.choice([-1, 1], 2)
        if kind == "accum":
            into[name, "dict-2"], out[name] = f, f
        elif kind == "norm":
            into[name, "dict"], out[name] = f, abs(f)
        elif kind == "compare":
            into[name, "dict-1"] = into[name, "dict-2"] = out[name] = abs(f)
        elif kind == "dot":
            g = g if not clipped else np.sign(g) / f
            into[name, "dict-1"], into[name, "dict-2"], out[name] = f, g, f * g
    weights = {a: w * into.get(a[:2], 1.0) / out.get(a.from_neuron, 1.0) for a, w in machine.soft_links.items()}
    return rebuilt(machine, weights)


def planted(machine, rng, count=3):
    """The same program with neurons that stand twice, and comparisons of a with −a."""
    weights, neurons = machine.soft_links, dict(machine.neurons)
    chosen = [name for name, kind in neurons.items() if kind in ("accum", "norm", "dot", "compare")]
    for name in rng.permutation(chosen)[:count]:
        twin = f"{name}-twin"
        neurons[twin] = neurons[name]
        for link, weight in list(weights.items()):
            if link.to_neuron == name:
                weights[link._replace(to_neuron=twin)] = weight
            if link.from_neuron == name:
                share = rng.choice([0.75, 0.5, 0.25, 2.0])  # both are read by all who read the one
                weights[link], weights[link._replace(from_neuron=twin)] = weight * share, weight * (1 - share)
    for link, weight in list(weights.items()):
        other = link._replace(to_field="dict-2" if link.to_field == "dict-1" else "dict-1")
        if neurons[link.to_neuron] == "compare" and other not in weights and rng.integers(2):
            weights[link], weights[other] = weight / 2, -weight / 2
    return rebuilt(machine, {link: weight for link, weight in weights.items() if weight}, neurons)


def renamed(machine, rng):
    """The same program with other names, and neurons and links in another order."""
    inner = [name for name in machine.neurons if name not in (*SOURCES, "output")]
    names = dict(zip(inner, rng.permutation([f"n{i}" for i in range(len(inner))]).tolist(), strict=True))
    neurons = [(names.get(name, name), kind) for name, kind in machine.neurons.items()]
    links = [
        (Link(names.get(link[0], link[0]), link[1], names.get(link[2], link[2]), link[3]), weight)
        for link, weight in machine.soft_links.items()
    ]
    some, others = rng.permutation(len(neurons)), rng.permutation(len(links))
    return rebuilt(machine, dict(links[i] for i in others), dict(neurons[i] for i in some))


# ---- answers stay ----


@settings(max_examples=60)
@given(SEEDS)
def test_answers_stay_the_same_in_canonical_form(seed):
    rng = np.random.default_rng(seed)
    machine = remove_dead(sub_machine(rng, SMALL, (12, 60)))
    machine = moved(planted(machine, rng), rng) if rng.integers(4) else machine
    assert apart(simplify(machine), machine) <= 1e-9
    form = canonical(machine)
    assert apart(form, machine) <= 1e-9
    assert len(form.links) <= len(machine.links)
    fed = list(random_strings(6, seed=seed, letters="ab.", longest=25))
    assert apart(form, machine, [text for text, _ in fed], [speed for _, speed in fed]) <= 1e-9


@settings(max_examples=40)
@given(SEEDS)
def test_plants_keep_the_answers_too(seed):
    # The tests above and below mean something only if these do what they say.
    rng = np.random.default_rng(seed)
    machine = remove_dead(sub_machine(rng, SMALL, (12, 60)))
    for other in (planted(machine, rng), moved(machine, rng), renamed(machine, rng)):
        assert apart(other, machine) <= 1e-9


def test_dots_that_clip_keep_their_units():
    program = """
        accum.dict-2 <- 3 input.char
        dot.dict-1 <- 0.5 accum.dict
        dot.dict-2 <- -0.25 eos.char
        output.dict-2 <- -2 dot.dot
    """
    machine = write_program(program)
    form = canonical(machine)
    for text in ("..........." * 2, "a.", "..."):
        np.testing.assert_allclose(run(form, text), run(machine, text), atol=1e-12)
    assert np.abs(run(machine, "." * 22)).max() == 8.0
    assert sorted(form.soft_links.values()) == [0.375, 1.0, 1.0, 2.0]
    free = canonical(machine, {"dot"})
    assert sorted(free.soft_links.values()) == [0.75, 1.0, 1.0, 1.0]
    np.testing.assert_allclose(run(free, "a.b.a")[:, 1], run(machine, "a.b.a")[:, 1], atol=1e-12)
    assert np.abs(run(free, "." * 22)).max() == 3.0


def test_units_pass_only_those_dots_that_are_free():
    program = """
        accum.dict-2 <- 2 input.char
        dot-1.dict-1 <- accum.dict
        dot-1.dict-2 <- eos.char
        dot-2.dict-1 <- accum.dict
        dot-2.dict-2 <- letter-a.char
        output.dict-1 <- dot-1.dot
        output.dict-2 <- dot-2.dot
    """
    weights = {str(link): weight for link, weight in canonical(write_program(program), {"dot-1"}).soft_links.items()}
    assert weights["dot-1.dict-2 <- eos.char"] == 1.0
    assert weights["output.dict-1 <- dot-1.dot"] == 2.0
    assert weights["dot-2.dict-1 <- accum.dict"] * weights["dot-2.dict-2 <- letter-a.char"] == 2.0
    assert weights["output.dict-2 <- dot-2.dot"] == 1.0


# ---- one form for one program ----


@pytest.mark.parametrize("seed", range(8))
def test_the_detector_in_any_units_is_the_detector_again(seed):
    rng = np.random.default_rng(seed)
    for machine, free in ((moved(DETECTOR, rng), ()), (moved(DETECTOR, rng, clipped=False), {"dot"})):
        form = canonical(machine, free)
        assert np.abs(machine.vector() - 1).max() > 0.1
        assert form.vector().tolist() == [1.0] * 8
        assert set(form.links) == set(DETECTOR.links)
        assert same_program(form, DETECTOR)
    assert same_program(moved(DETECTOR, rng), DETECTOR)
    assert not same_program(machine, DETECTOR)  # its dot clips elsewhere


@settings(max_examples=60)
@given(SEEDS)
def test_units_repetitions_and_names_make_no_other_program(seed):
    rng = np.random.default_rng(seed)
    machine = remove_dead(sub_machine(rng, SMALL, (12, 40)))
    form = canonical(machine)
    for other in (moved(machine, rng), renamed(machine, rng), planted(machine, rng), form):
        assert same_program(other, machine)
    assert len(canonical(planted(machine, rng)).links) == len(form.links)
    assert canonical(form).soft_links == form.soft_links


@settings(max_examples=60)
@given(SEEDS)
def test_machines_that_answer_otherwise_are_other_programs(seed):
    rng = np.random.default_rng(seed)
    machine = canonical(sub_machine(rng, SMALL, (12, 40)))
    if not machine.links:
        return
    vector = machine.vector()
    vector[rng.integers(len(vector))] *= rng.choice([-1.0, 1.5, 1.001])
    other = machine.with_vector(vector)
    if apart(other, machine) > 1e-6:
        assert not same_program(other, machine)


CHANGES = {
    "a weight": ("output.dict-1 <- compare.true", "output.dict-1 <- 1.5 compare.true"),
    "a weight by little": ("output.dict-1 <- compare.true", "output.dict-1 <- 1.00001 compare.true"),
    "a sign": ("output.dict-2 <- dot.dot", "output.dict-2 <- -1 dot.dot"),
    "a threshold": ("compare.dict-2 <- const_1.const_1", "compare.dict-2 <- 2 const_1.const_1"),
    "a side": ("output.dict-1 <- compare.true", "output.dict-1 <- compare.false"),
    "a letter": ("dot.dict-2 <- eos.char", "dot.dict-2 <- letter-a.char"),
    "a source": ("norm.dict <- accum.dict", "norm.dict <- input.char"),
    "a delay": ("dot.dict-1 <- accum.dict", "dot.dict-1 <- accum-2.dict\naccum-2.dict-2 <- input.char"),
    "a link more": ("norm.dict <- accum.dict", "norm.dict <- accum.dict\nnorm.dict <- eos.char"),
    "a link less": ("compare.dict-2 <- const_1.const_1", ""),
    "outputs": ("output.dict-2 <- dot.dot", "output.dict-2 <- compare.true"),
}
PROGRAM = "\n".join(f"{link}" for link in DETECTOR.links)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_makes_another_program(change):
    before, after = CHANGES[change]
    assert before in PROGRAM
    same = change == "a delay"  # a second memory of the same is none
    assert same_program(write_program(PROGRAM.replace(before, after)), DETECTOR) is same


def test_another_clip_is_another_program():
    assert not same_program(handcrafted_detector(dot_clip=5.0), DETECTOR)
    assert same_program(handcrafted_detector(), DETECTOR)


def test_a_memory_is_part_of_the_program():
    forgetful = replace(DETECTOR, fixed=from_leaves((a, 1.0) for a in DETECTOR.fixed_links if a[0] != "accum"))
    assert not same_program(forgetful, DETECTOR)


def test_the_two_inputs_of_a_dot_count_alike():
    program = "accum.dict-2 <- input.char\noutput.dict-2 <- dot.dot\ndot.dict-1 <- {}\ndot.dict-2 <- {}"
    for a, b in (("accum.dict", "eos.char"), ("2 accum.dict", "eos.char"), ("accum.dict", "-0.5 eos.char")):
        assert same_program(*(write_program(program.format(*order)) for order in ((a, b), (b, a)))), (a, b)


def test_the_two_sides_of_a_comparison_may_be_exchanged_together():
    program = """
        accum.dict-2 <- input.char
        norm.dict <- accum.dict
        compare.{0} <- norm.norm
        compare.{1} <- {threshold} const_1.const_1
        output.dict-1 <- compare.{2}
        output.dict-2 <- compare.{3}
    """
    sides = [("dict-1", "dict-2", "true", "false"), ("dict-2", "dict-1", "false", "true")]
    for threshold in (2, 1):
        a, b = (write_program(program.format(*order, threshold=threshold)) for order in sides)
        assert largest_errors(a, b, ["aab.a"], [3])[0] == 0.0
        assert same_program(a, b), threshold


# ---- repetitions, comparisons, fractions ----


def test_copies_are_merged_and_what_they_carry_is_added():
    program = """
        accum-1.dict-2 <- input.char
        accum-2.dict-2 <- -2 input.char
        norm-1.dict <- accum-1.dict
        norm-2.dict <- 0.5 accum-2.dict
        compare.dict-1 <- 0.25 norm-1.norm
        compare.dict-1 <- 0.75 norm-2.norm
        compare.dict-2 <- const_1.const_1
        dot-1.dict-1 <- accum-1.dict
        dot-1.dict-2 <- eos.char
        dot-2.dict-1 <- 3 eos.char
        dot-2.dict-2 <- -0.16666666666666666 accum-2.dict
        output.dict-1 <- compare.true
        output.dict-2 <- 0.5 dot-1.dot
        output.dict-2 <- 0.5 dot-2.dot
    """
    form = canonical(write_program(program))
    assert same_program(form, DETECTOR)
    assert len(form.links) == 8
    assert form.vector().tolist() == [1.0] * 8
    assert sorted(form.neurons.values()) == sorted(DETECTOR.neurons.values())


def test_copies_are_merged_whichever_of_their_sides_is_read():
    program = """
        norm.dict <- input.char
        compare-1.dict-1 <- norm.norm
        compare-1.dict-2 <- 0.5 const_1.const_1
        compare-2.dict-1 <- 2 norm.norm
        compare-2.dict-2 <- const_1.const_1
        output.dict-1 <- compare-1.true
        output.dict-2 <- compare-2.false
    """
    assert list(canonical(write_program(program)).neurons.values()).count("compare") == 1


def test_a_comparison_has_positive_weights_and_no_twins():
    program = """
        norm.dict <- input.char
        compare.dict-1 <- -3 norm.norm
        compare.dict-2 <- 3 norm.norm
        compare.dict-1 <- 4 const_1.const_1
        compare.dict-2 <- -2 const_1.const_1
        output.dict-1 <- compare.{}
    """
    for side, sides in (("true", ("const_1.const_1", "norm.norm")), ("false", ("norm.norm", "const_1.const_1"))):
        form = canonical(write_program(program.format(side)))
        weights = {str(link): weight for link, weight in form.soft_links.items()}
        assert weights == {
            "norm.dict <- input.char": 1.0,
            f"compare.dict-1 <- {sides[0]}": 1.0,
            f"compare.dict-2 <- {sides[1]}": 1.0,
            "output.dict-1 <- compare.true": 6.0,
        }


def test_a_comparison_of_equals_is_no_comparison():
    program = "norm.dict <- input.char\ncompare.dict-1 <- 2 norm.norm\ncompare.dict-2 <- 2 norm.norm\n"
    assert canonical(write_program(program + "output.dict-1 <- compare.true")).links == ()


def test_signatures_are_equal_for_equal_streams_but_for_a_factor():
    machine = write_program("""
        accum-1.dict-2 <- input.char
        accum-2.dict-2 <- input.char
        accum-3.dict-2 <- 2 input.char
        norm-1.dict <- accum-1.dict
        norm-2.dict <- accum-2.dict
        norm-3.dict <- accum-3.dict
        norm-4.dict <- input.char
        output.dict-1 <- norm-1.norm
        output.dict-2 <- norm-2.norm
    """)
    texts = signatures(machine)
    assert texts["accum-1"] == texts["accum-2"] == texts["accum-3"]
    assert texts["norm-1"] == texts["norm-2"] == texts["norm-3"] != texts["norm-4"]
    assert texts["output"] != signatures(machine.with_vector([1, 1, 2, 1, 1, 1, 1, 1, 2]))["output"]
    assert set(texts) == set(machine.neurons)
    assert not any("-" in text.replace("dict-", "") for text in texts.values())


def test_weights_become_the_fractions_that_they_nearly_are():
    off = [1 + 3e-8, 0.5 - 1e-8, 2 / 3 + 1e-8, -7 / 12, 0.123, 1.001, 2.0, 1 - 1e-9]
    machine = DETECTOR.with_vector(off)
    expected = [1.0, 0.5, 2 / 3, -7 / 12, 0.123, 1.001, 2.0, 1.0]
    assert round_weights(machine, lambda each: True).vector().tolist() == pytest.approx(expected, abs=1e-15)
    assert round_weights(machine, lambda each: False).vector().tolist() == off
    only = round_weights(machine, lambda each: each.vector()[1] == off[1] and each.vector()[2] == off[2])
    assert only.vector().tolist() == [1.0, *off[1:3], *expected[3:]]


def test_a_weight_that_matters_is_not_snapped():
    # 0.5000001 a tick for a hundred ticks is 1e-5 too much: that is no rounding error.
    program = "norm.dict <- input.char\naccum.dict-2 <- norm.norm\noutput.dict-1 <- {} accum.dict"
    assert 0.5000001 in canonical(write_program(program.format(0.5000001))).vector()
    assert 0.5 in canonical(write_program(program.format(0.5 + 1e-13))).vector()


# ---- what is fixed, and what is refused ----


def with_fixed(*links):
    """A machine of soft links and fixed ones, given as "to <- weight from" with a '!' in front of the fixed."""
    machine = Machine({**SOURCES, "output": "output"})
    machine = machine.link("timer.timer", "timer.timer", 1.0, fixed=True)
    machine = machine.link("input.timer", "timer.timer", 1.0, fixed=True)
    for text in links:
        to, rest = text.lstrip("!").split(" <- ")
        weight, source = rest.split()
        new = {end.split(".")[0]: end.partition("-")[0].partition(".")[0] for end in (to, source)}
        machine = replace(machine, neurons={**new, **machine.neurons})
        machine = machine.link(to, source, float(weight), fixed=text.startswith("!"))
    return machine


FIXED = {
    "a fixed link to one of two": [
        "accum.dict-2 <- 1 input.char", "!norm-1.dict <- 1 accum.dict", "!norm-2.dict <- 1 eos.char",
        "output.dict-1 <- 1 norm-1.norm", "output.dict-2 <- 1 norm-2.norm",
    ],
    "a memory that leaks": [
        "accum-1.dict-2 <- 1 input.char", "!accum-1.dict-1 <- 1 accum-1.dict", "accum-2.dict-2 <- 1 input.char",
        "!accum-2.dict-1 <- 0.5 accum-2.dict", "norm-1.dict <- 1 accum-1.dict", "norm-2.dict <- 1 accum-2.dict",
        "output.dict-1 <- 1 norm-1.norm", "output.dict-2 <- 1 norm-2.norm",
    ],
    "a comparison that remembers": [
        "norm.dict <- 1 input.char", "compare.dict-1 <- 2 norm.norm", "compare.dict-2 <- 0.3 const_1.const_1",
        "!compare.dict-1 <- 0.5 compare.true", "output.dict-1 <- 9 compare.false",
    ],
    "a dot that remembers": [
        "norm.dict <- 1 input.char", "dot.dict-1 <- 2 norm.norm", "dot.dict-2 <- 0.3 norm.norm",
        "dot.dict-2 <- 0.5 const_1.const_1", "!dot.dict-1 <- 0.5 dot.dot", "output.dict-1 <- 1 dot.dot",
    ],
    "a norm that remembers": [
        "norm.dict <- 3 input.char", "!norm.dict <- 0.5 norm.norm", "output.dict-1 <- 1 norm.norm",
    ],
    "fixed links between neurons": [
        "accum.dict-2 <- 2 input.char", "!accum.dict-1 <- 1 accum.dict", "!norm.dict <- 3 accum.dict",
        "norm.dict <- 2 eos.char", "!output.dict-1 <- 0.5 norm.norm",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", FIXED)
def test_fixed_links_are_part_of_the_program_or_refused(name):
    machine = with_fixed(*FIXED[name])
    assert np.abs(run(machine, "aab.a", ticks_per_character=3)).max() > 0.5
    with suppress(DMMError):
        assert apart(canonical(machine), machine) <= 1e-9


LOOPS = {
    "of two": "accum.dict-2 <- input.char\naccum.dict-2 <- 0.5 norm.norm\nnorm.dict <- -3 accum.dict\n",
    "a trained memory": "compare.dict-1 <- 0.1 const_1.const_1\ncompare.dict-2 <- 0.5 compare.true\n",
    "of three": """
        norm.dict <- 2 input.char
        compare.dict-1 <- norm.norm
        compare.dict-1 <- 0.5 compare.false
        accum.dict-2 <- -0.25 compare.true
        norm.dict <- accum.dict
        compare.dict-2 <- const_1.const_1
    """,
}


def in_loops(machine, rng, count=4):
    """The machine with links against its order, weak enough for answers to stay of a size."""
    inner = [name for name, kind in machine.neurons.items() if kind in ("norm", "dot", "compare")]
    ends = {"norm": (["dict"], ["norm"]), "dot": (["dict-1", "dict-2"], ["dot"])}
    ends["compare"] = (["dict-1", "dict-2"], ["true", "false"])
    for _ in range(count if inner else 0):
        to, source = rng.choice(inner, 2)
        fields, outputs = ends[machine.neurons[to]][0], ends[machine.neurons[source]][1]
        link = Link(str(to), str(rng.choice(fields)), str(source), str(rng.choice(outputs)))
        if link not in machine.links:
            weight = float(rng.choice([-0.5, 0.25, 0.5]))
            machine = machine.link(f"{link[0]}.{link[1]}", f"{link[2]}.{link[3]}", weight)
    return machine


@settings(max_examples=60)
@given(SEEDS)
def test_answers_stay_the_same_where_neurons_read_back(seed):
    rng = np.random.default_rng(seed)
    machine = remove_dead(in_loops(remove_dead(sub_machine(rng, SMALL, (12, 60))), rng))
    other = moved(planted(machine, rng), rng)
    fed = list(random_strings(6, seed=seed, letters="ab.", longest=12))
    fed = [text for text, _ in fed], [speed for _, speed in fed]
    scale = max(1.0, *(np.abs(run(machine, *each)).max() for each in zip(fed[0], [200] * 6, fed[1], strict=True)))
    if scale < 1e3:  # else rounding is all there is
        assert apart(other, machine, *fed) <= 1e-9 * scale
        assert apart(simplify(other), machine, *fed) <= 1e-9 * scale
        assert apart(canonical(other), machine, *fed) <= 1e-9 * scale


@pytest.mark.parametrize("name", LOOPS)
def test_units_and_repetitions_make_no_other_loops(name):
    rng = np.random.default_rng(5)
    last = "compare.true" if "compare" in LOOPS[name] else "norm.norm"
    machine = write_program(f"{LOOPS[name]}\noutput.dict-1 <- {last}")
    form = canonical(machine)
    assert np.abs(run(machine, "ab")).max() > 0.01
    for _ in range(5):
        for other in (moved(machine, rng), renamed(moved(machine, rng), rng), planted(machine, rng, 1)):
            assert same_program(other, machine) and apart(canonical(other), machine) <= 1e-9
            assert len(canonical(other).links) == len(form.links)
    changed = form.with_vector(form.vector() * [2.0, *[1.0] * (len(form.links) - 1)])
    assert not same_program(changed, machine)


@pytest.mark.parametrize("name", ["dithering", "div 7", "base 3 addition"])
def test_a_loop_that_is_exact_on_long_strings_is_so_in_canonical_form(name):
    machine, rng = find_programs(ladder_task(name))[0], np.random.default_rng(0)
    long = Inputs([find_rung(name).draw(rng, 500)]).strings, [1]
    assert largest_errors(canonical(machine), machine, *long)[0] == 0.0
    for _ in range(3):
        other = moved(machine, rng)
        assert np.abs(canonical(other).vector() - canonical(machine).vector()).max() == 0.0
        assert largest_errors(canonical(other), machine, *long)[0] == 0.0


@pytest.mark.parametrize("weights", [(1.0, 0.1 * 2**0.5, 1.0), (1.0, 1 / 3, 0.5), (0.5, 0.75, 3.0)])
def test_loops_without_units_in_which_they_are_exact_stay_as_they_are(weights):
    text = "norm.dict <- input.char\nnorm.dict <- norm.norm\noutput.dict-1 <- norm.norm"
    machine = write_program(text).with_vector(weights)
    assert in_exact_units(machine).vector().tolist() == [*weights]
    assert in_exact_units(DETECTOR) == DETECTOR


def test_a_memory_by_a_soft_link_is_a_memory():
    text = "accum.dict-2 <- 2 input.char\nnorm.dict <- accum.dict\noutput.dict-1 <- norm.norm"
    soft = replace(write_program(text), fixed=write_program("norm.dict <- input.char").fixed)
    half, soft = (soft.link("accum.dict-1", "accum.dict", weight) for weight in (0.5, 1.0))
    assert same_program(soft, write_program(text)) and apart(canonical(soft), soft) <= 1e-9
    assert not same_program(half, write_program(text))


def test_a_loop_that_reaches_no_output_does_not_matter():
    machine = DETECTOR.link("accum.dict-2", "compare.false", 0.0)
    assert same_program(machine, DETECTOR)
    spare = replace(DETECTOR, neurons={**DETECTOR.neurons, "norm-2": "norm"}).link("norm-2.dict", "norm-2.norm", 1.0)
    assert same_program(spare.link("norm-2.dict", "eos.char", 1.0), DETECTOR)


def test_neurons_of_other_kinds_stay_as_they_are():
    machine = replace(DETECTOR, neurons={**DETECTOR.neurons, "id": "id"})
    machine = machine.link("id.x", "norm.norm", 2.0).link("output.dict-2", "id.x", 0.5)
    form = canonical(machine)
    assert form.soft_links[Link.parse("id.x", "norm.norm")] == 2.0
    assert apart(form, machine) <= 1e-9
    assert find_kind(form.neurons["id"]).inputs is None


def test_what_cancels_is_gone_and_the_inputs_of_an_accumulator_count_alike():
    text = "accum.dict-2 <- input.char\nnorm-1.dict <- accum.dict\nnorm-2.dict <- 3 accum.dict\n"
    text += "output.dict-1 <- compare.true\n"
    twins = write_program(f"{text}compare.dict-1 <- 0.3 norm-1.norm\ncompare.dict-2 <- 0.1 norm-2.norm")
    assert not canonical(twins).links
    other = write_program("accum.dict-1 <- input.char\noutput.dict-1 <- accum.dict")
    assert same_program(other, write_program("accum.dict-2 <- input.char\noutput.dict-1 <- accum.dict"))
