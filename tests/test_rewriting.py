"""Machines that rewrite themselves: exact programs, identities, gradients through edits, refusals; their pictures."""

import itertools
import re
import tracemalloc
from collections import deque

import numpy as np
import pytest
from autograd import grad
from conftest import generic_trees, refused
from hypothesis import given
from hypothesis import strategies as st

import dmmlab as dmm
from dmmlab.builders import handcrafted_detector, write_program
from dmmlab.examples.programs import COUNTS_A, COUNTS_B, PROGRAMS, SWITCH, automaton, holding, links, switch, wave
from dmmlab.interpreter import answers, cycle, down, trace
from dmmlab.lab.pictures import draw_changes, matrices, plot_matrix
from dmmlab.machines import Machine
from dmmlab.persistent import Layered
from dmmlab.vvalues import VValue, from_leaves

TICKS = 1000


def run(program, string="x", ticks=TICKS, **options):
    return cycle(program.machine, string, ticks, start=program.start, **options)


def arriving(tick):
    return tick.inputs["output"]["dict-1"] if "output" in tick.inputs else VValue()


# ---- programs, with their exact streams ----


def test_the_period_3_wave_of_dmm_1_0():
    program = wave((1, 2, 3))
    for tick in run(program):
        assert tick.outputs["self"]["matrix"]["self"]["delta"] == {f"accum-{tick.tick % 3 + 1}": {"dict": 1}}


@pytest.mark.parametrize(("name", "columns"), [("wave", (2, 3, 4)), ("soliton", (1, 3, 5, 7, 9))])
def test_a_wave_in_the_matrix(name, columns):
    program = PROGRAMS[name]()
    first = program.machine.weights + program.machine.fixed
    expected = itertools.islice(itertools.cycle(columns), 1, None)
    for tick, column in zip(run(program), expected, strict=False):
        matrix = tick.outputs["self"]["matrix"]
        assert matrix["self"]["accum"] == {"self": {"matrix": 1}}  # row 1 keeps itself
        assert matrix["self"]["delta"] == {f"accum-{column}": {"dict": 1}}
    assert tick.tick == TICKS
    assert len(list(matrix.leaves())) == len(list(first.leaves()))


def test_the_oscillator():
    for tick in run(PROGRAMS["oscillator"]()):
        assert tick.outputs["self"]["matrix"]["self"]["delta"] == {"accum": {"dict": (-1.0) ** tick.tick}}


def counted(string, tick, speed=10, mark="#"):
    """What the switching machine has counted by then: its new links are in use five ticks after '#'."""
    total, letter = 0.0, "a"
    came = (tick - 4) // speed + 1
    for c in string[:came] + string[-1] * (came - len(string)):
        total += c == letter
        letter = "b" if c == mark else letter
    return total if tick >= 4 else 0.0


def test_a_live_edit_leaves_input_and_memory_intact():
    string = "aabca#abbcab"
    for tick in run(switch(), string):
        assert arriving(tick) == counted(string, tick.tick)
    assert tick.outputs["accum-count"]["dict"] == counted(string, TICKS + 1)


def test_word_counts_over_an_endless_stream():
    words = ("the", "cat", "and", "the", "dog")
    for tick in run(PROGRAMS["word counter"](), words, TICKS, ticks_per_character=1):
        seen = [words[min(i, 4)] for i in range(tick.tick - 2)]
        assert arriving(tick) == {word: seen.count(word) for word in seen}


def test_a_list_of_all_duplicates_as_a_tree():
    string, speed = "abcadbcaddae", 3
    for tick in run(PROGRAMS["duplicates"](), string, TICKS, ticks_per_character=speed):
        came, found = "", {}
        for c in (string + string[-1] * TICKS)[: max(0, (tick.tick - 7) // speed + 1)]:
            came += c
            if came.count(c) == 2:
                found = {"this": {c: 1}, "rest": found} if found else {"this": {c: 1}}
        assert arriving(tick) == found


def test_a_finite_automaton_in_updates_of_the_matrix():
    transitions = [{"a": 1}, {"a": 2, "b": 0}, {"a": 0, "c": 1}]
    program, string = automaton(transitions), "aabacaacbabca" * 8
    for tick in run(program, string, 10 * len(string)):
        state = 0
        for c in string[: max(0, (tick.tick - 5) // 10 + 1)]:
            state = transitions[state].get(c, state)
        assert arriving(tick) == (float(state) if state else {})
    with refused("state 0", "no state 5"):
        automaton([{"a": 5}])


def real_text():
    topics = __import__("pydoc_data.topics", fromlist=["topics"]).topics
    words = re.findall(r"[a-z']+", " ".join(topics.values()).lower())
    return tuple(itertools.islice(itertools.cycle(words), 40_000))


def test_a_word_touches_only_what_changes(monkeypatch):
    words, copied = real_text(), []

    def counting(self, below, make=Layered.__init__):
        make(self, below)
        copied.append(len(self.patch) or len(self.base))

    monkeypatch.setattr(Layered, "__init__", counting)
    (tick,) = deque(run(PROGRAMS["word counter"](), words, len(words) + 1, ticks_per_character=1), maxlen=1)
    counts = dict(tick.outputs["accum"]["dict"])
    assert all(counts[word] == words.count(word) for word in itertools.islice(counts, 50))
    assert sum(counts.values()) == len(words)
    assert len(counts) == len(set(words)) > 2000
    # What is copied for a word grows with the root of the vocabulary, and not with what was read.
    halves = np.mean(copied[: len(copied) // 2]), np.mean(copied[len(copied) // 2 :])
    assert max(halves) < 3 * len(counts) ** 0.5


def test_memory_is_that_of_the_vocabulary():
    def peak(count):
        words = tuple(f"word {i % 500}" for i in range(count))
        program = PROGRAMS["word counter"]()
        tracemalloc.start()
        for _ in run(program, words, count, ticks_per_character=1):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(3000) < 1.3 * peak(1000)


# ---- identities ----


@st.composite
def matrices_of_depth_4(draw):
    names, weight = st.sampled_from(["n", "m", "k"]), st.sampled_from([-2.0, -0.5, 1.0, 3.0])
    paths = st.dictionaries(st.tuples(names, st.just("x"), names, st.just("y")), weight, max_size=6)
    return from_leaves(draw(paths).items())


@given(matrices_of_depth_4(), matrices_of_depth_4(), generic_trees(), generic_trees())
def test_down_is_linear_in_the_matrix_and_in_the_outputs(m, n, a, b):
    a, b = ({"n": {"y": each}, "k": {"y": {"other": each}}} for each in (a, b))
    a, b = VValue(a), VValue(b)
    for left, right in (
        (down(m + 2.0 * n, a), down(m, a) + 2.0 * down(n, a)),
        (down(m, a + 2.0 * b), down(m, a) + 2.0 * down(m, b)),
    ):
        difference = left - right
        assert all(abs(leaf) < 1e-9 for _, leaf in difference.leaves())


@given(st.lists(st.sampled_from([-1.0, 0.5, 1.0, 2.0]), min_size=4, max_size=4), st.text("ab#", min_size=1, max_size=6))
def test_an_edit_by_self_is_one_from_outside_between_ticks(weights, string):
    places = (COUNTS_A, COUNTS_B, "accum-count.dict-2 <- dot-mark.dot", "output.dict-2 <- dot-a.dot")
    edit = links(dict(zip(places, weights, strict=True)))
    plain = write_program("\n".join(line for line in SWITCH.splitlines() if "self" not in line))
    outside, outputs = plain.weights, holding({"accum-edit": edit})
    for tick in run(switch(edit), string, 60):
        (other,) = cycle(plain, string, 1, weights=outside, start=outputs)
        names = [name for name in other.outputs if name in tick.outputs]
        assert {"timer", "letter-a"} <= {*names}
        assert [tick.outputs[name] for name in names] == [other.outputs[name] for name in names]
        outside = outside + (outputs["gate"]["dict"] if "gate" in outputs else VValue())  # Self adds it a tick later
        outputs = other.outputs


def test_a_machine_without_self_computes_as_before_and_can_be_gone_on_with():
    machine = handcrafted_detector()
    whole = trace(machine, "hello. all.", 100)
    part = [*cycle(machine, "hello. all.", 40)]
    rest = [*cycle(machine, "hello. all.", 60, start=part[-1].outputs)]
    assert [tick.outputs for tick in (*part, *rest)] == [tick.outputs for tick in whole]


def test_a_self_that_changes_nothing_gives_the_streams_of_the_plain_machine():
    machine = handcrafted_detector()
    selfish = machine.with_neuron("self", "self").link("self.accum", "self.matrix", 1.0, fixed=True)
    np.testing.assert_array_equal(answers(selfish, "hello. all.", 120), answers(machine, "hello. all.", 120))


def test_neurons_are_born_when_named_and_inactive_when_no_longer():
    born = "norm-new.dict <- input.char"
    program = switch(links({born: 1.0, "accum-count.dict-2 <- norm-new.norm": 10.0}))
    active = ["norm-new" in tick.outputs["self"]["matrix"] for tick in run(program, "a#a", 40)]
    assert active == [False] * 13 + [True] * 27
    assert max(dmm.number(arriving(tick)) for tick in run(program, "a#aaa", 60)) == 45.0  # 5 'a' and 4 times 10
    both = switch(links({born: 1.0}))
    outputs = [tick.outputs for tick in run(both, "##", 30)]
    assert outputs[-1]["self"]["matrix"]["norm-new"]["dict"]["input"] == {"char": 3.0}  # the last character comes again
    edit = links({"accum-count.dict-1 <- accum-count.dict": -1.0, "accum-count.dict-2 <- dot-a.dot": -1.0,
                  "output.dict-1 <- accum-count.dict": -1.0})  # fmt: skip
    inactive = [tick.outputs for tick in run(switch(edit), "aa#", 60)]
    assert inactive[20]["accum-count"]["dict"] == 2.0
    assert "accum-count" not in inactive[-1]


# ---- gradients ----


def test_gradients_through_five_edits():
    edit, string = links({COUNTS_A: -0.3, COUNTS_B: 0.4}), "a#b#ab#a#b#ab"

    def loss(edit):
        start = VValue({"accum-edit": {"dict": edit}})
        got = answers(switch().machine, string, None, ticks_per_character=4, start=start)
        return (got[:, 0] ** 2).sum()

    slopes = grad(loss)(edit)
    for place in (COUNTS_A, COUNTS_B, "accum-count.dict-2 <- dot-mark.dot", "output.dict-1 <- dot-a.dot"):
        nudge = links({place: 1e-5})
        (path, _), = nudge.leaves()  # fmt: skip
        slope = (loss(edit + nudge) - loss(edit - nudge)) / 2e-5
        assert dict(slopes.leaves())[path] == pytest.approx(slope, rel=1e-6)


def test_a_learned_edit_does_on_strings_it_never_saw_what_it_should():
    places = [COUNTS_A, COUNTS_B, "accum-count.dict-2 <- dot-mark.dot", "accum-count.dict-2 <- const_1.const_1"]
    # The second '#' is needed: with one nobody could tell whether it should count. Two ticks are an edit's latency.
    lesson, options = ("ab#b#ab", 16), {"ticks_per_character": 2}
    target = answers(switch().machine, *lesson, start=switch().start, **options)[:, 0]

    def edit_of(weights):
        return sum((links({place: 1.0}) * weight for place, weight in zip(places, weights, strict=True)), VValue())

    def loss(weights):
        start = VValue({"accum-edit": {"dict": edit_of(weights)}})
        return ((answers(switch().machine, *lesson, start=start, **options)[:, 0] - target) ** 2).sum()

    weights, optimizer = np.full(4, 0.01), dmm.Adam(0.1)
    for _ in range(90):
        weights = optimizer.update(weights, grad(loss)(weights))
    assert weights == pytest.approx([-1.0, 1.0, 0.0, 0.0], abs=0.05)
    learned = switch(edit_of(weights.round(1)))
    for string in ("bab#bbab", "#aabb", "abab", "aa#bbbb"):
        for mine, right in zip(run(learned, string, 100), run(switch(), string, 100), strict=True):
            assert arriving(mine) == arriving(right)


# ---- refusals ----


BAD = {
    "depth": (VValue({"accum-x": {"dict-2": 3.0}}), "accum-x / dict-2 has depth 2"),
    "kind": (links({"nonsense-1.x <- input.char": 1.0}), "'nonsense-1'"),
    "input field": (links({"accum-count.dict-7 <- input.char": 1.0}), "'accum-count' (accum) has no field 'dict-7'"),
    "output field": (links({"accum-count.dict-2 <- input.word": 1.0}), "'input' (input) has no field 'word'"),
    "growth": (from_leaves(((f"norm-{i}", "dict", "input", "char"), 1.0) for i in range(50)), "more than 30 links"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_a_self_must_not_emit_is_refused_and_the_state_before_is_kept(name, monkeypatch):
    monkeypatch.setattr("dmmlab.rewriting.MOST_LINKS", 30)
    edit, words = BAD[name]
    seen = []
    with pytest.raises(dmm.DMMError) as caught:
        for tick in run(switch(edit), "a#a", 60):
            seen.append(tick)
    message = str(caught.value)
    assert message.startswith("tick 14: self.matrix: ")  # '#' comes at tick 11, the edit reaches Self three later
    assert words in message and "\n" not in message
    assert caught.value.outputs == seen[-1].outputs
    assert seen[-1].tick == 13
    mended = caught.value.outputs - VValue({"gate": caught.value.outputs["gate"]})
    (again,) = cycle(switch().machine, "a#a", 1, start=mended)
    assert again.inputs["self"]["accum"] == seen[-1].outputs["self"]["matrix"]


def test_a_weight_that_is_not_finite_is_refused():
    with refused("self.matrix", "not finite", start="tick 1: "):
        [*cycle(write_program("self.delta <- 1e200 self.matrix"), "x", 10)]


def test_two_selves_are_refused():
    machine = Machine({"one": "self", "two": "self"})
    with refused("2 neurons of kind 'self'"):
        [*cycle(machine, "x", 1)]


def test_loading_a_machine_that_rewrites_itself_runs_nothing(tmp_path):
    machine = automaton([{"a": 1}, {"b": 0}]).machine
    machine.save(tmp_path / "machine.json")
    assert Machine.load(tmp_path / "machine.json") == machine
    text = (tmp_path / "machine.json").read_text(encoding="utf-8").replace('"gate"', '"os.system"', 1)
    (tmp_path / "machine.json").write_text(text, encoding="utf-8")
    with refused("os.system", "not known", start=tmp_path / "machine.json"):
        Machine.load(tmp_path / "machine.json")


# ---- pictures ----


def test_pictures_of_a_matrix_that_changes():
    history = matrices([*run(switch(), "aab#bba", 90)])
    assert set(history) == set(range(1, 91))
    figure = plot_matrix(history).figure()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [COUNTS_A.replace("<-", "←"), COUNTS_B.replace("<-", "←")]
    image = figure.axes[0].images[0].get_array()
    assert image.shape == (2, 90)
    assert image[0, 0] == image[1, -1] == 1.0 and image[0, -1] == image[1, 0] == 0.0
    circuits = draw_changes(history, [30, 40, 60]).figure()
    assert [axes.get_title() for axes in circuits.axes] == ["tick 30", "tick 40", "tick 60"]
    arrows = [[t.arrow_patch for t in axes.texts if getattr(t, "arrow_patch", None)] for axes in circuits.axes]
    thick = [[p for p in each if p.get_linewidth() > 1] for each in arrows]
    assert [len(each) for each in thick] == [0, 1, 0]  # the link that appeared
    gone = [[p for p in each if p.get_linestyle() in (":", "dotted")] for each in arrows]
    assert [len(each) for each in gone] == [0, 1, 0]
    for make in (lambda: draw_changes(history, [30, 40]), lambda: plot_matrix(history)):
        assert make().render("svg", 3.5) == make().render("svg", 3.5)


def test_pictures_refuse_what_they_cannot_show():
    history = matrices([*run(switch(), "aa", 20)])
    with refused("no link changes"):
        plot_matrix(history)
    for ticks in ([40], []):
        with refused("not among those", "1 to 20"):
            draw_changes(history, ticks)
    with refused("'nobody'"):
        matrices([*run(switch(), "aa", 20)], "nobody")


def test_a_link_from_an_inactive_neuron_has_no_derivative():
    def loss(edit):
        return answers(switch().machine, "#ab", 40, start=VValue({"accum-edit": {"dict": edit}}))[:, 0].sum()

    place = "accum-count.dict-2 <- const_1.const_1"
    slopes = grad(loss)(links({COUNTS_B: 1.0}))
    assert loss(links({COUNTS_B: 1.0, place: 1e-3})) != loss(links({COUNTS_B: 1.0}))
    assert "const_1" not in slopes["accum-count"]["dict-2"]
    active = grad(loss)(links({COUNTS_B: 1.0, "output.dict-2 <- const_1.const_1": 1.0}))
    assert float(active["accum-count"]["dict-2"]["const_1"]["const_1"]) > 0


def test_a_second_self_is_not_activated():
    with refused("tick 14: self.matrix", "'self-2'", "one Self"):
        [*run(switch(links({"self-2.delta <- input.char": 1.0})), "a#a", 60)]


def test_what_no_program_is_refused():
    with refused("at least two"):
        wave((2,))
    for letter in ("ab", " "):
        with refused(repr(letter), "single visible"):
            automaton([{letter: 0}])
    with refused("neuron.field"):
        links({"a.b": 1.0})


def test_reading_and_pruning_refuse_machines_of_trees():
    for look in (dmm.remove_dead, dmm.canonical, dmm.formula):
        with refused("computes with trees"):
            look(switch().machine)
