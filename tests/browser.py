"""A headless browser for tests of what is shown on pages; tests that want one are skipped where there is none.

    pytestmark = needs_browser
    with open_page(viewport={"width": 320, "height": 640}) as page:
        page.goto(path.as_uri())
        assert page.problems == [] and outside(page.requests) == []

Starting a browser takes about a second: a module with many tests starts one in a fixture of module scope,
`with launch() as browser: yield browser`, and hands it on: `open_page(browser)`. Playwright keeps an event loop in the
thread while its browser is open, so no fixture of session scope holds one.
"""

import shutil
from contextlib import contextmanager, nullcontext

import pytest

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None

NAMES = ("chromium", "google-chrome", "chromium-browser")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
)
LOCAL = ("file:", "data:", "blob:", "about:")


def chromium_path() -> str | None:
    """The browser of this computer, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


needs_browser = pytest.mark.skipif(
    sync_playwright is None or chromium_path() is None,
    reason=f"needs playwright (pip install -e '.[test]') and one of the programs {', '.join(NAMES)}",
)


@contextmanager
def launch():
    """A headless browser, closed at the end."""
    with sync_playwright() as playwright:
        options = {"executable_path": chromium_path(), "headless": True, "args": list(ARGUMENTS), "timeout": 120_000}
        browser = playwright.chromium.launch(**options)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(browser=None, **options):
    """A page in a context of its own, with Playwright's options for contexts (viewport, color_scheme, …).

    `page.requests` lists the URLs that it asked for, `page.problems` what no page should have: errors, failed
    requests, dialogs. Without a `browser` one is started for this page.
    """
    with launch() if browser is None else nullcontext(browser) as browser:
        context = browser.new_context(**options)
        try:
            page = context.new_page()
            page.set_default_timeout(60_000)  # a busy computer is no error
            page.requests, page.problems, empty = [], [], set()
            page.on("request", lambda request: page.requests.append(request.url))
            # Some older Playwrights take an answer without content (204) from a newer browser for a failure.
            page.on("response", lambda response: response.status == 204 and empty.add(response.url))
            page.on("requestfailed", lambda r: r.url in empty or page.problems.append(f"failed: {r.url}"))
            page.on("pageerror", lambda error: page.problems.append(f"error: {error}"))
            page.on("console", lambda message: message.type == "error" and page.problems.append(message.text))
            page.on("dialog", lambda dialog: (page.problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
            yield page
        finally:
            context.close()


def outside(urls) -> list[str]:
    """Those URLs that leave this computer's files."""
    return [url for url in urls if not url.startswith(LOCAL)]
