"""Figures: widths of a paper, embedded fonts, the same bytes every time."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import refused
from IPython.core.formatters import DisplayFormatter

import dmmlab as dmm
from dmmlab.files import DMMError
from dmmlab.lab.circuits import draw
from dmmlab.lab.figures import draw_strip, plot_losses, save_figure
from dmmlab.machines import Machine


@pytest.fixture(scope="module")
def full():
    return dmm.initialize(dmm.feedforward())


CURVES = {"total": 100 * 0.99 ** np.arange(300), "data $a$ b$": [3.0, 0.0, 1.0], "_under": np.ones(5)}


def test_in_a_strip_every_neuron_keeps_its_place_and_only_what_is_live_is_drawn(full):
    machine = full.with_weights(dmm.load_machine("published-19").weights)
    figure = draw_strip({"all of them": full, "$19": machine}, columns=1)
    first, last = figure.axes
    assert (first.get_xlim(), first.get_ylim()) == (last.get_xlim(), last.get_ylim())
    assert [len(axes.collections[0].get_segments()) for axes in figure.axes] == [1486, 19]
    assert last.get_title() == r"\$19"
    spots = [{tuple(line.get_xydata()[0]) for line in axes.lines[1:] if len(line.get_xdata())} for axes in figure.axes]
    assert spots[1] < spots[0] and len(spots[1]) == 11


@pytest.mark.parametrize("machine", [dmm.recurrent(), dmm.handcrafted_detector(), Machine({"output": "output"})])
def test_any_machine_makes_a_strip(machine):
    assert len(draw_strip({"it": machine}).axes) == 1


def test_a_strip_begins_with_the_machine_that_has_all_neurons(full):
    with refused("no machines"):
        draw_strip({})
    with refused("'accum'", "first machine"):
        draw_strip({"all": full, "other": dmm.handcrafted_detector()})


def test_curves_begin_at_step_1_on_a_logarithmic_axis():
    figure = plot_losses(CURVES, title="losses")
    (axes,) = figure.axes
    assert axes.get_yscale() == "log" and (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss")
    assert [line.get_xdata()[0] for line in axes.lines] == [1, 1, 1]
    assert len({line.get_linestyle() for line in axes.lines}) == 3
    assert axes.get_legend() is not None and axes.get_title() == "losses"


@pytest.mark.parametrize(("columns", "width"), [(1, 3.5), (2, 7.16)])
def test_figures_are_as_wide_as_the_columns_of_a_paper(tmp_path, columns, width):
    figure = plot_losses(CURVES, columns=columns)
    assert figure.get_size_inches()[0] == width
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", save_figure(figure, "a", tmp_path)[1].read_bytes())
    assert float(box[1]) == pytest.approx(72 * width)


def test_a_dict_is_drawn_as_points():
    figure = plot_losses({"ours": [3.0, 2.0, 1.0], "published": {1: 3.0, 3: 1.5}})
    ours, points = sorted(figure.axes[0].lines, key=lambda line: line.get_label())
    assert points.get_marker() == "o" and points.get_linestyle() == "None"
    assert list(points.get_xdata()) == [1, 3]
    assert list(ours.get_xdata()) == [1, 2, 3]


def test_a_figure_shows_itself_without_pyplot():
    script = (
        "import sys, dmmlab as dmm; f = dmm.plot_losses({'a': [2, 1]}); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    shown, _ = DisplayFormatter().format(plot_losses(CURVES))
    assert shown["image/png"].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("curves", "columns"),
    [({}, 1), ({"a": [1.0]}, 3), ({"a": 1.0}, 1), ({"a": []}, 1), ({"a": [0.0, -1.0]}, 1), ({"a": [[1.0]]}, 1)],
)
def test_other_curves_are_refused(curves, columns):
    with pytest.raises(DMMError, match="give"):
        plot_losses(curves, columns=columns)


@pytest.mark.parametrize("kind", ["drawing", "figure"])
def test_saved_figures_are_the_same_bytes(tmp_path, monkeypatch, kind):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path / "notebooks")

    def make():
        return draw(dmm.handcrafted_detector()) if kind == "drawing" else plot_losses(CURVES)

    figure = make()
    paths = save_figure(figure, "03-loss.v2")
    assert paths == [tmp_path / "figures" / f"03-loss.v2.{suffix}" for suffix in ("svg", "pdf")]
    first = [path.read_bytes() for path in paths]
    again = [save_figure(each, "b", tmp_path / "other") for each in (figure, make())]
    assert [[path.read_bytes() for path in paths] for paths in again] == [first, first]
    assert b"FontFile2" in first[1] and b"<text" in first[0]
    if kind == "figure":
        assert b"CreationDate" not in first[1] and b"<dc:date>" not in first[0]


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\\b", "../a", "nul\0", None, Path("a")])
def test_names_of_figures_are_plain(tmp_path, name):
    with pytest.raises(DMMError, match="^figure name .* plain name"):
        save_figure(plot_losses({"a": [1.0]}), name, tmp_path)
