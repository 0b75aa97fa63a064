"""The published journal: it builds without a warning, its links hold, it loads nothing from afar, all can read it."""

import html.parser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import launch, needs_browser, open_page, outside

import dmmlab as dmm
from dmmlab.lab.figures import read_figures

for name in ("myst_nb", "sphinx_book_theme", "latex2mathml"):
    pytest.importorskip(name, reason=f"needs {name} (pip install -e '.[site]')")

ROOT = Path(__file__).parents[1]
READ = ("index", "notebooks/02-two-strokes", "notebooks/12-synthesis", "api")  # what the look is checked on
pytestmark = pytest.mark.xdist_group("site")


class Page(html.parser.HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loads = set(), set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if given.get("src"):
            self.loads.add(given["src"])
        if given.get("href"):
            (self.loads if tag == "link" else self.links).add(given["href"])


def build(project, folder):
    (folder / "source").mkdir()
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-c", project / "docs"]
    command += ["-d", folder / "trees", folder / "source", folder / "site"]
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=1200)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site):
    paths = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    return {path: Page(path) for path in paths}


@pytest.fixture(scope="module")
def browser():
    with launch() as browser:
        yield browser


def test_every_link_leads_somewhere(pages):
    broken = []
    for path, page in pages.items():
        for link in page.links | page.loads:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            anchor = unquote(url.fragment)
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{path.name}: {link}")
    assert not broken
    assert sum(len(page.links) for page in pages.values()) > 500


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path):
    project, folder = tmp_path / "project", tmp_path / "built"
    shutil.copytree(ROOT / "docs", project / "docs")
    shutil.copytree(ROOT / "data/machines", project / "data/machines")
    folder.mkdir()
    shutil.copytree(ROOT / "figures", project / "figures", ignore=shutil.ignore_patterns("*-column*"))
    (project / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks/01-v-values.ipynb", project / "notebooks")
    (project / "pyproject.toml").write_text("", encoding="utf-8")
    headings = ("# dmmlab", "## Three commands", "## A program from your own", "## Notebooks")
    words = "\n\n".join([*headings, "See [this](notebooks/99-gone.ipynb).", "Rerun them"])
    (project / "README.md").write_text(words, encoding="utf-8")
    done = build(project, folder)
    assert done.returncode != 0
    assert "99-gone.ipynb" in done.stderr


def test_nothing_on_a_page_is_loaded_from_elsewhere(pages):
    loads = {load for page in pages.values() for load in page.loads}
    assert not [load for load in loads if urlsplit(load).scheme not in ("", "data") or load.startswith("//")]


def test_every_notebook_is_a_page_in_the_contents_and_can_be_taken_along(site, pages):
    start, api = pages[site / "index.html"], (site / "api.html").read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert f"notebooks/{path.stem}.html" in start.links
        assert json.loads((site / "_sources/notebooks" / path.name).read_text(encoding="utf-8"))["cells"]
    assert not [name for name in dmm.__all__ if f'id="dmmlab.{name}"' not in api]


def test_every_picture_has_a_text(site):
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        outputs = [
            out for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] for out in cell.get("outputs", [])
        ]
        drawn = sum("image/png" in out.get("data", {}) for out in outputs)
        page = (site / f"notebooks/{path.stem}.html").read_text(encoding="utf-8")
        assert page.count('alt="Picture: ') == drawn
        assert '<img alt=""' not in page


def test_formulas_are_drawn_whole(site):
    page = (site / "notebooks/12-synthesis.html").read_text(encoding="utf-8")
    assert "<mtable" in page  # both lines of dmm.formula
    assert "\\mathrm" not in page.split("Reading the result")[-1].split("Many seeds")[0]


def test_every_figure_is_listed_with_its_caption_and_a_link_to_its_notebook(site, pages):
    page = (site / "figures/README.html").read_text(encoding="utf-8")
    assert not [each for each in read_figures() if each["caption"].replace("`", "") not in re.sub("<.*?>", "", page)]
    assert {f"../notebooks/{each['notebook'][:-6]}.html" for each in read_figures()} <= (
        pages[site / "figures/README.html"].links
    )


@needs_browser
def test_no_page_asks_the_network_for_anything(browser, pages):
    for path in pages:
        with open_page(browser) as page:
            page.goto(path.as_uri())
            page.wait_for_timeout(200)  # for what scripts ask for when all is loaded
            assert (path.name, page.problems, outside(page.requests)) == (path.name, [], [])


@needs_browser
def test_circuits_keep_what_is_said_on_hover(browser, site):
    with open_page(browser) as page:
        page.goto((site / "notebooks/02-two-strokes.html").as_uri())
        titles = page.locator(".cell_output svg title").all_text_contents()
        assert "compare.dict-1 <- norm.norm \xa01" in titles
        assert page.locator("img.dmm-drawing").count() == 0
        page.goto((site / "index.html").as_uri())
        links = [svg.locator(".edge title").count() for svg in page.locator(".story svg").all()]
        assert links == [1486 + 12, 19 + 3, 8 + 3]


@needs_browser
def test_the_stepper_steps_in_the_published_page(browser, site):
    with open_page(browser) as page:
        page.goto((site / "notebooks/02-two-strokes.html").as_uri())
        stepper = page.locator(".dmm-stepper").first
        stepper.focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        assert stepper.locator(".status b").inner_text() == "2"
        assert page.problems == []


@needs_browser
def test_search_finds_a_word_of_a_notebook(browser, site):
    with open_page(browser, viewport={"width": 1280, "height": 900}) as page:
        page.goto((site / "index.html").as_uri())
        page.locator("button.search-button-field").first.click()
        page.keyboard.type("governor")
        page.keyboard.press("Enter")
        found = page.locator("ul.search a[href*='04-recurrent-attempt']").first
        found.wait_for()
        found.click()
        assert page.locator("article h1").inner_text().startswith("04 · The recurrent attempt")
        assert outside(page.requests) == []


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_can_read_it(browser, site, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    for name in READ:
        with open_page(browser, color_scheme=scheme) as page:
            page.goto((site / f"{name}.html").as_uri())
            assert page.locator(f"html[data-theme={scheme}]").count() == 1
            found = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
            assert (name, [each for each in found if each["impact"] in ("serious", "critical")]) == (name, [])


@needs_browser
def test_a_narrow_screen_scrolls_in_one_direction(browser, pages):
    with open_page(browser, viewport={"width": 320, "height": 640}) as page:
        for path in pages:
            page.goto(path.as_uri())
            assert (path.name, page.evaluate("document.documentElement.scrollWidth")) == (path.name, 320)


@needs_browser
def test_no_table_is_wider_than_its_page(browser, pages):
    wide = """Array.from(document.querySelectorAll(".bd-article table"))
        .filter(each => each.getBoundingClientRect().width > each.closest(".bd-article").clientWidth + 1)
        .map(each => each.innerText.slice(0, 60))"""
    with open_page(browser, viewport={"width": 1280, "height": 900}) as page:
        for path in pages:
            page.goto(path.as_uri())
            assert (path.name, page.evaluate(wide)) == (path.name, [])


@needs_browser
def test_tables_fit_where_there_is_room_and_have_no_columns_of_syllables(browser, site):
    widths = "[...document.querySelectorAll('.bd-article table')].map(each => [each.scrollWidth, %s])"
    for name in ("data/README", "notebooks/99-the-journal-and-its-pages"):
        with open_page(browser, viewport={"width": 1400, "height": 900}) as page:
            page.goto((site / f"{name}.html").as_uri())
            tables = page.evaluate(widths % "each.parentElement.clientWidth")
            assert tables and all(width <= room for width, room in tables), (name, tables)
    with open_page(browser, viewport={"width": 390, "height": 844}) as page:
        page.goto((site / "data/README.html").as_uri())
        cells = page.evaluate("[...document.querySelectorAll('.bd-article td:has(code)')].map(e => e.clientWidth)")
        assert min(cells) > 120
        page.goto((site / "notebooks/12-synthesis.html").as_uri())
        tables = page.evaluate(widths % "each.rows[0].cells.length")
        assert min(width for width, columns in tables if columns == 2) < 390  # a small one is not blown up
