"""Kinds of neurons: each formula on small V-values, and fields as declared."""

from dataclasses import replace

import pytest
from conftest import refused
from hypothesis import given
from hypothesis import strategies as st

from dmmlab.interpreter import trace, up
from dmmlab.machines import Machine
from dmmlab.neurons import CHARS, KINDS, SCALAR, STREAM, Ops, find_kind
from dmmlab.vvalues import VValue, inner

OPS = Ops(dot_clip=4.0, stream=[VValue({c: 1.0}) for c in "ab."], ticks_per_character=10)
HALVES = st.integers(-8, 8).map(lambda x: x / 2)


def emitted(kind, fields, ops=OPS):
    """What one neuron of that kind emits."""
    return up({"it": kind}, VValue({"it": fields}), ops)["it"]


def test_accum_adds_both_fields():
    fields = {"dict-1": {"a": 2.0, "b": 1.0}, "dict-2": {"a": 1.0, "b": -1.0, ":number": 3.0}}
    assert emitted("accum", fields) == VValue({"dict": {"a": 3.0, ":number": 3.0}})
    assert emitted("accum", {}) == VValue()


def test_norm_is_the_largest_absolute_leaf():
    assert emitted("norm", {"dict": {"a": 2.0, "b": -3.0, ":number": 1.0}}) == VValue({"norm": 3.0})
    assert emitted("norm", {"dict": -5.0}) == VValue({"norm": 5.0})
    assert emitted("norm", {}) == VValue()


@pytest.mark.parametrize(("size", "expected"), [(1.5, 3.0), (2.0, 4.0), (50.0, 4.0), (-1.5, -3.0), (-50.0, -4.0)])
def test_dot_is_the_inner_product_clipped(size, expected):
    fields = {"dict-1": {"a": 2.0, "b": 7.0}, "dict-2": {"a": size, "c": 9.0}}
    assert emitted("dot", fields) == VValue({"dot": expected})


def test_dot_clips_where_the_machine_says():
    fields = {"dict-1": {"a": 10.0}, "dict-2": {"a": 10.0}}
    assert emitted("dot", fields, Ops(dot_clip=99.0)) == VValue({"dot": 99.0})
    assert emitted("dot", fields, Ops(dot_clip=101.0)) == VValue({"dot": 100.0})


@given(HALVES, HALVES)
def test_compare_emits_the_excess_of_either_number(a, b):
    fields = {"dict-1": {":number": a, "x": 9.0}, "dict-2": {":number": b, "y": 9.0}}
    assert emitted("compare", fields) == VValue({"true": max(a - b, 0.0), "false": max(b - a, 0.0)})


@given(HALVES, HALVES)
def test_hard_compare_emits_which_number_is_larger(a, b):
    fields = {"dict-1": {":number": a, "x": 9.0}, "dict-2": {":number": b, "y": 9.0}}
    assert emitted("hard_compare", fields) == VValue({"true": float(a > b), "false": float(b > a)})


def test_id_passes_every_field():
    fields = {"one": {"a": 1.0, ":number": 2.0}, "two": 3.0, "char": {"b": {"c": 4.0}}}
    assert emitted("id", fields) == VValue(fields)


def test_the_sources_emit_their_constants():
    assert emitted("const_1", {}) == VValue({"const_1": 1.0})
    assert emitted("eos", {}) == VValue({"char": {".": 1.0}})


@pytest.mark.parametrize("letter", ["a", "é", " ", ".", "{", "7", "ab"])
def test_a_letter_emits_itself_at_every_tick(letter):
    assert emitted(f"letter {letter}", {}) == VValue({"char": {letter: 1.0}})
    kind = find_kind(f"letter {letter}")
    assert (kind.name, kind.characters, dict(kind.inputs), dict(kind.outputs)) == (
        f"letter {letter}",
        (letter,),
        {},
        {"char": CHARS},
    )
    assert find_kind(f"letter {letter}") is kind
    machine = Machine({"it": f"letter {letter}", "norm": "norm"}).link("norm.dict", "it.char", -2.0)
    ticks = trace(machine, "xyz", 5, 2)
    assert [tick.outputs["it"] for tick in ticks] == [VValue({"char": {letter: 1.0}})] * 5
    assert ticks[-1].outputs["norm"] == VValue({"norm": 2.0})


@pytest.mark.parametrize("name", ["letter ", "letter", "letter :number", "letters a", "Letter a", "letter\na"])
def test_a_letter_is_a_word_and_no_number(name):
    with refused("not known"):
        find_kind(name)


@given(HALVES)
def test_the_timer_counts_on(number):
    assert emitted("timer", {"timer": number}) == VValue({"timer": number + 1})


@given(st.integers(1, 12), st.integers(0, 60), st.text("ab.é", min_size=1, max_size=5))
def test_the_input_emits_a_character_at_multiples_only_and_repeats_the_last(speed, timer, string):
    character = string[min(timer // speed, len(string) - 1)]
    expected = {"char": {character: 1.0}} if timer % speed == 0 else {}
    assert emitted("input", {"timer": timer}, Ops(4.0, [VValue({c: 1.0}) for c in string], speed)) == VValue(expected)


@pytest.mark.parametrize("timer", [-10.0, -20.0, 0.5, 10.25, 9.999999])
def test_the_input_is_silent_between_and_before_multiples(timer):
    assert emitted("input", {"timer": timer}) == VValue()


def test_the_output_emits_nothing():
    assert emitted("output", {"dict-1": 1.0, "dict-2": 2.0}) == VValue()


def test_an_unknown_kind_is_refused():
    with refused("'acum'", "accum"):
        find_kind("acum")


# ---- declarations ----

DECLARED = sorted(name for name, kind in KINDS.items() if kind.inputs is not None)
FLAT = [name for name in DECLARED if not KINDS[name].trees]  # those of trees have tests of their own
CARRIED = {SCALAR: {":number": 0.0}, CHARS: {"a": 3.0, "b": -1.5}, STREAM: {"a": 3.0, "b": -1.5, ":number": 2.0}}


class Watched(dict):
    """Fields that remember which of them were read."""

    def __init__(self, fields):
        super().__init__(fields)
        self.read = set()

    def __getitem__(self, field):
        self.read.add(field)
        return super().__getitem__(field)


def fields_of(kind, extra=None):
    return Watched({field: VValue(CARRIED[what]) + VValue(extra) for field, what in kind.inputs.items()})


@pytest.mark.parametrize("name", DECLARED)
def test_a_kind_reads_and_emits_the_fields_that_it_declares(name):
    kind = find_kind(name)
    fields = fields_of(kind)
    answers = kind.up(fields, OPS)
    assert set(answers) == set(kind.outputs)
    assert fields.read == set(kind.inputs if kind.outputs else ())
    assert {*kind.stop_gradient} - {"*"} <= set(kind.inputs)
    assert kind.memory is None or kind.memory in kind.inputs


@pytest.mark.parametrize("name", FLAT)
def test_a_kind_emits_what_it_declares_to_carry(name):
    kind = find_kind(name)
    anything = replace(OPS, stream=[VValue({"a": 1.0, "b": 2.0, ":number": 3.0})])
    for field, value in kind.up(fields_of(kind), anything if name == "value_input" else OPS).items():
        keys = set(VValue(value))
        if kind.outputs[field] == SCALAR:
            assert keys <= {":number"}
        if kind.outputs[field] == CHARS:
            assert keys
            assert ":number" not in keys
        if kind.outputs[field] == STREAM:
            assert keys == {"a", "b", ":number"}
        if not kind.inputs:
            assert keys <= {*kind.characters, ":number"}


@pytest.mark.parametrize("name", [name for name in FLAT if SCALAR in KINDS[name].inputs.values()])
def test_a_field_that_carries_a_number_ignores_characters(name):
    kind = find_kind(name)
    assert kind.up(fields_of(kind, {"a": 5.0}), OPS) == kind.up(fields_of(kind), OPS)


@pytest.mark.parametrize("name", [name for name in FLAT if KINDS[name].outputs])
def test_a_field_that_carries_a_stream_heeds_characters_and_number(name):
    kind = find_kind(name)
    ops = Ops(dot_clip=1000.0)
    for field in (field for field, what in kind.inputs.items() if what == STREAM):
        for more in ({"a": 50.0}, 50.0):
            fields = fields_of(kind)
            before = kind.up(fields, ops)
            fields[field] = fields[field] + more
            assert kind.up(fields, ops) != before


@pytest.mark.parametrize("name", [name for name in DECLARED if KINDS[name].memory])
def test_a_memory_is_merely_added(name):
    kind = find_kind(name)
    more = VValue({":number": 2.5})
    fields = fields_of(kind)
    remembering = Watched({**fields, kind.memory: fields[kind.memory] + more})
    for field, value in kind.up(remembering, OPS).items():
        assert VValue(value) == VValue(kind.up(fields, OPS)[field]) + more


def test_only_accumulators_and_id_lose_the_truncated_gradient():
    cut = {(name, field) for name in DECLARED for field in KINDS[name].inputs if not KINDS[name].passes_gradient(field)}
    assert cut == {("accum", "dict-1")}
    assert not KINDS["id"].passes_gradient("anything")


def test_the_dot_product_of_trees_is_the_inner_product():
    a, b = VValue({"a": {"b": 1.5, ":number": 0.5}}), VValue({"a": {"b": 1.0, ":number": 2.0}})
    assert emitted("dot", {"dict-1": a, "dict-2": b}) == VValue({"dot": inner(a, b)}) == VValue({"dot": 2.5})
