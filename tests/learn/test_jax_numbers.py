"""JAX's random numbers, against those that its documentation shows for `PRNGKey(0)`."""

import numpy as np
import pytest

from dmmlab.files import DMMError
from dmmlab.learn.jax_numbers import normals, split_keys


def test_a_key_is_split_as_in_jax():
    assert split_keys(0, 2).tolist() == [[4146024105, 967050713], [2718843009, 1272950319]]


def test_a_key_gives_the_normal_number_of_jax():
    key = np.array([[0, 0]], np.uint32)  # PRNGKey(0)
    assert np.isclose(normals(key)[0], -0.20584226, rtol=1e-6)


def test_many_are_normal():
    drawn = normals(split_keys(1, 4000))
    assert abs(drawn.mean()) < 0.05
    assert abs(drawn.std() - 1) < 0.05


def test_a_seed_is_a_whole_number():
    with pytest.raises(DMMError, match="seed"):
        split_keys(-1, 3)
