"""The player: a picture without a kernel, controls that answer with one, and pages that keep the picture alone."""

import base64

import nbformat
import numpy as np
import pytest
from conftest import refused

import dmmlab as dmm
from dmmlab.inputs import Inputs
from dmmlab.lab.notebooks import WIDGET, run_one

MACHINES = {"teacher": dmm.handcrafted_detector(), "published": dmm.load_machine("published-19")}


def parts(player):
    controls, image, wrong = player.controls().children
    return *controls.children, image, wrong


def test_without_a_kernel_there_is_a_picture_and_no_widget():
    bundles = [dmm.play(MACHINES, "abbb")._repr_mimebundle_() for _ in range(2)]
    assert bundles[0] == bundles[1] and bundles[0].keys() == {"image/png", "text/plain"}
    assert bundles[0]["image/png"].startswith(b"\x89PNG")
    assert bundles[0]["text/plain"] == "Player(teacher, published: 'abbb')"


@pytest.mark.parametrize("string", ["ab a.", ["and", "$or$"], [{"a": 1.5, "b": {"c": -2}}, 3, "a"]])
def test_the_picture_has_the_answers_of_the_machines(string):
    how = {"ticks_per_character": 7, "after_end": "nothing"}
    player = dmm.play(MACHINES, string, 45, **how)
    figure = player.picture().figure()
    for side, axes in enumerate(figure.axes):
        for line, machine in zip(axes.lines, MACHINES.values(), strict=True):
            assert np.array_equal(line.get_ydata(), dmm.run(machine, string, 45, **how)[:, side])
    assert [text.get_position()[0] for text in figure.axes[0].texts] == [1 + 7 * i for i in range(len(string))]


def test_names_of_many_steps_are_left_out_where_they_would_touch():
    player = dmm.play(MACHINES["teacher"], ["a longer word"] * 50)
    texts = player.picture().figure().axes[0].texts
    assert 3 < len(texts) < 15 and {text.get_text() for text in texts} == {"a␣longer"}


def test_field_and_sliders_change_the_picture():
    player = dmm.play(MACHINES["teacher"], "banana.", 60, 8)
    field, speed, ticks, image, wrong = parts(player)
    assert (field.value, speed.value, ticks.value) == ("banana.", 8, 60)
    field.value, speed.value, ticks.value = "aa.", 3, 30
    assert image.value == player.picture(Inputs(["aa."], 30, 3)).render("png")
    field.value = ""
    assert wrong.value.startswith("string '' has no characters")
    field.value = "b"
    assert wrong.value == "" and image.value == player.picture(Inputs(["b"], 30, 3)).render("png")


def test_steps_of_any_kind_are_a_json_list():
    player = dmm.play(MACHINES["teacher"], [{"a": 1.5}, 3, "a"], 40)
    field, *_, image, wrong = parts(player)
    assert field.value == '[{"a": 1.5}, 3.0, "a"]'
    field.value = '[{"a": 2}, "b"]'
    assert image.value == player.picture(Inputs([[{"a": 2}, "b"]], 40)).render("png")
    shown = image.value
    for text, words in {"[1, ": "is not JSON", "5": "is no list", "[<b>": "&lt;b&gt;", "[1e999]": "not finite"}.items():
        field.value = text
        assert words in wrong.value and 'in JSON, as [1.5, "a", "["]' in wrong.value
    assert image.value == shown


@pytest.mark.filterwarnings("ignore:Glyph")
def test_whatever_is_typed_gives_a_picture_or_a_sentence():
    field, *_, wrong = parts(dmm.play(MACHINES, "a", 40))
    for text in (".", "🇫🇷é", "x" * 3000, "<b>$_^\\frac{", "\t", "\x00", "\ud800", "\u202e"):
        field.value = text  # raises what a cell would
        assert wrong.value == ""
    counter = dmm.write_program("output.dict-1 <- accum.dict\naccum.dict-2 <- input.char").reading_values()
    player = dmm.play(counter, [1.0], 40)
    field, *_, wrong = parts(player)
    for text in ("[1e308, 1e308]", "[-1e305]", '["\\u0000"]', "[{}]"):
        field.value = text  # raises what a cell would
        assert wrong.value == ""
    huge = player.picture(Inputs([[1.0, 1e308, 1e308]], 40)).figure()
    assert np.isnan(huge.axes[0].lines[0].get_ydata()).any() and "too large" in huge.axes[1].get_xlabel()


def test_what_cannot_be_played_is_refused():
    for words, arguments in (
        ("no machines", ({}, "a")),
        ("no characters", (MACHINES, "")),
        ("ticks is 0", (MACHINES, "a", 0)),
    ):
        with refused(words):
            dmm.play(*arguments)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_page_keeps_the_picture_and_no_widget(tmp_path):
    lines = "import dmmlab as dmm\nplayer = dmm.play(dmm.handcrafted_detector(), 'aa.')\n"
    lines += f"assert '{WIDGET}' in player._repr_mimebundle_()\nplayer"
    path = tmp_path / "07-play.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(lines, id="a")]), path)
    pages = []
    for number in range(2):
        entry = run_one(path, {}, tmp_path / str(number))
        assert entry["status"] == "done", entry
        pages.append((tmp_path / f"{number}/07-play.ipynb").read_bytes())
    assert pages[0] == pages[1] and b"widget" not in pages[0].replace(WIDGET.encode() + b"' in", b"")
    outputs = nbformat.reads(pages[0].decode(), as_version=4).cells[0].outputs
    (output,) = (each for each in outputs if each.output_type != "stream")  # where fonts are new, matplotlib says so
    assert (
        base64.b64decode(output.data["image/png"])
        == dmm.play(MACHINES["teacher"], "aa.")._repr_mimebundle_()["image/png"]
    )
