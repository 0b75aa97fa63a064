"""TikZ: it compiles, whatever names say, and has a comment for every neuron and link."""

import re
import shutil
import subprocess

import pytest

import dmmlab as dmm
from dmmlab.lab.latex import escape, tikz
from dmmlab.machines import Machine

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "\\input{/etc/passwd}",
    "a_b^c~d",
    "50% $x$ #1 & {y}",
    "日本 äΩ",
    "new\nline",
    "--",
)
PAPER = "\\documentclass{article}\\usepackage{tikz}\\begin{document}\\input{%s}\\end{document}"


def circuit(*names):
    machine = Machine({"input": "input", **dict.fromkeys(names, "accum"), "output": "output"})
    for name in names:
        machine = machine.link(f"{name}.dict-2", "input.char", -0.5).link("output.dict-1", f"{name}.dict", 1e-3)
    return machine


def test_every_neuron_and_link_has_a_comment():
    text = tikz(dmm.draw(dmm.handcrafted_detector()))
    comments = [line[2:] for line in text.splitlines()[1:] if line.startswith("% ")]
    assert "accum (accum)" in comments and "norm.dict <- accum.dict  1" in comments
    assert len(comments) == 9 + 11


def test_what_is_wider_is_scaled_with_its_letters():
    drawing = dmm.draw(dmm.load_machine("published-19"))
    natural, narrow = tikz(drawing), tikz(drawing, 2.0)
    scale = float(re.search(r"x=([\d.]+)bp", narrow)[1])
    assert re.search(r"x=([\d.]+)bp", natural)[1] == "1.0000" and 0 < scale < 1
    sizes = [float(re.search(r"fontsize\{([\d.]+)\}", text)[1]) for text in (natural, narrow)]
    assert sizes[1] == pytest.approx(sizes[0] * scale, abs=0.01)
    assert tikz(drawing, 40.0) == natural


def test_names_cannot_become_commands():
    assert escape("\\input{x}") == r"\textbackslash{}input\{x\}"
    assert escape("日") == r"\texttt{U+65E5}"
    text = tikz(dmm.draw(circuit(*HOSTILE)))
    assert not [
        line for line in text.splitlines() if not line.startswith(("%", "\\begin", "\\end", "\\node", "\\path"))
    ]


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex with TikZ (texlive-pictures)")
@pytest.mark.parametrize("name", ["hostile", "published-19", "texture"])
def test_it_compiles(name, tmp_path):
    machines = {"hostile": lambda: circuit(*HOSTILE), "texture": lambda: dmm.initialize(dmm.feedforward(2, 2))}
    drawing = dmm.draw(machines.get(name, lambda: dmm.load_machine(name))(), title="100% $")
    (tmp_path / "circuit.tex").write_text(tikz(drawing, 3.5), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(PAPER % "circuit", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", errors="replace")
    assert done.returncode == 0, done.stdout[-1500:]
    assert "Overfull" not in done.stdout and "Missing character" not in done.stdout
