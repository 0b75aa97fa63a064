"""What the tests share: no settings but their own, a fixed seed, random trees, and what a refusal looks like."""

import os
import site
import sys
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from autograd import make_jvp
from hypothesis import Phase, settings
from hypothesis import strategies as st

from dmmlab.files import DMMError
from dmmlab.vvalues import VValue

PHASES = (Phase.explicit, Phase.generate, Phase.shrink)  # explaining a failure takes longer than shrinking it
settings.register_profile(
    "reproducible", deadline=None, derandomize=True, database=None, phases=PHASES, max_examples=50
)
settings.load_profile("reproducible")

# Variables that change what programs do or print: those of the package, of Jupyter, matplotlib and Python, of colours.
SETTINGS = (
    "DMMLAB_",
    "JUPYTER",
    "IPYTHON",
    "MPL",
    "MATPLOTLIBRC",
    "DASK_",
    "XDG_CONFIG_",
    "XDG_DATA_HOME",
    "XDG_CACHE_",
)
SETTINGS += ("PYTHONWARNINGS", "PYTHONDEVMODE", "PYTHONVERBOSE", "PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONIOENCODING")
SETTINGS += ("FORCE_COLOR", "NO_COLOR", "CLICOLOR", "TTY_", "SOURCE_DATE_EPOCH")


@pytest.fixture(scope="session", autouse=True)
def settings_of_their_own(tmp_path_factory):
    """Tests, and all that they start, see a home that is empty and can be written, whatever this computer has."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(SETTINGS)]:
            patch.delenv(name)
        patch.setenv("PYTHONUSERBASE", site.getuserbase())  # packages may be installed in the home
        patch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())  # or every process would look for fonts
        patch.setenv("HOME", str(home))
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(home / name.lower()))
        patch.chdir(Path(__file__).parents[1])
        yield


@pytest.fixture(autouse=True)
def fixed_seed():
    """autograd's check_grads draws its directions from NumPy's global generator."""
    np.random.seed(0)  # noqa: NPY002


@pytest.fixture(autouse=True)
def nothing_is_stopping():
    """What a test stopped, as by Ctrl-C, stops no notebook that the next test of this process runs by itself."""
    if kernels := sys.modules.get("dmmlab.lab.kernels"):
        kernels.stopping.clear()


@contextmanager
def refused(*words, start=""):
    """The block raises a DMMError of one line that begins with `start` and contains `words`."""
    with pytest.raises(DMMError) as caught:
        yield
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    assert message.startswith(str(start)), message
    for word in words:
        assert word in message, message


# ---- random trees ----

NUMBER = ":number"
KEYS = st.sampled_from(["a", "b", "c"]) | st.text(max_size=2).filter(lambda key: key != NUMBER)
NUMBERS = st.integers(-3, 3).map(float) | st.floats(-1000, 1000)


def trees(numbers=NUMBERS, keys=KEYS):
    """Nested dicts of numbers: zeros, empty dicts, and ':number' at any depth."""

    def grow(below):
        branches = st.dictionaries(keys, below, max_size=3)
        return st.builds(lambda tree, x: tree if x is None else {**tree, NUMBER: x}, branches, st.none() | numbers)

    return grow(st.recursive(numbers, grow, max_leaves=6))


@st.composite
def generic_trees(draw, numbers=None):
    """Trees whose numbers are far from zero and from each other, so that no kink is near."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def fill(tree):
        if isinstance(tree, dict):
            return {key: fill(leaf) for key, leaf in tree.items()}
        return float(rng.choice([-1, 1]) * rng.uniform(0.5, 2))

    return fill(draw(trees(st.just(1.0), st.sampled_from(["a", "b", "c"]))))


def nested(depth):
    """A tree of one path."""
    tree = 1.0
    for _ in range(depth):
        tree = {"a": tree}
    return tree


def flatten(tree, path=()):
    """An independent picture of a V-value: {path: number}, ':number' being no step, zeros left out."""
    tree = tree.to_dict() if isinstance(tree, VValue) else tree
    if not hasattr(tree, "items"):
        return {path: float(tree)} if tree else {}
    flat = {}
    for key, leaf in tree.items():
        for end, x in flatten(leaf, path if key == NUMBER else (*path, key)).items():
            flat[end] = flat.get(end, 0.0) + x
    return flat


def close(v, w, tolerance=1e-6):
    """Whether two V-values, or numbers, agree at every path that either has."""
    v, w = flatten(v), flatten(w)
    return all(abs(v.get(path, 0.0) - w.get(path, 0.0)) <= tolerance for path in {*v, *w})


def check_directional(f, v, direction):
    """Forward derivatives against differences at every path: check_grads overlooks paths that ought to be there."""
    step = 1e-5
    tangent = make_jvp(f)(v)(direction)[1]
    slope = (f(v + step * direction) - f(v - step * direction)) / (2 * step)
    assert close(tangent, slope, tolerance=1e-4), (tangent, slope)
