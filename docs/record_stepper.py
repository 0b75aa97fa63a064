"""Makes figures/stepper.gif, the picture at the top of README: the stepper in a browser, one tick after another.

Run `.venv/bin/python docs/record_stepper.py` again after the stepper's looks have changed. Needs Chromium.
"""

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import dmmlab as dmm
from dmmlab.files import atomic_write

STRING, TICKS, MILLISECONDS = "aab.a", 54, 320
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


def main() -> None:
    """Draw all ticks, in few colours, so that the file stays small."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = dmm.step_through(dmm.handcrafted_detector(), STRING, TICKS).save(Path(folder) / "stepper.html")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 780, "height": 400}, color_scheme="light", reduced_motion="reduce")
        page.goto(page_file.as_uri())
        frames = []
        page.locator("input[type=range]").first.focus()
        for _ in range(TICKS):
            frames.append(Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB"))
            page.keyboard.press("ArrowRight")
        browser.close()
    palette = frames[-1].quantize(48, dither=Image.Dither.NONE)
    small = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    file = io.BytesIO()
    times = [MILLISECONDS] * (len(small) - 1) + [2500]
    small[0].save(file, "GIF", save_all=True, append_images=small[1:], duration=times, loop=0, optimize=True)
    path = atomic_write(dmm.project_root() / "figures" / "stepper.gif", file.getvalue())
    print(path, f"{len(file.getvalue()) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
