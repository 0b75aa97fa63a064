"""V-values: the axioms of a vector space, the rules of storage, what is refused, and derivatives."""

import json
from collections import OrderedDict
from fractions import Fraction
from types import MappingProxyType

import autograd.numpy as np
import pytest
from autograd import grad, make_jvp
from autograd.test_util import check_grads
from conftest import check_directional, close, flatten, generic_trees, nested, refused, trees
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dmmlab.files import DMMError
from dmmlab.vvalues import VValue, branch, from_leaves, inner, max_norm, number, place, scale

SCALARS = st.integers(-3, 3).map(float) | st.floats(-1000, 1000)
VALUES = trees().map(VValue)
GENERIC = generic_trees().map(VValue)
both_modes = {"modes": ["rev", "fwd"], "order": 2}


def is_canonical(v):
    """Floats and dicts only; no zero, no empty branch, no lone ':number' below the root, no tree under ':number'."""

    def good(tree):
        if type(tree) is float:
            return tree != 0
        lone = set(tree) == {":number"}
        return type(tree) is dict and tree and not lone and all(map(good, tree.values())) and numbers(tree)

    def numbers(tree):
        return type(tree.get(":number", 1.0)) is float

    tree = v.to_dict()
    return type(v) is VValue and all(map(good, tree.values())) and numbers(tree)


# ---- the vector space ----


@given(VALUES, VALUES)
def test_addition_commutes_exactly(v, w):
    assert v + w == w + v


@given(VALUES, VALUES, VALUES)
def test_addition_associates(u, v, w):
    assert close((u + v) + w, u + (v + w))


@given(VALUES)
def test_zero_is_neutral(v):
    assert v + VValue() == v == VValue() + v


@given(VALUES)
def test_negative_cancels_to_the_empty_tree(v):
    assert v + -v == VValue() == v - v
    assert len(v - v) == 0


@given(VALUES, VALUES)
def test_subtraction_adds_the_negative(v, w):
    assert v - w == v + (-1.0) * w
    assert 2.0 - v == VValue(2.0) - v
    assert w.to_dict() - v == w - v


@given(SCALARS, VALUES, VALUES)
def test_scaling_distributes_over_addition(s, v, w):
    assert close(s * (v + w), s * v + s * w)


@given(SCALARS, SCALARS, VALUES)
def test_scaling_distributes_over_addition_of_numbers(s, t, v):
    assert close((s + t) * v, s * v + t * v)


@given(SCALARS, SCALARS, VALUES)
def test_scaling_twice_is_scaling_by_the_product(s, t, v):
    assert close(s * (t * v), (s * t) * v, tolerance=1e-3)


@given(VALUES)
def test_one_times_a_value_is_the_value(v):
    assert 1.0 * v == v == v * 1


@given(VALUES)
def test_zero_times_a_value_is_zero(v):
    assert 0.0 * v == VValue()
    assert len(0 * v) == 0


@given(VALUES)
def test_dividing_undoes_multiplying(v):
    assert v * 8.0 / 8.0 == v


# ---- against the paths ----


@given(trees())
def test_a_value_has_the_paths_of_its_tree(tree):
    assert flatten(VValue(tree)) == flatten(tree)


@given(trees(), trees())
def test_a_sum_is_the_union_of_paths_with_leaves_added(a, b):
    left, right = flatten(a), flatten(b)
    sums = {path: left.get(path, 0.0) + right.get(path, 0.0) for path in {*left, *right}}
    assert flatten(VValue(a) + VValue(b)) == {path: x for path, x in sums.items() if x}


@given(SCALARS, trees())
def test_scaling_scales_every_leaf(s, tree):
    assert flatten(s * VValue(tree)) == {path: s * x for path, x in flatten(tree).items() if s * x}


@given(trees(), trees())
def test_the_inner_product_sums_products_over_common_paths(a, b):
    left, right = flatten(a), flatten(b)
    expected = sum(left[path] * right[path] for path in left if path in right)
    assert inner(VValue(a), VValue(b)) == pytest.approx(expected, rel=1e-12, abs=1e-9)


@given(VALUES, VALUES)
def test_the_inner_product_is_symmetric(v, w):
    assert inner(v, w) == pytest.approx(inner(w, v), rel=1e-12, abs=1e-9)


@given(SCALARS, VALUES, VALUES, VALUES)
def test_the_inner_product_is_linear(s, u, v, w):
    assert inner(s * u + v, w) == pytest.approx(s * inner(u, w) + inner(v, w), rel=1e-9, abs=1e-2)


@given(VALUES)
def test_the_inner_product_with_itself_is_positive(v):
    assert inner(v, v) >= 0
    assert inner(VValue({"a": 3.0, "b": {"c": -4.0}}), VValue({"a": 3.0, "b": {"c": -4.0}})) == 25.0


@given(trees())
def test_the_max_norm_is_the_largest_absolute_leaf(tree):
    assert max_norm(VValue(tree)) == max(map(abs, flatten(tree).values()), default=0.0)


@given(VALUES, VALUES)
def test_the_max_norm_obeys_the_triangle_inequality(v, w):
    assert max_norm(v + w) <= max_norm(v) + max_norm(w)


# ---- what is stored ----


@given(trees(), VALUES, SCALARS, st.sampled_from(["a", "b", ":number", "?"]))
def test_zeros_and_empty_branches_are_never_stored(tree, w, s, key):
    v = VValue(tree)
    results = [v, v + w, v - w, w - v, s * v, 0 * v, -v, 1e-320 * v, v / 7, branch(v, key)]
    results += [VValue({"x": v["a"]}), VValue({"x": v, "y": w}), from_leaves([*v.leaves(), *w.leaves()])]
    results += [VValue({"x": {"y": v}, "z": w}), VValue(dict(v)), v + 2.0, 0.0 - v]
    assert all(map(is_canonical, results)), [x for x in results if not is_canonical(x)]


def test_leaves_that_underflow_vanish():
    assert VValue({"a": 1e-300, "b": {"c": 1e-300}}) * 1e-300 == VValue()
    assert (VValue({"a": {"b": 1e-300, ":number": 2.0}}) * 1e-100).to_dict() == {"a": 2e-100}


def test_a_number_at_the_end_of_a_path_is_the_number():
    assert VValue({"a": 2}) == VValue({"a": {":number": 2}}) == VValue({"a": {":number": {":number": 2}}})
    assert VValue({"a": {":number": 2}}).to_dict() == {"a": 2.0}
    assert VValue({"a": {":number": 2}})["a"] == 2.0


def test_a_number_beside_branches_keeps_its_reserved_key():
    expected = {"a": {"b": 1.0, ":number": 5.0}}
    assert (VValue({"a": {"b": 1}}) + VValue({"a": 5})).to_dict() == expected
    assert (VValue({"a": 5}) + VValue({"a": {"b": 1}})).to_dict() == expected
    assert (VValue(expected) - VValue({"a": {"b": 1}})).to_dict() == {"a": 5.0}


def test_a_number_alone_is_a_value():
    assert VValue(2.5) == VValue({":number": 2.5}) == 2.5
    assert VValue(2.5).to_dict() == {":number": 2.5}
    assert VValue({"a": 1}) + 2 == VValue({"a": 1, ":number": 2}) == 2 + VValue({"a": 1})
    assert number(VValue({"a": 1, ":number": 2})) == 2.0
    assert number(VValue({"a": 1})) == 0.0


def test_a_missing_path_is_zero():
    v = VValue({"a": 1, "b": {"c": -4}})
    assert v["?"] == VValue() == v["?"]["further"] == v["b"]["?"]
    assert v[":number"] == 0.0
    assert v["b"]["c"] == -4.0


def test_a_value_reads_like_a_mapping():
    v = VValue({"a": 1, "b": {"c": -4}})
    assert dict(v) == {"a": 1.0, "b": VValue({"c": -4.0})}
    assert list(v) == ["a", "b"]
    assert len(v) == 2
    assert "b" in v
    assert "c" not in v
    assert v.get("?", 7) == 7
    assert v.get("a", 7) == 1.0


@given(VALUES, st.sampled_from(["a", "b", ":number", "?"]))
def test_what_stands_under_a_key_is_always_a_value(v, key):
    entries = [v[key], v.get(key, VValue()), *v.values(), *dict(v).values(), *(x for _, x in v.items())]
    assert {type(x) for x in entries} == {VValue}
    assert v[":number"] == float(v) == number(v)
    assert all(VValue({key: x}) == VValue({key: x.to_dict()}) for key, x in v.items() if key != ":number")


def test_a_value_that_is_a_number_reads_like_one():
    v = VValue({"a": 2.5, "b": {"c": -4.0}, ":number": 7.0})
    assert (float(v["a"]), float(v["b"]), float(v["?"]), float(v)) == (2.5, 0.0, 0.0, 7.0)
    assert v["a"] == 2.5 and hash(v["a"]) == hash(2.5) and v["?"] == 0.0
    assert f"{v['a']:g} {v['?']:.1f} {v[':number']:>4}" == "2.5 0.0  7.0"
    assert f"{v['a']} {v['b']:s}" == "VValue(2.5) VValue({'c': -4.0})"
    assert 2 * v["a"] + 1 - v[":number"] == -1.0 and sum(v[key] for key in ("a", "?")) == 2.5
    assert np.array([v["a"], v["?"]]).tolist() == [2.5, 0.0]
    with pytest.raises(ValueError, match="format"):
        f"{v:g}"


def test_a_traced_value_has_no_float_but_a_number():
    with pytest.raises(TypeError):
        grad(lambda v: float(v["a"]))(VValue({"a": 2.0}))
    assert grad(lambda v: number(v["a"]) ** 2)(VValue({"a": 3.0})) == {"a": 6.0}


def test_a_traced_leaf_in_an_operand_is_refused_by_its_path():
    with refused("dmm.VValue", start="a: "):
        grad(lambda x: inner({"a": x}, {"a": 1.0}))(2.0)


@given(VALUES)
def test_leaves_and_from_leaves_are_inverse(v):
    assert from_leaves(v.leaves()) == v
    assert from_leaves([*v.leaves(), *v.leaves()]) == 2.0 * v
    assert from_leaves([*v.leaves(), *(-v).leaves(), (("a", "b"), 0.0)]).to_dict() == {}
    assert is_canonical(from_leaves([*v.leaves(), (("a", "b"), 3.0), (("a", "b"), -3.0)]))


@given(VALUES, VALUES)
def test_equal_values_have_equal_hashes_and_order_does_not_matter(v, w):
    turned = VValue(dict(reversed(list(v.items()))))
    assert turned == v
    assert hash(turned) == hash(v)
    assert (v == w) == (flatten(v) == flatten(w))
    assert (v != w) == (flatten(v) != flatten(w))


def test_a_value_is_unlike_what_is_no_tree():
    assert VValue({"a": 1}) != "a"
    assert VValue({"a": 1}) != [1]
    assert VValue({"a": 1}) == {"a": 1, "b": {}}


@given(trees())
def test_a_value_cannot_be_changed(tree):
    v = VValue(tree)
    before = flatten(v)
    copy = v.to_dict()
    for plain in (tree, copy):
        for key, leaf in [*plain.items()]:
            plain[key] = 77.0 if leaf == 0 or not isinstance(leaf, dict) else leaf | {"new": 77.0}
            if isinstance(leaf, dict):
                leaf["new"] = 77.0
        plain["new"] = 77.0
    assert flatten(v) == before
    with pytest.raises(TypeError):
        v["a"] = 1.0
    with pytest.raises(TypeError):
        del v["a"]
    with pytest.raises(AttributeError):
        v.colour = 1.0


def test_numpy_numbers_scale_values():
    v = VValue({"a": 1.5})
    assert np.float64(2) * v == v * np.float64(2) == VValue({"a": 3.0})
    assert type(np.float64(2) * v) is VValue
    assert type(float((np.float32(2) * v)["a"])) is float
    assert VValue({"a": np.float32(0.5), "b": np.int64(3), "c": np.array(2.0), "d": Fraction(1, 4)}).to_dict() == {
        "a": 0.5,
        "b": 3.0,
        "c": 2.0,
        "d": 0.25,
    }


# ---- text ----


@given(VALUES)
def test_json_survives_to_the_last_bit(v):
    assert VValue.from_json(v.to_json()).to_dict() == v.to_dict() == json.loads(v.to_json(indent=2))


def test_repr_shows_the_tree():
    assert repr(VValue({"a": 1, "b": {"c": -4}})) == "VValue({'a': 1.0, 'b': {'c': -4.0}})"
    assert repr(VValue()) == "VValue({})"
    assert repr(VValue(1)) == "VValue(1.0)"


def test_html_escapes_names():
    text = VValue({"<script>alert('&')</script>": {"<b>": 1.5, '"': 2}})._repr_html_()
    assert "<script" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;" in text
    assert "1.5" in text


# ---- what is refused ----


@pytest.mark.parametrize(
    "bad",
    ["1", None, [1.0], (1,), {1.0}, float("nan"), float("inf"), -float("inf"), True, np.bool_(True), 10**400, 1j]
    + [np.array([1.0]), np.nan, b"1", object],
    ids=str,
)
def test_a_leaf_that_is_no_finite_number_is_refused_by_its_path(bad):
    with refused(start="tree / twig"):
        VValue({"good": 1.0, "tree": {"twig": bad}})


@pytest.mark.parametrize("key", [1, None, ("a",), b"a", True], ids=str)
def test_a_key_that_is_no_string_is_refused_by_its_path(key):
    with refused(repr(key), start="tree"):
        VValue({"tree": {key: 1.0}})


def test_a_tree_under_the_reserved_key_is_refused():
    with refused(start="a / :number"):
        VValue({"a": {":number": {"b": 1.0}}})


@pytest.mark.parametrize("key", ["line\nbreak", "line\r", "paragraph\u2029separator"])
def test_a_refusal_is_one_line_whatever_the_keys(key):
    with refused():
        VValue({key: "text"})


@pytest.mark.parametrize("depth", [1100, 100_000])
def test_a_tree_that_is_nested_too_deeply_is_refused(depth):
    with refused("deep"):
        VValue(nested(depth))
    assert VValue() != nested(depth)


def test_a_tree_within_itself_is_refused():
    tree = {}
    tree["a"] = tree
    with refused("deep"):
        VValue(tree)


def deep_value(depth):
    v = VValue(1.0)
    for _ in range(depth):
        v = place(v, "a")
    return v


@pytest.mark.parametrize("v", [10 * VValue({"a": {"b": 1e308}}), *map(deep_value, (1, 250, 251, 252, 300, 950, 2000))])
def test_what_is_written_as_json_is_read_again_or_writing_is_refused(v):
    try:
        text = v.to_json()
    except DMMError as error:
        assert "a / b: inf" in str(error) or "deep" in str(error)
    else:
        assert VValue.from_json(text) == v


@pytest.mark.parametrize("depth", [100, 300, 450, 700, 900, 960, 980])
def test_a_tree_that_is_accepted_is_not_too_deep_for_anything(depth):
    try:
        v = VValue(nested(depth))
    except DMMError:
        assert depth > 100
        return
    assert VValue.from_json((v + v).to_json()).to_dict() == (2 * v).to_dict()
    assert max_norm(v) == inner(v, v) == 1.0
    assert hash(v) == hash(v - VValue())
    assert repr(v) in v._repr_html_() + repr(v)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '"a"', '{"a": NaN}', '{"a": 1e999}', '{"a": 1, "a": 1}', '{"a": null}']
)
def test_json_that_is_no_tree_is_refused(text):
    with refused():
        VValue.from_json(text)


def test_a_product_of_two_values_is_refused():
    with refused("inner"):
        VValue({"a": 1}) * VValue({"a": 1})


@pytest.mark.parametrize("operate", [lambda v: v + {"a": "x"}, lambda v: v - {"a": [1]}, lambda v: inner(v, {3: 1.0})])
def test_operations_refuse_dicts_that_are_no_trees(operate):
    with refused():
        operate(VValue({"a": 1}))


@pytest.mark.parametrize("operate", [lambda v: v + "5", lambda v: v * "2", lambda v: v - "x", lambda v: "x" * v])
def test_operations_refuse_text(operate):
    with pytest.raises((TypeError, ValueError)):
        operate(VValue({"a": 1}))


@pytest.mark.parametrize("rest", [{"b": "5"}, {"b": True}, {3: 1.0}, {"b": float("nan")}, {"b": [1]}], ids=str)
def test_a_traced_leaf_excuses_no_bad_neighbour(rest):
    with refused(start="tree"):
        grad(lambda x: number(VValue({"tree": {"a": x, **rest}, ":number": x})))(2.0)


def test_a_traced_leaf_that_is_an_array_is_refused():
    with refused():
        grad(lambda x: number(VValue({"tree": {"a": x}, ":number": x[0]})))(np.ones(2))


@pytest.mark.parametrize("mapping", [OrderedDict, MappingProxyType, VValue])
def test_a_traced_leaf_may_stand_in_any_mapping(mapping):
    w = VValue({"a": 3.0, "b": {"a": 5.0, "c": 7.0}})
    assert grad(lambda x: inner(VValue(mapping({"a": x, "c": 1.0})), w))(2.0) == 3.0
    assert grad(lambda x: inner(VValue({"b": mapping({"a": x, "c": x})}), w))(2.0) == 12.0


def test_a_traced_tree_under_the_reserved_key_is_refused():
    with refused():
        grad(lambda v: inner(VValue({":number": v, "b": 1}), VValue({"a": 1})))(VValue({"a": 2.0}))


# ---- derivatives ----


def numeric_gradient(f, v, paths):
    """Central differences along single paths, present or not."""
    step = 1e-5
    slopes = []
    for path in {path[:-1] if path[-1] == ":number" else path for path in paths}:
        end = from_leaves([(path or (":number",), step)])
        slopes.append((path or (":number",), (f(v + end) - f(v - end)) / (2 * step)))
    return from_leaves(slopes)


EVERY = [("a",), ("b",), ("c",), ("?",), (":number",), ("a", "b"), ("b", "a"), ("b", "c", "a"), ("c", "?")]
SMOOTH = {
    "add": lambda v, w: inner(v + w, v + w),
    "subtract": lambda v, w: inner(w - v, w - 3 * v),
    "scale": lambda v, w: inner(v * inner(v, w), w),
    "divide": lambda v, w: inner(v / (2.0 + inner(v, v)), w),
    "max_norm": lambda v, w: max_norm(v) * inner(v, w),
    "branch": lambda v, w: inner(branch(v, "b"), w) * inner(branch(v, "b"), branch(v, "a")),
    "branch of the number": lambda v, w: inner(branch(v, ":number"), w + 2.0 + VValue({"z": 3})),
    "number": lambda v, w: number(v) * inner(v, w) + number(branch(v, "a")) ** 3,
    "place": lambda v, w: inner(place(v, "b") + place(branch(v, "c"), "a"), w) * inner(v, w),
    "construct": lambda v, w: inner(VValue({"b": {"c": v, "a": 2.0}, "?": number(v)}), VValue({"b": {"c": w}})) ** 2,
    "all together": lambda v, w: max_norm(branch(v + w, "a") * inner(v, w) + 3 * w) * number(v - w) + inner(v, w),
}


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=25)
@given(v=GENERIC, w=GENERIC)
def test_a_gradient_is_a_tree_that_agrees_with_differences_on_missing_paths_too(name, v, w):
    def f(x):
        return SMOOTH[name](x, w + VValue({"a": 1.25, "b": {"c": {"a": 0.75}}, "?": -1.5}))

    gradient = grad(f)(v)
    assert is_canonical(gradient)
    paths = {*EVERY, *(path for path, _ in gradient.leaves()), *(path for path, _ in v.leaves())}
    assume(max_norm(gradient) < 1e3)
    assert close(gradient, numeric_gradient(f, v, paths), tolerance=1e-4)


def test_a_gradient_reaches_links_that_are_not_there():
    w = VValue({"a": 3.0, "b": {"c": 5.0}})
    assert grad(lambda v: inner(v, w))(VValue({"z": 1.0})) == w
    assert grad(lambda v: inner(v, w) + inner(v, v))(VValue({"z": 1.0})) == w + VValue({"z": 2.0})
    assert grad(lambda v: inner(v["b"], VValue({"c": 7})))(VValue()) == VValue({"b": {"c": 7}})


TREES_OUT = {
    "add": lambda v, w: v + w,
    "subtract": lambda v, w: 1.0 - (v - 2 * w),
    "scale": lambda v, w: w * inner(v, w),
    "inner": lambda v, w: inner(v, w),
    "max_norm": lambda v, w: scale(max_norm(v), w),
    "take a branch": lambda v, w: (v + VValue({"b": {"a": 1.0, "c": 1.0}}))["b"],
    "take a number": lambda v, w: number((place(number(v), "p") + VValue({"p": 9.0}))["p"]) ** 2,
    "branch": lambda v, w: branch(v, "a") + branch(w, "a"),
    "branch of the number": lambda v, w: branch(v, ":number") + branch(w, ":number"),
    "number": lambda v, w: v * (number(v) * number(w)),
    "place": lambda v, w: place(v, "a") + place(w, "?") + place(inner(v, w), ":number"),
    "construct": lambda v, w: VValue({"a": v, "b": {"c": w, "d": number(v)}, "e": inner(v, w), "f": 1.0}),
}


@pytest.mark.parametrize("name", TREES_OUT)
@settings(max_examples=6)
@given(v=GENERIC, w=GENERIC)
def test_derivatives_agree_with_numbers_to_second_order_both_ways(name, v, w):
    v, w = v + VValue({"a": 0.625}), w + VValue({"a": {"b": 0.875}, ":number": 5.5})
    check_grads(TREES_OUT[name], (0, 1), **both_modes)(v, w)


@pytest.mark.filterwarnings("ignore:Output seems independent of input")  # the gradient of what is linear
@pytest.mark.parametrize("name", TREES_OUT)
@settings(max_examples=10)
@given(v=GENERIC, w=GENERIC, direction=GENERIC, probe=GENERIC)
def test_directional_derivatives_agree_with_differences_at_every_path(name, v, w, direction, probe):
    def f(v, w):
        return TREES_OUT[name](v + VValue({"a": 0.625, "d": 0.5}), w + VValue({"a": {"b": 0.875}, ":number": 5.5}))

    for g in (lambda v: f(v, w), lambda v: f(w, v), lambda v: f(v, v)):
        assume(max_norm(VValue(g(v))) < 300)
        check_directional(g, v, direction)
        check_directional(grad(lambda v, g=g: inner(g(v), probe)), v, direction)


STEPS = [
    lambda v, w: v + w,
    lambda v, w: w - 0.5 * v,
    lambda v, w: v * inner(v, w),
    lambda v, w: w * max_norm(v) + v,
    lambda v, w: branch(v, "a") + w,
    lambda v, w: place(v, "a") + place(number(v), "b"),
    lambda v, w: VValue({"a": v, "c": {"b": number(v), "a": 0.5}}),
    lambda v, w: v / (1.0 + inner(v, v)),
]


@settings(max_examples=25)
@given(GENERIC, GENERIC, st.lists(st.sampled_from(STEPS), min_size=2, max_size=4))
def test_derivatives_of_random_compositions_agree_with_numbers(v, w, steps):
    w = w + VValue({"a": 0.375, "b": 0.1875})

    def composed(v):
        for step in steps:
            v = step(v, w)
        return v / (1.0 + max_norm(v))

    check_grads(composed, **both_modes)(v)


def test_derivatives_pass_through_construction_from_traced_numbers():
    def construct(x, y):
        return VValue({"a": x, "b": {"c": y, ":number": x * y}, "d": {"e": {"f": y**2}}, "constant": 1.0})

    check_grads(construct, (0, 1), **both_modes)(0.3, -1.2)
    check_grads(lambda x: VValue({"a": x[0], "b": {"c": x[1]}}), **both_modes)(np.array([0.3, -1.2]))
    w = VValue({"a": 2.0, "b": {"c": 3.0}})
    assert grad(lambda x: inner(VValue({"a": x, "b": {"c": x}}), w))(0.0) == 5.0
    assert grad(lambda x: number(VValue(x) + VValue(x)))(4.0) == 2.0


def test_a_directional_derivative_of_a_tree_is_a_tree():
    v, direction = VValue({"a": 2.0}), VValue({"a": 1.0, "z": 10.0})
    value, tangent = make_jvp(lambda v: v * inner(v, v))(v)(direction)
    assert value == VValue({"a": 8.0})
    assert tangent == VValue({"a": 12.0, "z": 40.0})


ORDERS = {
    "s * v": lambda s, v: s * v,
    "v * s": lambda s, v: v * s,
    "s + v": lambda s, v: s + v,
    "v + s": lambda s, v: v + s,
    "s - v": lambda s, v: s - v,
    "v - s": lambda s, v: v - s,
    "v / s": lambda s, v: v / s,
    "s * v + s - v": lambda s, v: s * v + s - v,
}


@pytest.mark.parametrize("operate", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize(
    "number_of", [lambda x: x, lambda x: np.array([1.0, 2.0])[1] * x], ids=["as it is", "computed"]
)
def test_numbers_and_values_stand_in_both_orders_whichever_is_traced(operate, number_of):
    v = VValue({"a": 2.0, "b": {"c": -3.0}, ":number": 0.5})
    check_grads(lambda s: operate(number_of(s), v), **both_modes)(1.5)
    check_grads(lambda v: operate(np.float64(1.5), v), **both_modes)(v)
    check_grads(lambda v: operate(inner(v, v), v), **both_modes)(v)
    check_grads(lambda s, v: operate(number_of(s), v), (0, 1), **both_modes)(1.5, v)


def test_a_traced_number_equals_a_value_as_other_numbers_do():
    def f(s):
        assert [s == VValue(3.0), s != VValue(3.0), s == VValue({"a": 3.0}), s != VValue({"a": 3.0})] == [1, 0, 0, 1]
        return s

    assert grad(f)(3.0) == 1.0


def test_a_number_is_not_divided_by_a_value():
    for divide in (lambda s: s / VValue(2.0), lambda s: 2.0 / VValue({"a": s})):
        with pytest.raises(TypeError):
            grad(divide)(3.0)


def test_a_tie_of_the_max_norm_is_split_evenly():
    assert grad(max_norm)(VValue({"a": 2, "b": {"c": -2}, "d": 1})) == VValue({"a": 0.5, "b": {"c": -0.5}})
    assert grad(max_norm)(VValue({"a": -2, "d": 1})) == VValue({"a": -1})


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("ab", {"b": -1}),
        ("ba", {"a": 1}),
        ("aba", {"a": 1}),
        ("xa", {"a": 1}),
        ("d", {"a": 0.25, "b": -0.25, "z": 0.25}),
    ],
)
def test_with_an_order_a_tie_of_the_max_norm_goes_to_the_last_of_the_tied_keys(order, expected):
    tied = VValue({"a": 2, "b": -2, "z": 2, ":number": 2, "d": 1})
    expected = {**expected, ":number": 0.25} if order == "d" else expected
    assert grad(lambda v: max_norm(v, order))(tied) == VValue(expected)
    assert grad(lambda v: max_norm(v, order))(VValue()) == VValue()


def test_the_gradient_of_the_norm_at_zero_is_zero():
    assert grad(max_norm)(VValue()) == VValue()
    assert grad(lambda v: inner(v, v))(VValue()) == VValue()


def test_a_traced_value_reads_like_a_mapping():
    def f(v):
        assert list(v) == list(v.keys()) == ["a", "b"]
        assert len(v) == 2
        assert "a" in v
        return sum(number(x) if key == "a" else inner(x, x) for key, x in v.items())

    assert grad(f)(VValue({"a": 1, "b": {"c": 3}})) == VValue({"a": 1, "b": {"c": 6}})


@given(VALUES)
def test_a_traced_value_has_what_the_value_has(v):
    def f(x):
        assert x == v and len(x) == len(v) and [*x] == [*x.keys()] == [*v] and all(key in x for key in v)
        assert "none" not in x and x.get("none") is None and x.to_json() == v.to_json()
        assert all(x.get(key) == x[key] == below for (key, below), each in zip(v.items(), x.values(), strict=True))
        assert [path for path, _ in x.leaves()] == [path for path, _ in v.leaves()]
        assert VValue(x.to_dict()) == v and bool(x) == bool(v)
        return inner(x, x)

    assert grad(f)(v) == 2 * v


READINGS = {
    "get": lambda v: number(v.get("a")) ** 2 + inner(v.get("b"), v.get("b")),
    "values": lambda v: sum(inner(below, below) for below in v.values()),
    "items": lambda v: sum(inner(v[key], below) for key, below in v.items()),
    "leaves": lambda v: sum(leaf**2 for _, leaf in v.leaves()),
    "to_dict": lambda v: v.to_dict()["a"] ** 2 + v.to_dict()["b"]["c"] ** 2 + v.to_dict()["b"][":number"] ** 2,
    "to_dict, and a value again": lambda v: inner(VValue(v.to_dict()), v),
}


@pytest.mark.parametrize("f", READINGS.values(), ids=READINGS)
def test_gradients_go_through_whatever_reads_a_value(f):
    v = VValue({"a": 1.5, "b": {"c": -4.0, ":number": 2.0}})
    assert grad(f)(v) == 2 * v
    check_grads(f, **both_modes)(v)


@given(GENERIC)
def test_taking_a_missing_key_has_a_gradient_there(v):
    gradient = grad(lambda v: inner(v["none"], VValue({"x": 2.0, ":number": 3.0})))(v)
    assert gradient == VValue({"none": {"x": 2.0, ":number": 3.0}})


def test_what_is_equal_has_the_same_hash():
    for number_ in (0.0, 2.0, -1.5):
        assert VValue(number_) == number_ and hash(VValue(number_)) == hash(number_)
    assert hash(VValue({"a": 1, "b": {"c": 2}})) == hash(VValue({"b": {"c": 2}, "a": 1}))
