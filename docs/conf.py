"""The published journal (Sphinx): what `make site` collects and builds. No notebook is executed, nothing fetched."""

import inspect
import re
import shutil
from importlib import import_module
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

import dmmlab as dmm
from dmmlab.files import atomic_write
from dmmlab.lab.figures import read_figures

logger = logging.getLogger(__name__)
ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "LICENSE", "data/README.md", "docs/index.md", "docs/api.md", "notebooks/*.ipynb", "figures/*.*")
BARS = re.compile(r"<mo(?=[^>]*>(\||&#x0007C;|&#x02016;)</mo>)")
DOUBLE_BAR = '<mo stretchy="false">&#x02016;'
BOTTOM = 'preserveAspectRatio="xMidYMax"'  # circuits side by side stand on one line

project, author, copyright, language = "dmmlab", "the authors of dmmlab", "the authors of dmmlab (MIT licence)", "en"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
smartquotes = False  # strings and code stay as they are written

nb_execution_mode = "off"  # the committed outputs are the site
nb_ipywidgets_js = {}  # would come from the network
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_display_short_literal_types = True
# Private names are not on the page of names, and those of other projects cannot be looked up without a network.
nitpick_ignore_regex = [("py:.*", r"(?!dmmlab\.).*|dmmlab\.\w+\..*")]

html_context = {"default_mode": "auto"}
html_theme = "sphinx_book_theme"
html_title = "dmmlab"
html_static_path, html_css_files = [str(ROOT / "docs/static")], ["site.css"]
html_math_renderer = "mathml"
html_sourcelink_suffix = ""
html_theme_options = {
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # the search field is in the sidebar
    "footer_content_items": ["copyright"],
    "home_page_in_toc": True,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


# ---- what the site is made of ----


def collect(source: Path) -> None:
    """Copy what is published into the folder that Sphinx reads, so that links between files are links between pages."""
    for path in filter(Path.is_file, (path for pattern in PAGES for path in sorted(ROOT.glob(pattern)))):
        target = source / path.relative_to(ROOT / "docs" if path.parent.name == "docs" else ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    figures = [f"- [{each['name']}](../notebooks/{each['notebook']}): {each['caption']}" for each in read_figures()]
    for name, text in {"api.md": reference(), "figures/README.md": "\n## All figures\n\n" + "\n".join(figures)}.items():
        with (source / name).open("a", encoding="utf-8") as page:
            page.write(text)
    start = dmm.initialize(dmm.feedforward(), scale=0.01, seed=123)
    story = {"1486": start, "19": dmm.load_machine("published-19"), "8": dmm.load_machine("synthesized-four-strings")}
    for name, machine in story.items():
        drawing = dmm.draw(machine)
        svg = drawing.svg().replace("<svg", f'<svg role="img" aria-label="Circuit: {drawing.summary}" {BOTTOM}', 1)
        atomic_write(source / "circuits" / f"{name}.html", svg)


def reference() -> str:
    """The public names, those of the core first, then those of each room."""
    core = [name for name in dmm.__all__ if name not in dmm._HOMES]
    page = section("The core", inspect.getdoc(dmm), core)
    for room in dmm._ROOMS:
        package = import_module(f"dmmlab.{room}")
        page += section(f"`dmmlab.{room}`", inspect.getdoc(package), package.__all__)
    return page


def section(title: str, docstring: str, names: list[str]) -> str:
    """A heading, what the docstring says, and the names below it."""
    said = re.sub(r"^[\w ]+: (\w)", lambda match: match[1].upper(), docstring)  # the title says the rest
    entries = "".join(entry(name) for name in sorted(names, key=str.lower))
    return f"\n## {title}\n\n{said}\n\n```{{eval-rst}}\n{entries}```\n"


def entry(name: str) -> str:
    """The directive for a public name; constants say what they hold."""
    value = getattr(dmm, name)
    if inspect.isclass(value):
        return f".. autoclass:: dmmlab.{name}\n   :members:\n\n"
    if callable(value):
        return f".. autofunction:: dmmlab.{name}\n\n"
    held = f"A dict with the keys {', '.join(f'``{key}``' for key in value)}." if isinstance(value, dict) else "A list."
    return f".. py:data:: dmmlab.{name}\n\n   {held}\n\n"


# ---- how Sphinx reads and writes it ----


def tidy_docstring(app, what, name, obj, options, lines) -> None:
    """Docstrings are plain prose in which backticks mean code, with examples: nothing else in them is markup."""
    paragraphs = "\n".join(lines).split("\n\n")
    lines[:] = "\n\n".join(each if each.lstrip().startswith(">>>") else prose(each) for each in paragraphs).splitlines()


def prose(text: str) -> str:
    """The same words in Sphinx's markup: its signs escaped, single backticks doubled."""
    parts = re.split(r"`([^`]+)`", text)
    parts[::2] = [re.sub(r"([*_|\\])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"``{' '.join(part.split())}``" for part in parts[1::2]]
    return "".join(parts)


def skip_plain_fields(app, what, name, obj, skip, options) -> bool | None:
    """The fields of named tuples are in the signature already."""
    return True if (inspect.getdoc(obj) or "").startswith("Alias for field") else None


def true_signature(app, what, name, obj, options, signature, result):
    """The signatures that autograd's primitives hide."""
    return (str(inspect.signature(obj.fun)), "") if hasattr(obj, "fun") else None


def name_pictures(app, document) -> None:
    """Pictures among outputs get a text: that of the section they stand in."""
    for image in document.findall(nodes.image):
        if not image.get("alt"):
            section = image.parent
            while not isinstance(section, nodes.section):
                section = section.parent
            image["alt"] = f"Picture: {section[0].astext()}"


def mathml(tex: str, display: str = "inline") -> str:
    """A formula as MathML, which browsers draw without a script. Its bars are brackets, not operators with spaces."""
    drawn = convert(tex.replace("{aligned}", "{align*}"), display=display).replace("<mo>&#x02016;", DOUBLE_BAR)
    drawn = re.sub(r"\\([#%_$])", r"\1", drawn)  # left as they are in \text
    if "\\" in drawn or "<mi>&</mi>" in drawn:
        logger.warning("latex2mathml does not know all of %s; write it with simpler commands", tex)
    return BARS.sub('<mo lspace="0" rspace="0"', drawn)


def inline_math(writer, node) -> None:
    writer.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def block_math(writer, node) -> None:
    writer.body.append(f'<div class="formula" tabindex="0">{mathml(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def setup(app) -> None:
    collect(Path(app.srcdir))
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))
    app.connect("autodoc-process-docstring", tidy_docstring)
    app.connect("autodoc-skip-member", skip_plain_fields)
    app.connect("autodoc-process-signature", true_signature)
    app.connect("doctree-read", name_pictures)
