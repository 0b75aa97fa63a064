"""JAX's random numbers, as they were until its version 0.5: keys, and a normal number from each.

The author's 2024 drafts draw every initial weight from a key of its own. JAX makes keys and bits with the cipher
Threefry-2x32 of twenty rounds (Salmon, Moraes, Dror & Shaw 2011). This module reproduces both.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from dmmlab.files import check_int

PARITY = np.uint32(0x1BD11BDA)
ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)


def threefry(key: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cipher on pairs of 32-bit words; `key` is two words, or two arrays of words, one pair of them for each."""
    keys = [key[0], key[1], key[0] ^ key[1] ^ PARITY]
    x, y = x + keys[0], y + keys[1]
    for turn in range(5):
        for by in ROTATIONS[turn % 2]:
            x = x + y
            y = ((y << np.uint32(by)) | (y >> np.uint32(32 - by))) ^ x
        x = x + keys[(turn + 1) % 3]
        y = y + keys[(turn + 2) % 3] + np.uint32(turn + 1)
    return x, y


def split_keys(seed: int, count: int) -> np.ndarray:
    """What `jax.random.split(jax.random.PRNGKey(seed), count)` gives: (count, 2) words; 0 ≤ seed < 2³².

    Raises DMMError for a seed or a count that is none.
    """
    key = np.array([0, check_int("seed", seed, 0)], np.uint32)
    halves = np.arange(2 * check_int("count", count), dtype=np.uint32).reshape(2, count)
    with np.errstate(over="ignore"):
        return np.concatenate(threefry(key, *halves)).reshape(count, 2)


def normals(keys: np.ndarray) -> np.ndarray:
    """What `jax.random.normal(key, ())` gives for each row of `keys`, (count,), within rounding of single precision."""
    zeros = np.zeros(len(keys), np.uint32)
    with np.errstate(over="ignore"):
        bits = threefry(keys.T, zeros, zeros)[0]
    part = (bits >> np.uint32(9) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)
    low = np.nextafter(np.float32(-1), np.float32(0))
    uniform = np.maximum(low, part * (np.float32(1) - low) + low)
    return np.float32([NormalDist().inv_cdf((float(x) + 1) / 2) for x in uniform])
