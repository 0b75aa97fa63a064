"""The stepper: its data are the trace, small, the same bytes every time; names stay text."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import refused

import dmmlab as dmm
from dmmlab.lab.circuits import draw
from dmmlab.lab.layers import parts_of
from dmmlab.lab.stepper import step_through
from dmmlab.machines import Machine
from dmmlab.vvalues import VValue, branch

HOSTILE = "<img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """The tags of a page, and the texts of its scripts."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.scripts, self.attributes = [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    handle_startendtag = handle_starttag

    def handle_data(self, text):
        if self.tags and self.tags[-1] == "script" and text.strip():
            self.scripts.append(text)


def data_of(stepper):
    return json.loads(Page(stepper.source).scripts[0])


def hostile_machine(name=HOSTILE):
    machine = Machine({"input": "input", "timer": "timer", name: "id", "output": "output"})
    machine = machine.link("timer.timer", "timer.timer", 1.0, fixed=True)
    machine = machine.link("input.timer", "timer.timer", 1.0, fixed=True)
    return machine.link(f"{name}.</script>", "input.char", 0.5).link("output.dict-1", f"{name}.</script>", 2.0)


def equals_trace(data, number, machine, ticks):
    for neuron in data["machines"][number]["neurons"]:
        for role in ("inputs", "outputs"):
            for tick in ticks:
                fields = {name: data["values"][ids[tick.tick - 1]] for name, ids in neuron[role].items()}
                if VValue(fields) != branch(getattr(tick, role), neuron["name"]):
                    return False
    return True


@pytest.mark.parametrize("name", ["handcrafted", "published-19"])
def test_data_are_the_trace_of_every_neuron_drawn(name):
    machine = dmm.load_machine(name)
    data = data_of(step_through(machine, "test string.", ticks=60))
    kinds, wires = parts_of(machine, live_only=True)
    shown = data["machines"][0]
    assert {each["name"]: each["kind"] for each in shown["neurons"]} == kinds and len(shown["links"]) == len(wires)
    assert equals_trace(data, 0, machine, dmm.trace(machine, "test string.", ticks=60))
    names = [*kinds]
    links = [(names[a], b, names[c], d) for a, b, c, d, _, _ in shown["links"]]
    assert links == [tuple(link) for link, _, _ in wires]
    assert [link[4] for link in shown["links"]] == [weight for _, weight, _ in wires]
    assert names[shown["output"]] == "output" and len(data["values"]) == len({*map(json.dumps, data["values"])})


def test_two_machines_share_the_table_of_values():
    ours, published = dmm.handcrafted_detector(), dmm.load_machine("published-19")
    stepper = step_through(published, "aab.", compare=ours, titles=("published", "ours"), start_at=7)
    data = data_of(stepper)
    assert [each["title"] for each in data["machines"]] == ["published", "ours"]
    assert (data["ticks"], data["start"], data["words"]) == (60, 7, ["a", "a", "b", "."])
    assert equals_trace(data, 0, published, dmm.trace(published, "aab."))
    assert equals_trace(data, 1, ours, dmm.trace(ours, "aab."))
    assert repr(stepper).count("soft links") == 2 and Page(stepper.source).tags.count("img") == 2


def test_words_are_a_string_too():
    words = ("and", "</script>", "and", ".")
    data = data_of(step_through(dmm.handcrafted_detector(), words, ticks_per_character=5))
    assert data["words"] == [*words] and data["perCharacter"] == 5 and data["ticks"] == 40


LOOP = """
dot-a.dict-1 <- input.char
dot-a.dict-2 <- letter-a.char
compare-p.dict-1 <- dot-a.dot
compare-p.dict-2 <- compare-p.true
compare-p.dict-2 <- compare-p.false
output.dict-1 <- compare-p.true
output.dict-1 <- compare-p.false
"""  # the parity of the letters a
CHANNELS = """
dot-x.dict-1 <- input.char
dot-x.dict-2 <- letter-x.char
accum.dict-2 <- dot-x.dot
output.dict-1 <- accum.dict
output.dict-2 <- -2.5 input.char
"""
STREAMS = {  # a machine, what it reads, and the steps as the page has them
    "loop": (LOOP, "aaba", ["a", "a", "b", "a"]),
    "numbers": (CHANNELS, [0.1, -2, 0, 1e-7], [0.1, -2.0, 0, 1e-7]),
    "channels": (CHANNELS, [{"x": 1.5, "y": -1}, {"x": {"z": 2}}], [{"x": 1.5, "y": -1.0}, {"x": {"z": 2.0}}]),
    "all of them": (CHANNELS, ["x", 4, {"x": 1, ":number": 3}], ["x", 4.0, {"x": 1.0, ":number": 3.0}]),
}


@pytest.mark.parametrize("after_end", ["repeat", "nothing"])
@pytest.mark.parametrize("name", STREAMS)
def test_loops_numbers_and_channels_have_the_values_of_the_interpreter(name, after_end):
    text, steps, shown = STREAMS[name]
    machine, how = dmm.write_program(text), {"ticks_per_character": 2, "after_end": after_end}
    data = data_of(step_through(machine, steps, ticks=15, **how))
    assert (data["words"], data["afterEnd"]) == (shown, after_end)
    assert equals_trace(data, 0, machine, dmm.trace(machine, steps, ticks=15, **how))
    (output,) = (each for each in data["machines"][0]["neurons"] if each["name"] == "output")
    for side, field in enumerate(output["inputs"]):
        values = [VValue(data["values"][number]) for number in output["inputs"][field]]
        expected = dmm.run(machine, steps, ticks=15, **how)[:, side]
        assert [dmm.number(value) for value in values] == pytest.approx(expected, abs=1e-12)


def test_sixty_ticks_of_nineteen_links_are_small():
    stepper = step_through(dmm.load_machine("published-19"), "test string.", ticks=60)
    assert len(stepper.source.encode()) < 150_000  # half of what is allowed


def test_sixty_links_are_drawn_with_room_for_values():
    machine = dmm.feedforward(1, letters="ab")
    weights = np.where(np.arange(len(machine.links)) % 2, 0.5, -0.25)
    machine = machine.with_vector(weights)
    soft = sum(not fixed for _, _, fixed in parts_of(machine, live_only=True)[1])
    assert soft >= 45
    svg = draw(machine, live_only=True, value_slots=True).svg()
    assert len(re.findall(r'data-link="\d+"', svg)) == len(parts_of(machine, live_only=True)[1])
    assert len(data_of(step_through(machine, "ab.", ticks=5))["machines"][0]["links"]) >= soft


def test_value_slots_change_no_other_drawing():
    machine = dmm.handcrafted_detector()
    assert "data-" not in draw(machine).svg() and " id=" not in draw(machine, value_slots=True).svg()
    assert " id=" not in draw(machine).source


def test_the_same_bytes_in_another_process():
    script = (
        "import hashlib, dmmlab as dmm; from dmmlab.lab.stepper import step_through;"
        "s = step_through(dmm.load_machine('published-19'), 'ab.', ticks=9);"
        "print(hashlib.md5(s.source.encode()).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        )
        for seed in "78"
    ]
    assert runs[0].stdout == runs[1].stdout != b""


def test_names_close_no_script_and_open_no_element(tmp_path):
    stepper = step_through(hostile_machine(), (HOSTILE, "</script>", "]]>", "<!--"), titles=[f"</title>{HOSTILE}"])
    page = Page(stepper.save(tmp_path / "page.html").read_text(encoding="utf-8"))
    tags = ["html", "head", "meta", "meta", "meta", "title", "body", "main", "style", "div", "img", "script", "script"]
    assert page.tags == tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert json.loads(page.scripts[0])["machines"][0]["neurons"][0]["name"] == HOSTILE
    assert [value for name, value in page.attributes if name == "src" and not value.startswith("data:image/svg")] == []


def test_nothing_is_asked_of_a_network():
    source = step_through(dmm.handcrafted_detector(), "a.", ticks=3).source
    names = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # of XML, which nobody asks for
    assert set(re.findall(r"https?://[^\"'<\s%)]+", source)) <= names
    assert "innerHTML" not in source and "fetch(" not in source and "import(" not in source


def test_a_notebook_gets_html_and_plain_text():
    stepper = step_through(dmm.handcrafted_detector(), "a.", ticks=3)
    assert stepper._repr_mimebundle_() == {"text/html": stepper.source, "text/plain": repr(stepper)}
    assert repr(stepper) == "Stepper(9 neurons, 8 soft links, 3 fixed; 3 ticks)"
    assert stepper == step_through(dmm.handcrafted_detector(), "a.", ticks=3)


def test_a_machine_without_links_is_shown():
    data = data_of(step_through(Machine({"output": "output"}), "a", ticks=2))
    assert data["machines"][0]["links"] == [] and data["values"] == [0]


def test_what_cannot_be_stepped_through_is_refused(tmp_path):
    machine = dmm.handcrafted_detector()
    many = dmm.feedforward(2)
    with refused("kind 'self'", "draw_changes"):
        step_through(dmm.PROGRAMS["switch"]().machine, "ab")
    with refused("links are too many", "prune"):
        step_through(many.with_vector(np.ones(len(many.links))), "ab.", ticks=3)
    for ticks in (0, -1, 2.5, True):
        with refused("ticks is", "whole number"):
            step_through(machine, "ab", ticks=ticks)
    with refused("start_at is 4", "3 ticks"):
        step_through(machine, "ab", ticks=3, start_at=4)
    with refused("start_at is 0"):
        step_through(machine, "ab", start_at=0)
    with refused("no characters"):
        step_through(machine, "")
    for titles, two in ((("a",), machine), ("ab", machine), (("a", "b"), None)):
        with refused("titles are"):
            step_through(machine, "ab", compare=two, titles=titles)
    with refused("exactly one"):
        step_through(Machine({"input": "input"}), "ab")
    with refused(".html", start=tmp_path / "page.htm"):
        step_through(machine, "ab", ticks=2).save(tmp_path / "page.htm")
    assert not list(tmp_path.iterdir())


def test_values_that_are_not_finite_are_refused():
    machine = Machine({"const_1": "const_1", "a": "id", "output": "output"})
    machine = machine.link("a.x", "const_1.const_1", 1.0).link("a.x", "a.x", 1e300).link("output.dict-1", "a.x", 1.0)
    with refused("not finite", "fewer ticks"):
        step_through(machine, "a", ticks=9)
