"""A real JupyterLab in a real browser: notebook 02, opened untrusted, then run cell by cell as a reader would."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from browser import launch, needs_browser, open_page

import dmmlab as dmm

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks/02-two-strokes.ipynb"
# No news from the network, and all cells in the page at once.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}
COMPILING = "dmmlab: compiling the engine"  # said where nothing is in the cache yet, or the computer is busy

pytestmark = [needs_browser, pytest.mark.xdist_group("lab")]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab on a project of its own, with nothing of this computer's settings."""
    home = tmp_path_factory.mktemp("lab")
    for name, settings in SETTINGS.items():
        path = home / f"settings/@jupyterlab/{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings), encoding="utf-8")
    project = home / "project"
    (project / "notebooks").mkdir(parents=True)
    (project / "pyproject.toml").write_text("", encoding="utf-8")
    shutil.copy(NOTEBOOK, project / "notebooks")
    shutil.copytree(ROOT / "data/machines", project / "data/machines")
    places = ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = os.environ | {place: str(home / place.lower()) for place in places}
    environment |= {f"JUPYTERLAB_{name.upper()}_DIR": str(home / name) for name in ("settings", "workspaces")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.token="]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={project}"]
    with (home / "log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=project)
        try:
            wait_for(f"{address}/api", server, home / "log")
            yield address
        finally:
            server.terminate()  # it ends its kernels; but it hangs where one is just starting
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def wait_for(url, server, log):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # proxies are for other computers
    for _ in range(600):
        assert server.poll() is None, log.read_text(encoding="utf-8")
        try:
            return direct.open(url, timeout=5).close()
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(lab):
    """Notebook 02 in JupyterLab."""
    with launch() as browser, open_page(browser, viewport={"width": 1280, "height": 900}) as page:
        page.set_default_timeout(120_000)
        page.goto(f"{lab}/lab/tree/notebooks/{NOTEBOOK.name}")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        yield page


def committed():
    """The code cells of the notebook as it is in the project."""
    return [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def printed(cell):
    return "".join("".join(out["text"]) for out in cell["outputs"] if out["output_type"] == "stream")


def test_before_anything_runs_pictures_stand_where_scripts_may_not(page):
    outputs = [output for cell in committed() for output in cell["outputs"]]
    shown = sum("".join(output.get("data", {}).get("text/html", "")).count("<img ") for output in outputs)
    pictures = page.locator(".jp-OutputArea img.dmm-drawing, .jp-OutputArea img.dmm-circuit")
    pictures.nth(shown - 1).wait_for()
    assert pictures.count() == shown
    for picture in pictures.all():
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth > 100)")
    assert page.locator(".jp-OutputArea svg g.node").count() == 0
    assert page.problems == []


def read(panel):
    """What the panel says of a neuron: (role, field) → V-value, abbreviated ones unfolded."""
    while panel.locator("button[aria-expanded=false]").count():
        panel.locator("button[aria-expanded=false]").first.click()
    values = {}
    for value in panel.locator("[data-key].value").all():
        text = value.inner_text().replace("\N{MINUS SIGN}", "-")
        values[tuple(value.get_attribute("data-key").split("/")[2:])] = json.loads(
            text if text[:1] != "." else f"0{text}"
        )
    return values


def check_that_keys_show_what_trace_says(page):
    stepper = page.locator(".dmm-stepper")
    history = dmm.trace(dmm.handcrafted_detector(), "test string.", ticks=140)
    stepper.focus()
    for key, tick in {"Home": 1, "PageDown": 11, "ArrowRight": 12, "End": 140, "PageUp": 130, "ArrowLeft": 129}.items():
        page.keyboard.press(key)
        assert stepper.locator(".status b").inner_text() == str(tick)
        arrived = dmm.VValue(history[tick - 1].inputs["output"])
        answers = [f"{dmm.number(dmm.VValue({':number': arrived[field]})):g}" for field in ("dict-1", "dict-2")]
        assert stepper.locator(".answers b").all_inner_texts() == answers
        for neuron in stepper.locator("[data-neuron]").all():
            name = neuron.get_attribute("aria-label").split(" (")[0]
            neuron.click()
            for (role, field), value in read(stepper.locator(".panel")).items():
                truth = dmm.VValue(getattr(history[tick - 1], role).get(name, {}))
                assert dmm.VValue({"x": value}) == dmm.VValue({"x": truth[field]}), (tick, name, role, field)
        page.keyboard.press("Escape")
    assert page.problems == []


def test_every_cell_runs_when_it_is_asked_to_and_the_stepper_shows_what_trace_says(page):
    page.locator(".lm-MenuBar-itemLabel", has_text="Edit").click()
    # Some JupyterLabs have a hidden list of all commands in the page, with the same words.
    page.locator(".lm-Menu-itemLabel", has_text="Clear Outputs of All Cells").click()
    cells = page.locator(".jp-Notebook .jp-Cell")
    page.locator(".jp-Notebook .jp-Cell").first.click()
    run = 0
    for number in range(cells.count()):
        code = "jp-CodeCell" in cells.nth(number).get_attribute("class")
        page.keyboard.press("Shift+Enter")
        if code:
            run += 1
            cells.nth(number).locator(".jp-InputPrompt", has_text=f"[{run}]:").wait_for()
    shown = page.locator(".jp-Notebook .jp-CodeCell")
    assert run == len(committed())
    for number, cell in enumerate(committed()):
        here = shown.nth(number).locator(".jp-OutputArea-output").filter(has_not_text=COMPILING)
        assert here.count() == len(cell["outputs"]), number
        text = "".join(here.locator("pre").all_text_contents())
        assert printed(cell).rstrip() in text.rstrip() or not printed(cell)
    assert "compare.dict-1 <- norm.norm \xa01" in page.locator(".jp-OutputArea svg title").all_text_contents()
    errors = page.locator("[data-mime-type='application/vnd.jupyter.stderr']")
    assert errors.filter(has_not_text=COMPILING).count() == 0
    assert page.problems == []
    check_that_keys_show_what_trace_says(page)
