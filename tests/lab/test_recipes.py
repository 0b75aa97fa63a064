"""Figures as data: a recipe draws the same bytes, and holds nothing but plain data; narrow ones are restacked."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import refused
from matplotlib.colors import ListedColormap, LogNorm

import dmmlab as dmm
from dmmlab.lab.figures import pack, unpack
from dmmlab.lab.recipes import replay


def busy():
    """A figure with everything that notebooks put into one."""
    figure, axes = dmm.new_figure(columns=2, height=2.5)
    figure.clear()
    left, right = figure.subplots(1, 2)
    (line,) = left.plot(np.linspace(0, 1, 5), np.array([1, np.nan, 2, 3, 4.0]), label="a $ b")
    left.step(range(3), [0, 1, np.inf], where="post", color="C1")
    left.set(xlabel="tick", yscale="log", ylim=(0.5, None), yticks=(1, 2))
    left.legend([line], ["ours"], loc="upper left", ncols=2)
    mesh = right.pcolormesh(np.arange(1.0, 7).reshape(2, 3), norm=LogNorm(1, 10), cmap="YlGnBu")
    right.imshow(np.eye(2), cmap=ListedColormap(["#FFFFFF", "#0072B2"]))
    right.annotate("", (0, 0), (1, 1), arrowprops={"arrowstyle": "-|>"})
    right.minorticks_off()
    figure.colorbar(mesh, ax=np.array([left, right]), label="error")
    figure.supxlabel("characters", fontsize=8)
    return figure


def recipe_of(figure):
    return json.loads(json.dumps(figure.recipe(), allow_nan=False))


@pytest.mark.parametrize("format", ["svg", "pdf", "png"])
def test_a_recipe_draws_the_same_bytes_also_after_the_figure_was_shown(format):
    figure = busy()
    recipe = recipe_of(figure)
    assert replay(recipe).print(format) == figure.print(format) == figure.print(format)
    assert unpack(pack(figure)).print(format) == figure.print(format)


def test_at_another_width_the_drawing_is_as_wide_as_asked():
    for width in (3.5, 5.0, 7.16):
        assert replay(recipe_of(busy()), width).get_figwidth() == width


def test_much_narrower_what_stood_side_by_side_stands_in_half_as_many_columns():
    recipe = recipe_of(busy())
    wide, narrow = replay(recipe), replay(recipe, 3.5)
    for sheet in (wide, narrow):
        sheet.canvas.draw()
    below = [axes.get_position().y1 for axes in narrow.axes]
    assert [round(axes.get_position().y1, 1) for axes in wide.axes[:2]] == [0.9, 0.9]
    assert below[1] < below[0] - 0.3
    assert narrow.get_figheight() == 2 * wide.get_figheight()
    assert narrow.axes[0].get_legend()._ncols == 1


def test_what_is_no_plain_data_is_named_but_the_figure_still_shows_itself():
    figure, axes = dmm.new_figure()
    axes.yaxis.set_major_formatter(lambda x, _: f"{x}")
    axes.plot([1, 2])
    assert figure._repr_mimebundle_()["image/png"]
    with refused("changed without a call"):
        figure.recipe()
    figure, axes = dmm.new_figure()
    axes.add_patch(plt.Circle((0, 0), 1))
    assert figure._repr_mimebundle_()["image/png"]
    with refused("add_patch", "Circle", "no plain data"):
        figure.recipe()


@pytest.mark.parametrize(
    "call",
    [
        ["figure", "savefig", ["stolen.svg"], {"dict": []}],
        ["figure", "__init__", [], {"dict": []}],
        [{"made": [0, 0]}, "figure", [], {"dict": []}],
        [{"made": [5, 0]}, "plot", [], {"dict": []}],
        [{"made": [0, 0]}, "plot", [{"array": ["|O", [1], "AAAAAAAAAAA="]}], {"dict": []}],
        ["figure", "add_subplot"],
        7,
    ],
)
def test_a_recipe_calls_nothing_but_what_draws(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused("cannot be drawn", "run its notebook again"):
        replay({"size": [3.5, 2], "calls": [["figure", "add_subplot", [], {"dict": []}], call]})
    assert list(tmp_path.iterdir()) == []


def test_other_figures_and_damaged_ones_are_refused():
    with refused("a Figure is not kept", "dmm.new_figure"):
        dmm.save_figure(plt.Figure(), "x")
    for text in ("", "AAAA", "%", pack(dmm.draw(dmm.handcrafted_detector()))[:-9]):
        with refused("damaged", "run its notebook again"):
            unpack(text)
