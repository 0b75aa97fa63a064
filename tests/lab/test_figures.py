"""Figures: drawn anew for each width, embedded fonts, the same bytes every time; `dmmlab figures` lists them."""

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from conftest import refused
from cutoff import cut_off, cut_off_svg, smallest_text
from IPython.core.formatters import DisplayFormatter
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

import dmmlab as dmm
from dmmlab.files import DMMError
from dmmlab.lab.axes import panels
from dmmlab.lab.circuits import FONT
from dmmlab.lab.cli import main
from dmmlab.lab.figures import Picture, plot_losses, read_figures, save_figure
from dmmlab.lab.pictures import draw_strip
from dmmlab.lab.venues import OURS, VENUES, Venue, in_style
from dmmlab.machines import Machine

ROOT = Path(__file__).parents[2]
CURVES = {"total": 100 * 0.99 ** np.arange(300), "data $a$ b$": [3.0, 0.0, 1.0], "_under": np.ones(5)}
FILES = [f"{place}/a.{format}" for place in ("one-column", "two-columns") for format in ("pdf", "svg", "png")]


@pytest.fixture(scope="module")
def full():
    return dmm.initialize(dmm.feedforward())


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path / "notebooks")
    return tmp_path


def curve(figure):
    axes = figure.subplots()
    axes.plot([1, 2, 3], label="ours")
    axes.set(xlabel=f"{figure.get_figwidth()} inches")
    axes.legend()


# ---- saving ----


@pytest.mark.parametrize("kind", ["drawing", "losses", "strip", "function"])
def test_saved_figures_are_as_wide_as_a_paper_has_it_and_the_same_bytes(project, kind):
    machine = dmm.handcrafted_detector()
    make = {"drawing": lambda: dmm.draw(machine), "losses": lambda: plot_losses(CURVES)}
    make |= {"strip": lambda: draw_strip({"it": machine}), "function": lambda: curve}
    save_figure(make[kind](), "a")
    folder = project / "figures"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*")) == sorted(FILES)
    first = {file: (folder / file).read_bytes() for file in FILES}
    shutil.rmtree(folder)
    save_figure(make[kind](), "a")
    assert {file: (folder / file).read_bytes() for file in FILES} == first
    for width, place in ((3.5, "one-column"), (7.16, "two-columns")):
        pdf, svg = first[f"{place}/a.pdf"], first[f"{place}/a.svg"]
        found = float(re.search(rb"/MediaBox ?\[ ?0 0 ([\d.]+) ", pdf)[1]) / 72
        assert found <= width + 0.02 if kind == "drawing" else found == pytest.approx(width)
        assert b"FontFile2" in pdf and b"<text" in svg and b"<dc:date>" not in svg
        assert kind == "drawing" or b"CreationDate" not in pdf


def test_a_function_is_called_with_a_new_figure_for_each_width_and_format(project):
    seen = []
    picture = save_figure(lambda figure: seen.append(figure), "a", columns=2, height=3).picture
    assert len({*map(id, seen)}) == 6 and {figure.get_figwidth() for figure in seen} == {3.5, 7.16}
    assert picture.figure().get_size_inches().tolist() == [7.16, 3]


def test_other_widths_are_drawn_where_they_are_asked_for(project, monkeypatch):
    monkeypatch.setenv("DMMLAB_WIDTHS", "5 3.5")
    save_figure(curve, "a")
    assert {path.parent.name for path in (project / "figures").rglob("a.pdf")} == {"5-inches", "one-column"}
    assert "5.0 inches" in (project / "figures/5-inches/a.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\\b", "../a", "nul\0", "a\nb", None, Path("a")])
def test_names_of_figures_are_plain(project, name):
    with pytest.raises(DMMError, match="^figure name .* plain name"):
        save_figure(curve, name)
    assert not (project / "figures").exists()


def test_what_draws_nothing_is_refused_and_a_functions_own_error_comes_through(project):
    with refused("a Figure draws nothing", "give a function"):
        save_figure(Figure(), "a")
    with refused("3 columns"):
        save_figure(curve, "a", columns=3)
    with pytest.raises(ZeroDivisionError):
        save_figure(lambda figure: 1 / 0, "a")
    assert not (project / "figures").exists()


def test_a_figure_shows_itself_without_pyplot():
    script = (
        "import sys, dmmlab as dmm; f = dmm.plot_losses({'a': [2, 1]}); f._repr_png_();"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    shown, _ = DisplayFormatter().format(plot_losses(CURVES))
    assert shown["image/png"].startswith(b"\x89PNG")
    assert shown["text/plain"] == "Picture(1 of 2 columns, 2.3 inches high)"


def test_panels_stand_in_half_as_many_columns_of_a_narrow_figure():
    picture = Picture(lambda figure: panels(figure, 2, 3), columns=2, height=3)
    wide, narrow = picture.figure(), picture.figure(3.5)
    assert [figure.axes[-1].get_subplotspec().get_gridspec().get_geometry() for figure in (wide, narrow)] == [
        (2, 3),
        (3, 2),
    ]
    assert (wide.get_figheight(), narrow.get_figheight()) == (3, 4.5)


# ---- what is listed ----


def test_every_notebook_that_saves_a_figure_says_so_with_a_caption():
    saved = set()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        code = "".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
        saved |= {path.name} if "save_figure" in code else set()
    found = read_figures()
    assert {each["notebook"] for each in found} == saved
    assert len({each["name"] for each in found}) == len(found)
    assert all(each["caption"].endswith(".") for each in found)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_command_line_lists_figures_and_draws_them_again(project, capsys):
    lines = "import dmmlab as dmm\ndmm.save_figure(lambda figure: figure.subplots().plot([1, 2]), '07-a', 'Up.')"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(lines, id="a")])
    nbformat.write(notebook, project / "notebooks/07-line.ipynb")
    assert main(["run", "07", "--in-place"]) == 0
    assert read_figures() == [{"notebook": "07-line.ipynb", "name": "07-a", "caption": "Up."}]
    capsys.readouterr()
    assert main(["figures"]) == 0
    assert capsys.readouterr().out == "07-a: Up.\n"
    assert main(["figures", "07-a", "--width", "5"]) == 0
    assert "run again: 07" in capsys.readouterr().out
    assert (project / "figures/5-inches/07-a.pdf").exists()
    assert main(["figures", "--for", "nature"]) == 0
    assert (project / "figures/nature/one-column/07-a.pdf").exists() and "DMMLAB_FOR" not in os.environ
    for arguments, words in (
        (["07-b"], "figures: 07-a"),
        (["7", "--width", "0.5"], "0.5 inches"),
        (["8"], "number 08"),
    ):
        assert main(["figures", *arguments]) == 2
        assert words in capsys.readouterr().err


# ---- losses and strips ----


def test_curves_begin_at_step_1_on_a_logarithmic_axis():
    (axes,) = plot_losses(CURVES, title="losses").figure().axes
    assert axes.get_yscale() == "log" and (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss")
    assert [line.get_xdata()[0] for line in axes.lines] == [1, 1, 1]
    assert len({line.get_linestyle() for line in axes.lines}) == 3
    assert axes.get_legend() is not None and axes.get_title() == "losses"


def test_a_dict_is_drawn_as_points():
    (axes,) = plot_losses({"ours": [3.0, 2.0, 1.0], "published": {1: 3.0, 3: 1.5}}).figure().axes
    ours, points = sorted(axes.lines, key=lambda line: line.get_label())
    assert points.get_marker() == "o" and points.get_linestyle() == "None"
    assert list(points.get_xdata()) == [1, 3]
    assert list(ours.get_xdata()) == [1, 2, 3]


@pytest.mark.parametrize(
    ("curves", "columns"),
    [({}, 1), ({"a": [1.0]}, 3), ({"a": 1.0}, 1), ({"a": []}, 1), ({"a": [0.0, -1.0]}, 1), ({"a": [[1.0]]}, 1)],
)
def test_other_curves_are_refused(curves, columns):
    with pytest.raises(DMMError, match="give"):
        plot_losses(curves, columns=columns)


def test_in_a_strip_every_neuron_keeps_its_place_and_only_what_is_live_is_drawn(full):
    machine = full.with_weights(dmm.load_machine("published-19").weights)
    figure = draw_strip({"all of them": full, "$19": machine}, columns=1).figure()
    first, last = figure.axes
    assert (first.get_xlim(), first.get_ylim()) == (last.get_xlim(), last.get_ylim())
    assert [len(axes.collections[0].get_segments()) for axes in figure.axes] == [1486, 19]
    assert last.get_title() == r"\$19"
    spots = [{tuple(line.get_xydata()[0]) for line in axes.lines if len(line.get_xdata())} for axes in figure.axes]
    assert spots[1] < spots[0] and len(spots[1]) == 11


@pytest.mark.parametrize("machine", [dmm.recurrent(), dmm.handcrafted_detector(), Machine({"output": "output"})])
def test_any_machine_makes_a_strip(machine):
    picture = draw_strip({"it": machine})
    assert picture.render("png") and picture.render("pdf", 3.5)


def test_a_strip_begins_with_the_machine_that_has_all_neurons(full):
    with refused("no machines"):
        draw_strip({})
    with refused("'accum'", "first machine"):
        draw_strip({"all": full, "other": dmm.handcrafted_detector()})


def test_no_row_of_a_narrow_figure_is_empty():
    for count, rows, columns, expected in ((5, 2, 4, 3), (4, 2, 3, 2), (None, 2, 4, 4), (8, 2, 4, 4)):
        figure = Figure(figsize=(3.5, 2.0))
        panels(figure, rows, columns, count)
        assert figure.axes[0].get_gridspec().nrows == expected and figure.get_figheight() == expected
    machine = dmm.handcrafted_detector()
    strip = draw_strip({str(number): machine for number in range(5)}).figure(3.5)
    assert [axes.get_gridspec().nrows for axes in strip.axes] == [3] * 6


def test_an_odd_number_of_panels_fills_a_narrow_figure():
    figure = Figure(figsize=(3.5, 2.0))
    grid = panels(figure, 1, 3)
    assert [*grid] == figure.axes and figure.get_figheight() == 4.0
    assert [axes.get_subplotspec().colspan for axes in grid] == [range(1), range(1, 2), range(2)]


def test_no_figure_is_taller_than_a_page():
    figure = Figure(figsize=(3.5, 5.0))
    panels(figure, 2, 2)
    assert figure.get_figheight() == 7.5


def test_frames_that_are_narrower_are_lower_too():
    """Circuits keep their shape, and no white is left above and below them."""
    picture = dmm.draw_changes(changes(), [1, 2, 3])
    wide, narrow = picture.figure(), picture.figure(3.5)
    assert wide.get_figheight() == 2.1
    assert narrow.get_figheight() / 2 == pytest.approx(2.1 * (3.5 / 2) / (7.16 / 3))


# ---- ticks and colours ----


def labels_of(figure):
    """Texts of the ticks of the last axes' upright axis, those of minor ticks too."""
    figure.draw_without_rendering()
    axis = figure.axes[-1].yaxis
    return [tick.label1.get_text() for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())]


def test_ticks_of_losses_are_numbers_where_these_are_short():
    """Exponents would be print of less than five points."""
    narrow = labels_of(plot_losses({"ours": [400.0, 20.0]}).figure())
    assert {"100", "20", "200", "400"} <= {*narrow} and not re.search(r"[$^e]", "".join(narrow))
    assert {"0.01", "0.1", "1"} <= {*labels_of(plot_losses({"ours": [5.0, 0.003]}).figure())}
    wide = labels_of(plot_losses({"ours": [1.0, 1e-9]}).figure())
    assert any("10^{-6}" in text for text in wide)


def test_ticks_that_somebody_has_chosen_stay():
    def draw(figure):
        axes = figure.subplots()
        axes.set(yscale="log", ylim=(1, 1000))
        axes.set_yticks([1, 30], ["one", "thirty"], minor=False)

    assert {"one", "thirty"} < {*labels_of(Picture(draw).figure())}


def test_published_losses_are_black():
    lines = plot_losses({"ours": [3, 1], "published": [3, 2]}).figure().axes[0].lines
    assert [to_hex(line.get_color()) for line in lines] == ["#0072b2", "#000000"]


def test_a_page_keeps_fewer_bytes_that_look_the_same(full):
    strip = draw_strip({"all": full})
    kept, whole = strip._repr_png_(), strip.render("png")
    assert len(kept) < 0.5 * len(whole)
    images = [np.asarray(Image.open(io.BytesIO(each)).convert("RGB"), float) for each in (kept, whole)]
    assert images[0].shape == images[1].shape and np.abs(images[0] - images[1]).mean() < 2
    assert images[0][0, 0].tolist() == [255, 255, 255]


# ---- venues, and what lies beyond the edge ----


def crowded(figure):
    for axes in panels(figure, 1, 4):
        axes.plot([0, 1], [0, 123456], label="ours")
        axes.set(xlabel="links of the machine", ylabel="largest error", title="left, at any tick")
        axes.legend()


def changes():
    machine, start = dmm.PROGRAMS["wave"]()
    return dmm.matrices(dmm.trace(machine, "a", start=start))


def machines():
    full, few = dmm.initialize(dmm.feedforward()), dmm.load_machine("published-19")
    return {"1,486 links": full} | dict.fromkeys(("published, 19 links", *"345"), few)


PICTURES = {
    "losses": lambda: plot_losses({"journal, run 3": [400, 0.01], "ours": {1: 300}}, title="losses of one run"),
    "strip": lambda: draw_strip(machines()),
    "matrix": lambda: dmm.plot_matrix(changes()),
    "changes": lambda: dmm.draw_changes(changes(), [1, 2, 3, 4]),
    "player": lambda: dmm.play(dmm.handcrafted_detector(), "abbb. " * 4).picture(),
    "panels": lambda: Picture(crowded, 2, 2.2),
    "function": lambda: Picture(curve),
}
CIRCUITS = {
    "detector": lambda: dmm.draw(dmm.handcrafted_detector(), title="A title that is wider than the circuit below it"),
    "published": lambda: dmm.draw(dmm.load_machine("published-19")),
    "texture": lambda: dmm.draw(dmm.initialize(dmm.feedforward(2))),
    "digits": lambda: dmm.draw(dmm.write_program("output.dict-1 <- -12345.678 const_1.const_1"), digits=9),
    "slots": lambda: dmm.draw(dmm.load_machine("published-19"), value_slots=True),
}
LETTERS = "output.dict-1 <- dot.dot\ndot.dict-1 <- input.char\n"
LETTERS += "\n".join(f"dot.dict-2 <- {n} letter-{letter}.char" for n, letter in enumerate("abcd", 1))
WIDTHS = [(name, width) for name, venue in ({"": OURS} | VENUES).items() for width in venue[:2]]


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(("venue", "width"), WIDTHS)
def test_no_text_lies_beyond_the_edge(name, venue, width):
    assert cut_off(PICTURES[name]().figure(width, VENUES.get(venue, OURS))) == []


@pytest.mark.parametrize("name", CIRCUITS)
def test_no_text_of_a_circuit_lies_beyond_the_edge(name):
    drawing = CIRCUITS[name]()
    for venue, width in WIDTHS:
        chosen = VENUES.get(venue, OURS)
        svg = (in_style(drawing, chosen) if venue else drawing).svg(width)
        assert cut_off_svg(svg, chosen.family) == [], (venue, width)
    assert in_style(drawing, Venue(3.5, 7.16, 9, FONT)) == drawing


@pytest.mark.parametrize("name", ["detector", "published", "letters", "full"])
def test_a_circuit_can_be_read_in_one_column(name, full):
    others = {"letters": lambda: dmm.draw(dmm.write_program(LETTERS)), "full": lambda: dmm.draw(full)}
    assert smallest_text((CIRCUITS | others)[name]().svg(3.5)) >= 5


def test_what_lies_beyond_the_edge_is_found():
    figure = Figure(figsize=(2, 1))
    figure.text(0.9, 0.5, "cut off")
    assert [text for text, _ in cut_off(figure)] == ["cut off"]
    svg = dmm.draw(dmm.handcrafted_detector()).svg()
    assert cut_off_svg(svg.replace('x="', 'x="9'), "DejaVu Sans")


@pytest.mark.parametrize("venue", VENUES)
def test_a_venue_has_its_widths_and_fonts(project, monkeypatch, venue):
    monkeypatch.setenv("DMMLAB_FOR", venue)
    save_figure(curve, "a")
    neuron = "norm.dict <- compare-3-1.true\noutput.dict-1 <- 0.5 norm.norm\ncompare-3-1.dict-1 <- const_1.const_1"
    save_figure(dmm.draw(dmm.write_program(neuron)), "b")
    chosen, family = VENUES[venue], {"STIXGeneral": b"STIX", "DejaVu Sans": b"DejaVu"}[VENUES[venue].family]
    for place, width in (("one-column", chosen.one), ("two-columns", chosen.two)):
        folder = project / "figures" / venue / place
        pdf = (folder / "a.pdf").read_bytes()
        assert float(re.search(rb"/MediaBox ?\[ ?0 0 ([\d.]+) ", pdf)[1]) / 72 == pytest.approx(width)
        assert {found[:4] for found in re.findall(rb"/BaseFont /(?:[A-Z]{6}\+)?(\w+)", pdf)} == {family[:4]}
        sizes = set(re.findall(r"font(?:-size)?: ?[^;\"]*?([\d.]+)px", (folder / "a.svg").read_text(encoding="utf-8")))
        assert {float(size) for size in sizes} == {chosen.points, chosen.points - 1}
        circuit = (folder / "b.svg").read_text(encoding="utf-8")
        assert {*re.findall(r'font-family="([^",]+)', circuit)} == {chosen.family}
        names = re.findall(r'font-size="([\d.]+)"[^>]*>compare<', circuit)
        assert [float(size) for size in names] == [chosen.points]
    assert {path.name for path in (project / "figures").iterdir()} == {venue}


def test_other_venues_are_refused(project, monkeypatch):
    monkeypatch.setenv("DMMLAB_FOR", "elsewhere")
    with refused("DMMLAB_FOR is 'elsewhere'", "neurips, nature, ieee"):
        save_figure(curve, "a")


# ---- captions ----


def test_a_page_shows_the_caption_below_the_figure_and_not_the_name_of_a_file(project):
    lines = "import dmmlab as dmm\nm = dmm.handcrafted_detector()\n"
    lines += "display(dmm.save_figure(dmm.draw(m), '07-a', 'Nine `neurons`:\\n all.'))\n"
    lines += "dmm.save_figure(dmm.plot_losses({'ours': [2, 1]}), '07-b')"
    path = project / "notebooks/07-two.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(lines, id="a")]), path)
    assert main(["run", "07", "--in-place"]) == 0
    drawing, caption, losses = nbformat.read(path, as_version=4).cells[0].outputs
    assert "text/html" in drawing.data and "image/png" in losses.data
    assert caption.data["text/markdown"] == caption.data["text/plain"] == "*Figure.* Nine `neurons`: all."
    found = [(each["name"], each["caption"]) for each in read_figures()]
    assert found == [("07-a", "Nine `neurons`: all."), ("07-b", "")]


def test_captions_that_were_printed_are_found_too(project):
    outputs = [nbformat.v4.new_output("stream", name="stdout", text="figure 07-a: Up.\n")]
    cell = nbformat.v4.new_code_cell("1", id="a", outputs=outputs)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), project / "notebooks/07-old.ipynb")
    assert read_figures() == [{"notebook": "07-old.ipynb", "name": "07-a", "caption": "Up."}]
