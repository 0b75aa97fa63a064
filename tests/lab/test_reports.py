"""What a notebook says: sentences in Markdown, tables with significant digits."""

import math
import subprocess
import sys

import dmmlab as dmm
from dmmlab.lab.reports import Sentence


def test_a_sentence_is_markdown_in_a_notebook_and_plain_elsewhere(capsys):
    dmm.say("It has **8** links.")
    assert capsys.readouterr().out == "It has **8** links.\n"
    assert Sentence("*so*")._repr_markdown_() == "*so*"


def test_a_table_shows_significant_digits_and_nothing_where_nothing_is():
    table = dmm.table([{"links": 1486, "loss": 0.054612345}, {"links": 19, "loss": math.nan}], digits=3)
    assert table.loss[0] == 0.054612345  # what is shown is rounded, not what is held
    for text in (repr(table), table._repr_html_()):
        assert "0.0546" in text
        assert "0.05461" not in text
        assert "NaN" not in text
    assert "<th>0</th>" not in table._repr_html_()


def test_a_table_keeps_its_look_through_the_methods_of_pandas():
    table = dmm.table({"seed": [1, 2], "loss": [0.123456789, 12345.678]}, index="seed", digits=3).sort_values("loss")
    assert "0.123\n" in repr(table)
    assert "12,346" in repr(table)
    assert "1.23e+08" in repr(table * 1e4)
    assert "<th>1</th>" in table._repr_html_()


def test_a_table_escapes_names():
    assert "<b>" not in dmm.table([{"name": "<b>bold</b>"}])._repr_html_()


def test_drawing_does_not_wait_for_pandas():
    code = "import sys, dmmlab; dmmlab.say, dmmlab.save_figure; print({'pandas'} & {*sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded == "set()\n"


def test_long_text_is_shown_whole():
    assert "word " * 30 in dmm.table([{"text": "word " * 30 + "end"}])._repr_html_()
