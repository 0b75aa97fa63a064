"""The stepper in a browser: what it shows is the trace; keyboard, narrow screens, print, themes, accessibility."""

import html
import json
import re

import pytest
from browser import launch, needs_browser, open_page, outside

import dmmlab as dmm
from dmmlab.lab.circuits import parts_of
from dmmlab.lab.stepper import step_through
from dmmlab.machines import Machine
from dmmlab.vvalues import VValue, branch

pytestmark = needs_browser

HOSTILE = "<img src=x onerror=alert(1)>"
STRING = "test string."
COLOURS = "each => [getComputedStyle(each).color, getComputedStyle(each).backgroundColor]"


@pytest.fixture(scope="module")
def browser():
    with launch() as browser:
        yield browser


@pytest.fixture(scope="module")
def published():
    return dmm.load_machine("published-19")


@pytest.fixture
def visit(browser, tmp_path):
    """Open steppers on one page; afterwards nothing went wrong on it and nothing left this computer."""
    opened = []

    def visit(*steppers, body="", **options):
        path = tmp_path / "page.html"
        if len(steppers) == 1 and not body:
            steppers[0].save(path)
        else:
            sources = "\n".join(each.source for each in steppers)
            path.write_text(f"<!DOCTYPE html><html><body {body}>{sources}</body></html>", encoding="utf-8")
        opened.append(open_page(browser, **options))
        page = opened[-1].__enter__()
        pages.append(page)
        page.goto(path.as_uri())
        return page

    pages = []
    yield visit
    problems = [problem for page in pages for problem in page.problems]
    left = [url for page in pages for url in outside(page.requests)]
    for each in opened:
        each.__exit__(None, None, None)
    assert problems == [] and left == []


def go(page, tick):
    page.get_by_label("tick", exact=True).fill(str(tick))


def tick_of(page):
    return int(page.locator(".status b").inner_text())


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def expanded(page, place):
    """The value of a row of the panel, written out, as a V-value."""
    button = page.locator(f'.panel button[data-key="{place}"]')
    if button.count() and button.get_attribute("aria-expanded") == "false":
        button.click()
    text = page.locator(f'.panel span[data-key="{place}"]').inner_text()
    return VValue(json.loads(text if text[0] == "{" else re.sub(r"^(-?)\.", r"\g<1>0.", text.replace("−", "-"))))


# ---- values ----


@pytest.mark.parametrize("name", ["handcrafted", "published-19"])
def test_every_neuron_that_is_clicked_shows_its_trace(visit, name):
    machine = dmm.load_machine(name)
    ticks = dmm.trace(machine, STRING, ticks=60)
    page = visit(step_through(machine, STRING, ticks=60))
    for tick in (1, 12, 34, 60):
        go(page, tick)
        for index, neuron in enumerate(parts_of(machine, live_only=True)[0]):
            page.locator(f'[data-neuron="{index}"]').click()
            assert page.locator(".head b").inner_text() == neuron
            for place in page.locator(".panel span[data-key]").evaluate_all("all => all.map(e => e.dataset.key)"):
                _, _, role, field = place.split("/", 3)
                value = branch(branch(getattr(ticks[tick - 1], role), neuron), field)
                assert expanded(page, place) == value, (tick, neuron, role, field)


def test_wires_carry_the_weight_times_what_was_emitted_a_tick_ago(visit, published):
    ticks = dmm.trace(published, STRING, ticks=60)
    page = visit(step_through(published, STRING, ticks=60))
    for tick in (1, 2, 34):
        go(page, tick)
        before = ticks[tick - 2].outputs if tick > 1 else VValue()
        for index, (link, weight, _) in enumerate(parts_of(published, live_only=True)[1]):
            value = weight * branch(branch(before, link.from_neuron), link.from_field)
            wire = page.locator(f'[data-link="{index}"]')
            assert ("carrying" in wire.get_attribute("class").split()) == bool(value)
            page.wait_for_function(
                "([index, thick]) => getComputedStyle(document.querySelector('.dmm-stepper').shadowRoot"
                ".querySelector(`[data-link='${index}'] path`)).strokeWidth === thick",
                arg=[index, "2.2px" if value else "0.8px"],
            )
            wire.locator(".reach").dispatch_event("click")
            assert page.locator(".head b").inner_text() == str(link).replace("<-", "←")
            name, shown = page.locator(".row").first.inner_text().split()
            assert (name, float(shown)) == ("weight", weight)
            assert expanded(page, f"0/link {index}") == value
            shown = wire.locator(".value").last.text_content()
            assert (shown == "0") == (not value)
            press(page, "Escape")


def test_long_values_are_abbreviated_and_can_be_written_out(visit):
    page = visit(step_through(dmm.handcrafted_detector(), STRING, ticks=140))
    go(page, 100)
    wires = page.locator(".edge .value").all_text_contents()
    assert "t 3, s 2 …" in wires and '"." 1' in wires and max(map(len, wires)) <= 10
    page.locator('[data-neuron="0"]').hover()
    button = page.locator('.panel button[data-key="0/0/outputs/dict"]')
    assert button.inner_text().endswith("…") and button.get_attribute("aria-expanded") == "false"
    button.focus()
    press(page, "Enter")
    counts = {"t": 3, "e": 1, "s": 2, " ": 1, "r": 1, "i": 1, "n": 1}
    assert json.loads(button.inner_text()) == counts and button.get_attribute("aria-expanded") == "true"
    press(page, "ArrowRight")  # the focus stays, and so does the long form
    assert tick_of(page) == 101 and json.loads(button.inner_text()) == counts
    assert button.evaluate("each => each.getRootNode().activeElement === each")


CHANNELS = "dot.dict-1 <- input.char\ndot.dict-2 <- letter-x.char\naccum.dict-2 <- dot.dot\noutput.dict-1 <- accum.dict"
STEPS = [{"x": 1.5, "long name of a channel": -0.123456, "y": 2}, 0.1, "7", 123456.789]


def test_steps_are_readable_whatever_they_are(visit):
    machine, how = dmm.write_program(CHANNELS), {"ticks_per_character": 3, "after_end": "nothing"}
    page = visit(step_through(machine, STEPS, ticks=15, **how))
    texts = page.locator(".word").all_text_contents()
    assert texts == ["y 2, x 1.5 …", ".1", '"7"', "123500", "∅"]
    now = page.locator(".now")
    whole = "y 2, x 1.5, long␣name␣of␣a␣channel −.123456"
    assert now.inner_text() == f"step 1: {whole}, emitted now"
    assert page.locator(".word").first.get_attribute("title") == f"step 1: {whole}"
    for tick, shown in ((2, f"step 1: {whole}"), (10, "step 4: 123456.789, emitted now"), (13, "∅"), (15, "∅")):
        go(page, tick)
        assert now.inner_text() == shown
    page.locator(".word").nth(1).click()
    assert (tick_of(page), now.inner_text()) == (4, "step 2: .1, emitted now")
    slider = page.get_by_label("tick", exact=True)
    assert slider.get_attribute("aria-valuetext") == "tick 4 of 15, step .1, emitted now"
    for tick in dmm.trace(machine, STEPS, ticks=15, **how):
        go(page, tick.tick)
        assert expanded(page, "0/2/outputs/char") == branch(branch(tick.outputs, "input"), "char")


def test_after_the_end_the_last_character_comes_again_or_nothing(visit):
    machine = dmm.handcrafted_detector()
    again, ended = (
        step_through(machine, "ab", ticks=9, ticks_per_character=2, after_end=x) for x in ("repeat", "nothing")
    )
    for stepper, cells, last in ((again, "ab", "b, emitted now"), (ended, "ab∅", "∅")):
        page = visit(stepper)
        go(page, 5)
        assert "".join(page.locator(".word").all_text_contents()) == cells and page.locator(".now").count() == 0
        text = page.get_by_label("tick", exact=True).get_attribute("aria-valuetext")
        assert text == f"tick 5 of 9, character {last}"


def test_labels_of_two_loops_at_a_neuron_stand_apart(visit):
    loops = "\n".join(f"compare.dict-2 <- compare.{field}" for field in ("true", "false"))
    machine = dmm.write_program(f"compare.dict-1 <- const_1.const_1\n{loops}\noutput.dict-1 <- compare.true")
    page = visit(step_through(machine, "a", ticks=5, ticks_per_character=1))
    boxes = [each.bounding_box() for each in page.locator(".edge .value").all()]
    for index, one in enumerate(boxes):
        for other in boxes[:index]:
            apart = abs(one["y"] - other["y"]) > 8 or abs(one["x"] - other["x"]) > 10
            assert apart, (one, other)


def test_large_answers_have_their_labels_on_the_chart(visit):
    machine = dmm.write_program("accum.dict-2 <- input.char\noutput.dict-1 <- accum.dict")
    page = visit(step_through(machine, [123456.0, -1e7], ticks=9, ticks_per_character=2, after_end="nothing"))
    edge = page.locator(".chart").bounding_box()["x"]
    assert all(label.bounding_box()["x"] >= edge for label in page.locator(".chart .label").all())


def test_pointing_chooses_and_a_click_keeps(visit):
    page = visit(step_through(dmm.handcrafted_detector(), STRING, ticks=40))
    head, neuron = page.locator(".head b"), lambda index: page.locator(f'[data-neuron="{index}"]')
    neuron(0).hover()
    assert head.inner_text() == "accum"
    neuron(1).click()
    neuron(0).hover()
    assert head.inner_text() == "compare" and neuron(1).get_attribute("aria-pressed") == "true"
    neuron(1).click()
    neuron(0).hover()
    assert head.inner_text() == "accum"
    page.get_by_label("show all neurons").click()
    assert head.inner_text() == "all neurons" and page.locator(".row").count() == 11


# ---- going from tick to tick ----


def test_keyboard_alone_is_enough(visit):
    page = visit(step_through(dmm.handcrafted_detector(), STRING, ticks=60))
    press(page, "Tab")
    assert page.evaluate("document.activeElement.className") == "dmm-stepper"
    for keys, tick in (
        (["ArrowRight"], 2),
        (["PageDown"], 12),
        (["PageUp", "ArrowLeft"], 1),
        (["End"], 60),
        (["ArrowRight"], 60),
        (["Home"], 1),
    ):
        press(page, *keys)
        assert tick_of(page) == tick
    press(page, "Space")
    page.wait_for_function("document.querySelector('.dmm-stepper').shadowRoot.querySelector('input').value > 2")
    assert page.get_by_label("pause").count() == 1
    press(page, "Space")
    assert page.get_by_label("play").count() == 1
    press(page, *["Tab"] * 6)
    before = tick_of(page)
    press(page, "ArrowRight")  # on the slider
    assert tick_of(page) == before + 1
    press(page, "Tab", "Enter")
    assert page.locator('[aria-pressed="true"]').count() == 1
    chosen = page.locator(".head b").inner_text()
    press(page, "Tab")
    assert page.locator(".head b").inner_text() == chosen
    press(page, "Escape")
    assert page.locator(".head b").inner_text() == "all neurons"


def test_buttons_characters_and_the_chart_go_to_a_tick(visit):
    page = visit(step_through(dmm.handcrafted_detector(), STRING, ticks=60, start_at=34))
    assert tick_of(page) == 34 and page.locator(".word.current").inner_text() == "t"
    for name, tick in (("one tick on", 35), ("one tick back", 34), ("last tick", 60), ("first tick", 1)):
        page.get_by_label(name).click()
        assert tick_of(page) == tick
    page.locator(".word").nth(4).click()
    assert tick_of(page) == 41 and page.locator(".word.emitted").inner_text() == "␣"
    chart = page.locator(".chart").bounding_box()
    page.mouse.click(chart["x"] + chart["width"] / 2, chart["y"] + 60)
    assert 25 < tick_of(page) < 36
    cursor = page.locator(".cursor").bounding_box()
    assert cursor["x"] - 1 <= chart["x"] + chart["width"] / 2 <= cursor["x"] + cursor["width"] + 1


def test_playing_ends_at_the_last_tick(visit):
    page = visit(step_through(dmm.handcrafted_detector(), "a.", ticks=3))
    page.get_by_label("play").click()
    page.get_by_label("play").wait_for()
    assert tick_of(page) == 3 and page.locator(".status").inner_text() == "tick 3 of 3"


def test_less_motion_plays_slower_and_moves_nothing(visit):
    page = visit(step_through(dmm.handcrafted_detector(), STRING, ticks=60), reduced_motion="reduce")
    assert page.locator(".edge path").first.evaluate("each => getComputedStyle(each).transitionDuration") == "0s"
    page.evaluate("window.paces = []; window.setInterval = (act, pace) => paces.push(pace)")
    page.get_by_label("play").click()
    assert 1500 in page.evaluate("paces") and 350 not in page.evaluate("paces")


# ---- two machines, two steppers, hostile names ----


def test_two_machines_stand_side_by_side(visit, published):
    ours = dmm.handcrafted_detector()
    page = visit(
        step_through(published, STRING, ticks=60, compare=ours, titles=("published", "ours")),
        viewport={"width": 1000, "height": 800},
    )
    left, right = (each.bounding_box() for each in page.locator(".circuit").all())
    assert left["x"] + left["width"] <= right["x"] and left["y"] == right["y"]
    go(page, 60)
    answers = [dmm.answers(each, STRING, ticks=60)[59] for each in (published, ours)]
    shown = [float(text.replace("−", "-")) for text in page.locator(".legend b").all_text_contents()]
    assert shown == pytest.approx([*answers[0], *answers[1]], rel=1e-3)
    page.locator(".circuit").nth(1).locator('[data-neuron="0"]').click()
    assert page.locator(".head").inner_text() == "accum of kind accum · ours"
    expected = branch(dmm.trace(ours, STRING, ticks=60)[59].outputs, "accum")["dict"]
    assert expanded(page, "1/0/outputs/dict") == expected
    assert page.locator(".curve[d]").count() == 4


def test_two_steppers_on_a_page_leave_each_other_alone(visit):
    one, two = (step_through(dmm.handcrafted_detector(), text, ticks=30) for text in ("aab.", "b."))
    page = visit(one, two)
    first, second = page.locator(".dmm-stepper").all()
    first.get_by_label("one tick on").click()
    first.locator('[data-neuron="0"]').click()
    assert first.locator(".status b").inner_text() == "2" and second.locator(".status b").inner_text() == "1"
    assert second.locator(".head b").inner_text() == "all neurons"
    script = page.locator("body > script").last.text_content()
    page.evaluate(
        "text => { const s = document.createElement('script'); s.textContent = text; document.body.append(s); }", script
    )
    assert page.locator(".stepper").count() == 2 and first.locator(".status b").inner_text() == "2"
    page.evaluate("document.body.append(document.querySelector('.dmm-stepper'))")  # as a notebook moves its outputs
    page.keyboard.press("Escape")
    assert page.locator(".status b").all_text_contents() == ["1", "2"]
    assert page.evaluate("Object.keys(window).filter(name => /dmm|stepper/i.test(name))") == []


@pytest.mark.parametrize("name", [HOSTILE, "</script><script>alert(2)</script>", '"><b onclick=alert(3)>', "&lt;i>"])
def test_names_are_letters(visit, name):
    machine = Machine({"const_1": "const_1", name: "id", "output": "output"})
    machine = machine.link(f"{name}.x", "const_1.const_1", 0.5).link("output.dict-1", f"{name}.x", 2.0)
    index = sorted(machine.neurons).index(name)
    page = visit(step_through(machine, (name, "a"), ticks=12, titles=[name]))
    page.locator(f'[data-neuron="{index}"]').click()
    page.wait_for_timeout(100)
    assert page.locator(".head b").inner_text() == name and page.locator(".title").inner_text() == name
    texts = page.locator(f'[data-neuron="{index}"] text').all_text_contents()
    assert name in [text.replace("\xa0", " ") for text in texts]
    assert page.locator(".word").first.inner_text() == name.replace(" ", "␣")
    assert page.locator(".stepper :is(img, script, b[onclick], i)").count() == 0


# ---- where it is shown ----


@pytest.mark.parametrize("two", [False, True])
def test_a_narrow_screen_scrolls_the_circuit_alone(visit, published, two):
    compare = {"compare": dmm.handcrafted_detector()} if two else {}
    page = visit(
        step_through(published, "hello. all. " * 3, ticks=60, **compare), viewport={"width": 320, "height": 640}
    )
    page.locator('[data-neuron="0"]').first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    wide = "each => each.scrollWidth > each.clientWidth"
    assert page.locator(".scroller").first.evaluate(wide)
    assert not page.locator(".stepper").evaluate(wide)
    text = page.locator('[data-neuron="0"] text').first.bounding_box()
    assert text["height"] > 8
    for button in page.locator(".controls button").all():
        assert button.bounding_box()["height"] >= 24


def test_print_shows_the_tick_and_the_values_black_on_white(visit, published):
    page = visit(step_through(published, STRING, ticks=60, start_at=34), color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator(".controls").is_visible() and not page.locator(".help").is_visible()
    assert page.locator(".status").inner_text() == "tick 34 of 60"
    assert page.locator(".edge .value").first.is_visible() and page.locator(".row").count() > 12
    assert page.locator(".stepper").evaluate(COLOURS) == ["rgb(27, 31, 35)", "rgb(255, 255, 255)"]


LIGHT, DARK = "rgb(255, 255, 255)", "rgb(22, 24, 27)"


@pytest.mark.parametrize(
    ("system", "body", "theme", "colour"),
    [
        ("light", "", None, LIGHT),
        ("dark", "", None, DARK),
        ("light", 'data-jp-theme-light="false"', None, DARK),
        ("dark", 'data-jp-theme-light="true"', None, LIGHT),
        ("light", "", "dark", DARK),
        ("dark", "", "light", LIGHT),
    ],
)
def test_the_page_around_says_whether_it_is_dark(visit, system, body, theme, colour):
    page = visit(
        step_through(dmm.handcrafted_detector(), "a.", ticks=3), body=body or "class=plain", color_scheme=system
    )
    if theme:
        page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
    assert page.locator(".stepper").evaluate(COLOURS)[1] == colour


@pytest.mark.parametrize("system", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, published, system):
    sync_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit(
        step_through(published, STRING, ticks=60, start_at=34, compare=dmm.handcrafted_detector()), color_scheme=system
    )
    page.locator('[data-neuron="0"]').first.click()
    page.wait_for_timeout(300)
    found = sync_playwright.Axe().run(page).response["violations"]
    grave = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not grave, [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in grave]


def test_the_first_paint_comes_soon(visit, published):
    page = visit(step_through(published, STRING, ticks=60))
    for _ in range(20):  # 300 ms on a computer that does nothing else; on a busy one, the best time tells
        page.wait_for_function("performance.getEntriesByType('paint').length > 0")
        first = page.evaluate("performance.getEntriesByType('paint').map(each => each.startTime)")
        if min(first) < 1500:
            break
        page.reload()
    assert min(first) < 1500
    assert page.locator(".stepper").count() == 1


def test_where_no_script_may_run_the_circuit_is_a_picture(visit):
    stepper = step_through(dmm.handcrafted_detector(), STRING, ticks=30)
    page = visit(stepper, java_script_enabled=False)
    picture = page.locator("img.dmm-circuit")
    assert picture.is_visible() and picture.bounding_box()["width"] > 300
    assert html.escape(picture.get_attribute("alt")) == "Drawing(9 neurons, 8 soft links, 3 fixed)"
