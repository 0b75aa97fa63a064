"""Kinds of general stream programming, the facts of DMM 1.0 (Clojure, 2016-17), and sums that share what they can."""

import pytest
from autograd import grad
from autograd.test_util import check_grads
from conftest import KEYS, NUMBERS, check_directional, flatten, generic_trees, refused, trees
from hypothesis import given
from hypothesis import strategies as st

from dmmlab.builders import write_program
from dmmlab.interpreter import answers, down, trace, up
from dmmlab.machines import Machine
from dmmlab.neurons import KINDS, SCALAR, STREAM, Ops, kind
from dmmlab.persistent import Layered
from dmmlab.trees import LARGE
from dmmlab.vvalues import VValue, inner, mask, max_norm, scale

OPS = Ops(dot_clip=4.0)
T = VValue({"a": 1, "b": 2, "c": {"a": 1, "b": 2, "c": {"x": 1, "y": 3}}})
K = VValue({"c": 7})


def emitted(name, **fields):
    """What one neuron of that kind emits for these fields; a hyphen in a field's name is written as two underlines."""
    fields = {field.replace("__", "-"): value for field, value in fields.items()}
    return up({"it": name}, VValue({"it": fields}), OPS)["it"]


# ---- facts of DMM 1.0; where zeros arise we differ on purpose: they are never stored ----


def test_sum():
    for a, b in (({"a": {"b": 1}}, {"a": 5}), ({"a": 5}, {"a": {"b": 1}})):
        assert VValue(a) + VValue(b) == {"a": {"b": 1, ":number": 5}}
        assert emitted("sum", dict__1=a, dict__2=b) == {"dict": {"a": {"b": 1, ":number": 5}}}
    assert VValue({"a": 1}) + VValue({"a": -1}) == {}
    assert VValue({"a": {":number": 2}}) + VValue({"a": -2}) == {}


def test_mask():
    assert mask(T, T) == {"a": 1, "b": 4, "c": {"a": 1, "b": 4, "c": {"x": 1, "y": 9}}}
    assert mask(K, T) == {"c": {"a": 7, "b": 14, "c": {"x": 7, "y": 21}}}
    assert emitted("mask", mask=K, dict=T) == {"dict": mask(K, T)}
    assert mask(T, K) == {}  # a map against a scalar


def combination(mask, tree):
    """DMM 1.0's linear combination: the subtrees that a mask's numbers point at, times these, added up at the root."""
    below = (combination(mask[key], tree[key]) for key in mask if key != ":number")
    return sum(below, scale(float(mask), tree))


def test_linear_combination():
    assert combination(K, T) == {"a": 7, "b": 14, "c": {"x": 7, "y": 21}}
    assert combination(T, T) == {":number": 20}
    assert combination(T, K) == {}


def test_a_matrix_applied_to_numbers():
    matrix = VValue({"x": {"a": 8}, "y": {"b": 10}, "z": {"a": 2, "b": 4}})
    values = VValue({"a": 3, "b": 5})
    assert VValue({key: combination(matrix[key], values) for key in matrix}) == {"x": 24, "y": 50, "z": 26}
    rows = {to: {"in": {source: {"out": weight} for source, weight in row.items()}} for to, row in matrix.items()}
    columns = VValue({name: {"out": number} for name, number in values.items()})
    assert down(VValue(rows), columns) == {"x": {"in": 24}, "y": {"in": 50}, "z": {"in": 26}}


def test_max_norm():
    assert max_norm(VValue({"c": -2, "a": 1})) == 2


def test_a_reader_into_an_accumulator_into_a_printer():
    machine = write_program("accum.dict-2 <- input.char\noutput.dict-1 <- accum.dict")
    words = ("step",) * 4 + ("a",) + ("step",) * 4
    printed = [
        tick.inputs["output"]["dict-1"] if "output" in tick.inputs else {} for tick in trace(machine, words, 8, 1)
    ]
    assert printed[:4] == [{}, {}, {"step": 1}, {"step": 2}]
    assert printed[6] == {"step": 4, "a": 1}  # the message read at tick 5


# ---- the kinds ----


def test_inner_has_no_governor():
    assert emitted("inner", dict__1={"a": 100.0}, dict__2={"a": 3.0, "b": 1.0}) == {"inner": 300.0}


def test_gate_lets_through_as_much_as_its_number():
    assert emitted("gate", factor=-2.0, dict=T) == {"dict": -2.0 * T}
    assert emitted("gate", dict=T) == {}


def test_cons_makes_lists_of_trees():
    assert emitted("cons", new={"a": 1.0}) == {"list": {"this": {"a": 1.0}}}
    rest = {"this": {"a": 1.0}}
    assert emitted("cons", new={"b": 1.0}, rest=rest) == {"list": {"this": {"b": 1.0}, "rest": rest}}
    assert emitted("cons", rest=rest) == {"list": rest}


def test_a_kind_of_ones_own_is_one_decorated_function():
    @kind("square", {"x": SCALAR}, {"y": STREAM}, trees=True)
    def square(x, ops):
        return {"y": VValue({"root": {"of": 1.0}}) * inner(x["x"], x["x"])}

    try:
        assert emitted("square", x=3.0) == {"y": {"root": {"of": 9.0}}}
    finally:
        del KINDS["square"]


# ---- derivatives ----


@given(generic_trees(), generic_trees())
def test_mask_is_differentiated_to_second_order(a, b):
    a, b = VValue(a), VValue(b)
    check_grads(mask, modes=["rev", "fwd"], order=2)(a, b)
    check_directional(lambda m: mask(m, b), a, VValue({"new": 1.0, ":number": 0.5, "a": {"b": 1.0}}))
    check_directional(lambda v: mask(a, v), b, VValue({"new": 1.0, ":number": 0.5, "a": {"b": 1.0}}))


@given(trees(), trees(), trees(), st.integers(-3, 3))
def test_mask_is_bilinear(a, b, c, factor):
    a, b, c = VValue(a), VValue(b), VValue(c)
    close = pytest.approx
    for left, right in (
        (mask(a + factor * b, c), mask(a, c) + factor * mask(b, c)),
        (mask(c, a + factor * b), mask(c, a) + factor * mask(c, b)),
    ):
        left, right = flatten(left), flatten(right)
        for path in {*left, *right}:
            assert left.get(path, 0.0) == close(right.get(path, 0.0), rel=1e-9, abs=1e-6)


KINDS_OF_TREES = {
    "mask": ("mask", "dict"), "gate": ("factor", "dict"), "cons": ("new", "rest"),
    "sum": ("dict-1", "dict-2"), "inner": ("dict-1", "dict-2"), "self": ("accum", "delta"),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS_OF_TREES)
def test_every_kind_is_differentiable(name):
    tree = VValue({"a": 3.0, "b": {"c": -1.5, ":number": 0.7}, ":number": 1.3})
    fields = {field: (0.5 + i) * tree for i, field in enumerate(KINDS_OF_TREES[name])}
    probe = VValue({"dict": tree, "list": {"this": tree, "rest": tree}, "inner": 1.0, "matrix": tree})

    def loss(x):
        return inner(probe, up({"it": name}, VValue({"it": x}), OPS)["it"])

    inputs = VValue(fields)
    check_grads(loss, modes=["rev"], order=1)(inputs)
    slopes = grad(loss)(inputs)
    for path, _ in inputs.leaves():
        nudge = 1e-6
        for key in reversed(path):
            nudge = {key: nudge}
        slope = (loss(inputs + VValue(nudge)) - loss(inputs - VValue(nudge))) / 2e-6
        path = path[:-1] if path[-1] == ":number" else path
        assert flatten(slopes).get(path, 0.0) == pytest.approx(slope, rel=1e-6, abs=1e-6)


# ---- sums of large and small ----


@given(
    st.dictionaries(KEYS, NUMBERS, max_size=4),
    st.lists(st.dictionaries(st.text("abc", max_size=3).filter(bool), NUMBERS, max_size=4), max_size=30),
)
def test_layered_sums_are_those_of_dictionaries(more, patches):
    large = {f"key {i}": 1.0 for i in range(2 * LARGE)} | more
    plain, value = dict(flatten(large)), VValue(large)
    for patch in [*patches, {"key 3": -1.0, "key 4": 5.0}]:
        value = value + VValue(patch)
        for path, number in flatten(patch).items():
            plain[path] = plain.get(path, 0.0) + number
        plain = {path: number for path, number in plain.items() if number}
        assert dict(value.leaves()) == {(path or (":number",)): number for path, number in plain.items()}
        assert len(value) == len(list(value)) == len(plain)
    assert isinstance(value.tree, Layered)
    assert VValue.from_json(value.to_json()) == value == VValue(value.to_dict())
    assert "key 3" not in value and value["key 3"] == {} and value["key 4"] == 6.0 + more.get("key 4", 0.0)
    assert hash(value) == hash(VValue(value.to_dict()))
    assert -1.0 * value + value == {}


def test_an_old_sum_does_not_change_with_later_ones():
    first = VValue({f"key {i}": 1.0 for i in range(2 * LARGE)})
    second = first + VValue({"new": 1.0})
    third = second + VValue({"new": 1.0, "key 0": -1.0})
    assert (first["new"], second["new"], third["new"]) == ({}, 1.0, 2.0)
    assert second["key 0"] == 1.0 and "key 0" not in third


def test_a_machine_of_trees_is_refused_by_the_flat_engine():
    from dmmlab.engine import run

    with refused("'mask'", "trees", "dmm.trace"):
        run(Machine({"mask": "mask", "output": "output"}), "ab")
    machine = write_program("sum.dict-1 <- input.char\ninner.dict-1 <- sum.dict\ninner.dict-2 <- 9 input.char\n"
                            "output.dict-1 <- inner.inner")  # fmt: skip
    assert run(machine, "ab", 20, 3).tolist() == answers(machine, "ab", 20, ticks_per_character=3).tolist()
