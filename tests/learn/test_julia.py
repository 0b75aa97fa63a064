"""Julia's random stream, and initial weights."""

from itertools import islice

import numpy as np
import pytest

from dmmlab.builders import feedforward, handcrafted_detector, recurrent
from dmmlab.files import DMMError
from dmmlab.learn.julia import draws, initialize, normals

# Design notes of the journal (anhinga/julia-flux-drafts, feedforward-run-3): Float32(0.01f0 * randn()) of seed 123.
FIRST_SIX = [-0.006457307, -0.014632514, -0.016236037, -0.002176651, 0.004922457, 0.009809799]


def test_the_first_weights_are_the_published_ones():
    assert np.float32([0.01 * x for x in islice(normals(123), 6)]).tolist() == np.float32(FIRST_SIX).tolist()
    machine = initialize(feedforward(), scale=0.01, seed=123)
    assert np.float32(machine.vector()[:6]).tolist() == np.float32(FIRST_SIX).tolist()
    assert str(machine.links[3]) == "norm-1-1.dict <- input.char"


def test_the_stream_is_normal_to_the_fourth_moment_and_reaches_the_tail():
    sample = np.array(list(islice(normals(5), 100_000)))
    assert abs(sample.mean()) < 0.01
    assert abs(sample.std() - 1) < 0.01
    assert abs((sample**4).mean() - 3) < 0.1
    beyond = np.abs(sample) > 3.654152885361009  # the ziggurat's tail: 2.58e-4 of the mass
    assert 10 < beyond.sum() < 45
    assert (sample[beyond] > 0).any() and (sample[beyond] < 0).any()


def test_draws_are_64_bit_and_differ_by_seed():
    streams = [list(islice(draws(seed), 50)) for seed in (0, 1, 2**32, 2**40 + 7)]
    assert all(0 <= word < 2**64 for stream in streams for word in stream)
    assert len({tuple(stream) for stream in streams}) == 4
    assert max(max(stream) for stream in streams) > 2**63


def test_same_seed_same_bytes():
    for rng in ("julia", "numpy"):
        one, two = (initialize(recurrent(), 0.2, 7, rng).vector() for _ in range(2))
        assert one.tobytes() == two.tobytes()
        assert abs(one.std() - 0.2) < 0.03


@pytest.mark.parametrize("arguments", [{"rng": "matlab"}, {"seed": -1}, {"seed": 1.5}, {"seed": True}])
def test_unknown_generators_and_seeds_are_refused(arguments):
    for rng in ("julia", "numpy"):
        with pytest.raises(DMMError):
            initialize(handcrafted_detector(), **{"rng": rng, **arguments})
