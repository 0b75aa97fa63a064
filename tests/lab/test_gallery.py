"""`dmmlab figures`: every figure of the committed notebooks at every width and format, the same bytes each time."""

import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from conftest import refused

import dmmlab as dmm
from dmmlab.lab.cli import main
from dmmlab.lab.figures import render, unpack
from dmmlab.lab.gallery import FORMATS, draw_figures, read_figures

ROOT = Path(__file__).parents[2]
KEPT = read_figures(folder=ROOT / "notebooks")


@pytest.fixture
def output(tmp_path, monkeypatch):
    monkeypatch.setenv("DMMLAB_OUTPUT", str(tmp_path))
    monkeypatch.chdir(ROOT)
    return tmp_path / "figures"


def test_every_notebook_that_saves_a_figure_keeps_it_with_a_caption():
    saved = set()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        code = "".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
        saved |= {path.name[:2]} if "save_figure" in code else set()
    assert {each["notebook"][:2] for each in KEPT} == saved
    assert len({each["name"] for each in KEPT}) == len(KEPT)
    assert all(each["caption"].endswith(".") for each in KEPT)


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept["name"])
def test_twice_the_same_bytes_with_embedded_truetype(kept, tmp_path):
    for width in (3.5, 7.16):
        for format in FORMATS:
            first, second = (unpack(kept["recipe"], width) for _ in range(2))
            if format != "tex" or isinstance(first, dmm.Drawing):
                made = render(first, format, width)
                assert made == render(second, format, width)
                if format == "pdf" and shutil.which("pdffonts"):
                    (tmp_path / "a.pdf").write_bytes(made)
                    done = subprocess.run(
                        ["pdffonts", tmp_path / "a.pdf"], capture_output=True, encoding="utf-8", check=True
                    )
                    fonts = done.stdout.splitlines()[2:]
                    # A circuit with more than 150 links has no words.
                    assert fonts or kept["name"] == "05-texture"
                    assert all("TrueType" in font and "yes yes" in font for font in fonts), done.stdout
                    box = subprocess.run(["pdfinfo", tmp_path / "a.pdf"], capture_output=True, encoding="utf-8").stdout
                    wide = float(box.split("Page size:")[1].split()[0]) / 72
                    assert wide <= width + 0.02


def test_the_command_line_draws_what_is_asked_for_and_writes_the_index(output, capsys):
    assert main(["figures", "02", "--format", "svg", "--format", "tex", "--width", "3.5", "--width", "5"]) == 0
    files = sorted(str(path.relative_to(output)) for path in output.rglob("*.*"))
    assert files == sorted(
        ["index.md", "5-inches/02-answers.svg", "5-inches/02-detector.svg", "5-inches/02-detector.tex"]
        + ["one-column/02-answers.svg", "one-column/02-detector.svg", "one-column/02-detector.tex"]
    )
    index = (output / "index.md").read_text(encoding="utf-8")
    assert all(f"## {kept['name']}" in index and kept["caption"] in index for kept in KEPT)
    assert "`dmmlab figures 06-strip --format pdf --width 3.5`" in index
    assert "![" in index and "(one-column/02-answers.svg)" in index
    assert main(["figures", "06-circuit", "--format", "pdf", "--width", "3.5"]) == 0
    assert (output / "one-column/06-circuit.pdf").exists()
    assert "1 files" in capsys.readouterr().out


def test_a_drawing_is_never_wider_than_asked(output):
    (path,) = draw_figures(["06-circuit"], ["svg"], [2.0])
    assert float(path.read_text(encoding="utf-8").split('width="')[1].split("pt")[0]) <= 144


def test_what_cannot_be_drawn_is_refused_before_anything_is_written(output, tmp_path):
    with refused("'13'", "06-strip"):
        draw_figures(["13"])
    with refused("'gif'", "pdf"):
        draw_figures(formats=["gif"])
    with refused("0.5 inches"):
        draw_figures(widths=[0.5])
    with refused("run the notebooks first"):
        draw_figures(["06"], folder=tmp_path)
    assert not output.exists()
