"""Circuits: the same bytes every time, every name as text, layers, ports, and what is left out."""

import html
import os
import random
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from urllib.parse import unquote

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

import dmmlab as dmm
from dmmlab.files import DMMError
from dmmlab.lab import circuits
from dmmlab.lab.circuits import Drawing, draw
from dmmlab.machines import Machine

SVG = "{http://www.w3.org/2000/svg}"
NAMES = (
    *("<script>alert(1)</script>", "a\"b'c", "co:lon:n", "new\nline", "<b>", "a->b", "back\\slash\\"),
    *("\\N \\G \\l %s %3", "&lt;&amp; &#65;", "日本 äΩ", "nul\0\x07x", ' id="x"', "}{][;//", "</a>\n</g>\n", "node"),
)


@pytest.fixture(autouse=True)
def no_dot(monkeypatch, tmp_path):
    """Without a program `dot`: what it draws depends on its version."""
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture(scope="module")
def full():
    return dmm.initialize(dmm.feedforward())


def matrix(*links):
    machine = Machine({"input": "input", "eos": "eos", **NEURONS, "output": "output"})
    for to, source, weight in links:
        machine = machine.link(to, source, weight)
    return machine


NEURONS = {"accum-1": "accum", "norm-1": "norm", "compare-1": "compare", "dot-1": "dot"}


def chain(*more):
    """input → accum → norm → compare → output."""
    links = (
        ("accum-1.dict-2", "input.char", 0.755),
        ("norm-1.dict", "accum-1.dict", -1.31),
        ("compare-1.dict-1", "norm-1.norm", 1.0),
        ("output.dict-1", "compare-1.false", 123.4),
    )
    return matrix(*links, *more)


def shuffled(tree, seed):
    items = [(key, shuffled(leaf, seed) if hasattr(leaf, "items") else leaf) for key, leaf in tree.items()]
    random.Random(seed).shuffle(items)
    return dict(items)


def svg_texts(picture, tag="text"):
    return [(each.text or "").strip() for each in ET.fromstring(picture.svg()).iter(SVG + tag)]


def heights(picture):
    """Names of neurons → height above the bottom of the picture."""
    nodes = [each for each in ET.fromstring(picture.svg()).iter(SVG + "g") if each.get("class") == "node"]
    titles = [each.find(SVG + "title").text.split(" ")[0] for each in nodes]
    return {name: -float(each.find(SVG + "text").get("y")) for name, each in zip(titles, nodes, strict=True)}


def edges(picture):
    """Statements of the DOT text that draw links: tooltip → attributes."""
    lines = [line for line in picture.source.splitlines() if " -> " in line]
    return {re.search('tooltip="([^"]*)"', line)[1].replace("&lt;", "<"): line for line in lines}


# ---- the text ----


def test_text_does_not_depend_on_the_order_of_dicts():
    machine = dmm.handcrafted_detector()
    first = draw(machine, title="detector")
    for seed in range(3):
        weights, fixed = (shuffled(tree.to_dict(), seed) for tree in (machine.weights, machine.fixed))
        other = Machine(shuffled(machine.neurons, seed), dmm.VValue(weights), dmm.VValue(fixed))
        assert draw(other, title="detector").source == first.source
    assert first.source.count("\tn") >= 9 and 'label="\\N"' in first.source
    assert repr(first) == "Drawing(9 neurons, 8 soft links, 3 fixed)"


def test_text_and_bytes_are_the_same_in_another_process():
    script = (
        "import sys, hashlib, dmmlab as dmm; d = dmm.draw(dmm.initialize(dmm.feedforward(2)));"
        "print(hashlib.md5((d.source + d.svg()).encode()).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    runs = [
        subprocess.run([sys.executable, "-c", script], env=environment | seed, capture_output=True, check=True)
        for seed in ({}, {"PYTHONHASHSEED": "8"})
    ]
    assert runs[0].stdout == runs[1].stdout != b""


def test_links_have_weights_signs_and_tooltips():
    lines = edges(draw(chain(("dot-1.dict-1", "eos.char", 0.0))))
    labels = {tip: re.search('label="([^"]*)"', line)[1].strip() for tip, line in lines.items()}
    assert labels == {
        "accum-1.dict-2 <- input.char  0.755": "0.76",
        "norm-1.dict <- accum-1.dict  -1.31": "-1.3",
        "compare-1.dict-1 <- norm-1.norm  1": "1",
        "output.dict-1 <- compare-1.false  123.4": "120",
        "dot-1.dict-1 <- eos.char  0": "0",
    }
    negative = [tip for tip, line in lines.items() if circuits.NEGATIVE in line and "style=dashed" in line]
    assert negative == ["norm-1.dict <- accum-1.dict  -1.31"]
    assert 'label=" 0.755"' in draw(chain(), digits=3).source


def test_parallel_links_are_several_lines_and_go_to_their_ports():
    picture = draw(chain(("compare-1.dict-2", "norm-1.norm", -0.5)))
    lines = edges(picture)
    heads = [lines[f"compare-1.dict-{k} <- norm-1.norm  {w}"].split(" [")[0] for k, w in ((1, 1), (2, -0.5))]
    assert heads[0] != heads[1] and all(head.endswith(":s") for head in heads)
    assert {"dict-1", "dict-2", "false"} <= set(svg_texts(picture)) and "true" not in svg_texts(picture)


def test_fixed_links_are_dotted_and_unlabelled():
    machine = chain().link("accum-1.dict-1", "accum-1.dict", 1.0, fixed=True)
    machine = machine.link("dot-1.dict-2", "eos.char", 2.0, fixed=True)
    lines = edges(draw(machine))
    memory, other = lines["accum-1.dict-1 <- accum-1.dict  1"], lines["dot-1.dict-2 <- eos.char  2"]
    assert "style=dotted" in memory and " label=" not in memory.replace("[label", " label")
    assert "style=dotted" in other and '" 2"' in other


@pytest.mark.parametrize("neurons", [{}, {"output": "output"}, {"i": "input", "a": "norm", "output": "output"}])
def test_machines_without_links(neurons):
    height = heights(draw(Machine(neurons)))
    assert set(height) == set(neurons) and (len(height) < 3 or height["i"] < height["a"] < height["output"])
    assert set(heights(draw(Machine(neurons), live_only=True))) == neurons.keys() & {"output"}


# ---- names are text ----


def test_every_name_is_shown_letter_by_letter():
    kinds = ("accum", "norm", "compare", "id")
    neurons = {name: kinds[number % 4] for number, name in enumerate(NAMES)}
    machine = Machine({**neurons, "input": "input", "output": "output"})
    fields = {"accum": ("dict-2", "dict"), "norm": ("dict", "norm"), "compare": ("dict-1", "true")}
    for name, kind in neurons.items():
        into, out = fields.get(kind, ("<i>", 'q"&'))
        machine = machine.link(f"{name}.{into}", "input.char", 0.5).link("output.dict-1", f"{name}.{out}", 1.0)
    picture = draw(machine, title=NAMES[0] + "\\N")
    shown = [name.replace("\n", "\\n").replace("\0\x07", "\\x00\\x07") for name in NAMES]
    texts, titles = svg_texts(picture), svg_texts(picture, "title")
    assert {name.strip() for name in shown} <= set(texts) and NAMES[0] + "\\N" in texts and "<i>" in texts
    for name, kind in zip(shown, neurons.values(), strict=True):
        assert f"{name} ({kind})".strip() in [title.replace("\xa0", " ").strip() for title in titles]
    root = ET.fromstring(picture.svg())
    tags = {"svg", "g", "polygon", "path", "ellipse", "text", "title"}
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= tags
    assert not [each for each in root.iter() if "id" in each.attrib]
    assert all(line.count(" -> ") <= 1 for line in picture.source.splitlines())


# ---- what is drawn, and where ----


def test_live_only_leaves_out_what_carries_nothing():
    machine = chain(
        ("dot-1.dict-1", "accum-1.dict", 0.5),  # leads nowhere
        ("dot-1.dict-2", "eos.char", 0.5),
        ("output.dict-2", "dot-1.dot", 0.0),  # a weight of zero carries nothing
    )
    assert set(heights(draw(machine))) == {*NEURONS, "input", "eos", "output"}
    live = draw(machine, live_only=True)
    assert set(heights(live)) == {"input", "accum-1", "norm-1", "compare-1", "output"}
    assert repr(live) == "Drawing(5 neurons, 4 soft links, 0 fixed)"


def test_live_only_wants_a_source():
    machine = matrix(("output.dict-1", "compare-1.true", 1.0), ("compare-1.dict-1", "norm-1.norm", 1.0))
    assert set(heights(draw(machine, live_only=True))) == {"output"}


def test_letters_that_a_machine_looks_for_are_sources():
    """Every kind without inputs is one: a circuit without them would not show which letters it reads."""
    neurons = {"input": "input", "letter-a": "letter a", "letter-00": "letter bye", "dot": "dot", "output": "output"}
    machine = Machine(neurons).link("dot.dict-1", "input.char", 1.0).link("output.dict-1", "dot.dot", 1.0)
    machine = machine.link("dot.dict-2", "letter-a.char", 1.0).link("dot.dict-2", "letter-00.char", -1.0)
    live = draw(machine, live_only=True)
    height = heights(live)
    assert height.keys() == neurons.keys()
    assert height["letter-a"] == height["letter-00"] < height["dot"] < height["output"]
    assert height["letter-a"] == pytest.approx(height["input"], abs=9)  # points: a letter stands in a second line
    assert {"letter", "a", "bye"} < {*svg_texts(live)}  # the letter, where its neuron's name has a number
    assert {"dot.dict-2 <- letter-a.char  1", "dot.dict-2 <- letter-00.char  -1"} < edges(live).keys()


def test_layers_go_up_from_the_sources_to_the_output():
    height = heights(draw(chain(("output.dict-2", "eos.char", 1.0), ("compare-1.dict-2", "dot-1.dot", 1.0))))
    assert height["input"] == height["eos"]
    order = ["input", "accum-1", "norm-1", "compare-1", "output"]
    assert sorted(order, key=height.get) == order and len({height[name] for name in order}) == 5
    assert max(height.values()) == height["output"]


def test_links_that_lead_back_do_not_turn_the_picture_over():
    back = (("accum-1.dict-2", "compare-1.true", 1.0), ("accum-1.dict-1", "accum-1.dict", 1.0))
    picture = draw(chain(*back))
    height = heights(picture)
    order = ["input", "accum-1", "norm-1", "compare-1", "output"]
    assert sorted(order, key=height.get) == order
    assert "constraint=false" in edges(picture)["accum-1.dict-2 <- compare-1.true  1"]


def test_recurrent_machine_draws():
    machine = dmm.recurrent(1)
    height = heights(draw(machine.with_vector(np.linspace(-1, 1, 930))))
    assert height["output"] == max(height.values()) and height["input"] == min(height.values())
    assert heights(draw(machine)) == height  # 930 links of weight zero


def test_many_links_make_a_texture(full):
    start = sum(os.times()[:4])
    picture = draw(full, title="1,486 links")
    texts = svg_texts(picture)
    assert sum(os.times()[:4]) - start < 10  # seconds of processors, Graphviz's too: others may be busy
    lines = [line for name in full.neurons for line in name.split("-", 1)]  # room for names on a narrow page
    assert sorted(texts) == sorted([*lines, "1,486 links"])
    assert len(edges(picture)) == 1486 + 12
    few = draw(dmm.feedforward(1).with_vector(np.ones(len(dmm.feedforward(1).links))))
    assert " label=" in few.source and "dict-1" in svg_texts(few)


# ---- files ----


def test_files_are_the_same_bytes_a_second_later(tmp_path, monkeypatch):
    picture = draw(dmm.handcrafted_detector())
    kinds = {"svg": b"<svg ", "pdf": b"%PDF-", "png": b"\x89PNG", "dot": b"digraph"}
    first = {kind: picture.save(tmp_path / f"a.{kind}").read_bytes() for kind in kinds}
    time.sleep(1.1)
    for kind, start in kinds.items():
        assert picture.save(str(tmp_path / "sub" / f"b.{kind.upper()}")).read_bytes() == first[kind]
        assert first[kind].startswith(start)
    assert b"FontFile2" in first["pdf"] and b"D:19700101000000" in first["pdf"]  # embedded TrueType, no date
    assert first["dot"].decode() == picture.source


@pytest.mark.parametrize("name", ["a.gif", "a", "a.svg.gz", ".svg"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(DMMError, match=r"\.svg, \.pdf, \.png or \.dot; change the suffix$") as caught:
        draw(dmm.handcrafted_detector()).save(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value) and not list(tmp_path.iterdir())


def fake_dot(folder, script):
    (folder / "dot.py").write_text(f"import sys\n{script}", encoding="utf-8")
    program = folder / "dot"  # not a first line that names Python: its path may be long, or have blanks
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/dot.py" "$@"\n', encoding="utf-8")
    program.chmod(0o755)


def test_the_program_dot_is_used_where_there_is_one(tmp_path):
    fake_dot(tmp_path, "sys.stdout.write('<?xml?>\\n<svg width=\"1pt\">' + repr(sys.argv[1:]) + sys.stdin.read())")
    picture = draw(dmm.handcrafted_detector())
    assert picture.svg().endswith("['-Tsvg']" + re.sub(' id="[^"]*"', "", picture.source))
    assert b"['-Tpng', '-Gdpi=200']" in circuits.layout(picture.source, "png")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("sys.stderr.write('Warning: a\\nError: out of luck\\nb'); sys.exit(3)", "Error: out of luck"),
        ("sys.exit(3)", "ended with 3"),
        ("", "ended with 0"),
    ],
)
def test_errors_of_graphviz_are_one_line(tmp_path, script, words):
    fake_dot(tmp_path, script)
    with pytest.raises(DMMError, match=rf"^Graphviz: .*{words}; [^\n]*$"):
        Drawing("digraph {}").save(tmp_path / "a.pdf")
    assert not (tmp_path / "a.pdf").exists()


def test_errors_of_pygraphviz_are_one_line():
    with pytest.raises(DMMError, match=r"^Graphviz: Error: syntax error in line 1[^\n]*$"):
        Drawing("digraph {").svg()


def test_two_drawings_fit_on_one_page():
    picture = draw(dmm.handcrafted_detector())
    shown, _ = DisplayFormatter().format(picture)
    assert set(shown) == {"text/html", "text/plain"} and shown["text/plain"] == repr(picture)
    page = ET.fromstring(f"<body>{picture.svg() * 2}</body>")
    assert "max-width:100%;height:auto" in picture.svg() and "<?xml" not in picture.svg()
    assert not [each for each in page.iter() if "id" in each.attrib]


def test_an_untrusted_page_keeps_the_picture_and_a_trusted_one_unfolds_it():
    picture = draw(dmm.handcrafted_detector())
    shown = ET.fromstring(picture._repr_mimebundle_()["text/html"])
    image, script = shown.find("img"), shown.find("script")
    scheme, _, source = image.get("src").partition(",")
    assert scheme == "data:image/svg+xml" and unquote(source) == picture.svg()
    assert f"slice({len(scheme) + 1})" in script.text and "outerHTML" in script.text
    assert 'xmlns="http://www.w3.org/2000/svg"' in picture.svg()  # without it no browser shows the image


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("compare-3-1", "norm-2-1"), ("compare", "norm")),
        (("compare-3-1", "compare-4-1"), ("compare-3", "compare-4")),
        (("compare-3-1", "compare-3-2", "compare-4-1"), ("compare-3-1", "compare-3-2", "compare-4")),
        (("dot-1", "dot-1-2", "accum-1"), ("dot-1", "dot-1-2", "accum")),
        (("compare-3-1", "compare"), ("compare-3", "compare")),
        (("compare-x", "accum-1-2-3", "norm-01"), ("compare-x", "accum-1-2-3", "norm")),
    ],
)
def test_names_are_as_short_as_tells_them_apart(names, shown):
    machine = Machine({name: name.split("-")[0] for name in names} | {"output": "output"})
    for options, expected in (({}, shown), ({"full_names": True}, names)):
        svg = draw(machine, **options).svg()
        texts = [text.text.strip() for text in ET.fromstring(svg).iter(f"{SVG}text")]
        assert sorted(texts) == sorted([*expected, "output"])
        assert all(f"<title>{name} (" in html.unescape(svg) for name in names)


def test_a_name_of_another_kind_is_never_taken():
    machine = Machine({"compare-1-1": "compare", "compare-1": "norm", "dot-1": "accum", "output": "output"})
    texts = [text.text.strip() for text in ET.fromstring(draw(machine).svg()).iter(f"{SVG}text")]
    assert sorted(texts) == sorted(["compare-1-1", "compare-1", "norm", "dot-1", "accum", "output"])
