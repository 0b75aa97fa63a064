"""Julia's random numbers, and initial weights drawn from them or from NumPy's.

The 2022 journal drew its weights after `Random.seed!(123)` in Julia 1.7: xoshiro256++ seeded with a SHA-256, and a
Marsaglia–Tsang ziggurat of 256 strips for the normal distribution. This module reproduces that stream bit for bit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from dmmlab.files import DMMError, check_int, check_positive
from dmmlab.machines import Machine

MASK = (1 << 64) - 1
TAIL, AREA, STRIPS = 3.654152885361009, 0.0049286732339746519, 256  # Marsaglia & Tsang 2000, r and v for 256 strips


def _rotate(word: int, by: int) -> int:
    return ((word << by) | (word >> (64 - by))) & MASK


def draws(seed: int) -> Iterator[int]:
    """The 64-bit draws of Julia 1.7's default generator after `Random.seed!(seed)`, seed ≥ 0.

    xoshiro256++ (Blackman & Vigna 2019); its four words are the SHA-256 of the seed's 32-bit words, little endian.
    """
    seed = check_int("seed", seed, 0)
    words = max(1, -(-seed.bit_length() // 32))
    digest = hashlib.sha256(seed.to_bytes(4 * words, "little")).digest()
    a, b, c, d = (int.from_bytes(digest[i : i + 8], "little") for i in range(0, 32, 8))
    while True:
        yield (_rotate((a + d) & MASK, 23) + a) & MASK
        shifted = (b << 17) & MASK
        c ^= a
        d ^= b
        b ^= c
        a ^= d
        c ^= shifted
        d = _rotate(d, 45)


def _density(x: float) -> float:
    return math.exp(-0.5 * x * x)


def _edges() -> list[float]:
    """Where the strips of the ziggurat end, from the lowest and widest upwards; at last 0."""
    edges = [AREA / _density(TAIL), TAIL]
    while len(edges) < STRIPS:
        edges.append(math.sqrt(-2.0 * math.log(AREA / edges[-1] + _density(edges[-1]))))
    return [*edges, 0.0]


def normals(seed: int) -> Iterator[float]:
    """What `randn()` gives, again and again, after `Random.seed!(seed)` in Julia 1.7 (float64)."""
    edges, stream = _edges(), draws(seed)

    def uniform() -> float:
        return (next(stream) >> 11) * 2.0**-53

    while True:
        bits = next(stream) >> 12
        magnitude = bits >> 1
        strip = -magnitude % STRIPS  # Julia counts the others downwards
        edge, above = edges[strip], edges[strip + 1]
        x = (-magnitude if bits & 1 else magnitude) * (edge / 2.0**51)
        if magnitude < above / edge * 2.0**51:
            yield x
        elif strip == 0:
            # Julia takes the sign of the tail from another bit than that of the strips.
            yield _tail(uniform) * (-1.0 if magnitude >> 8 & 1 else 1.0)
        elif _density(edge) + uniform() * (_density(above) - _density(edge)) < _density(x):
            yield x


def _tail(uniform: Callable[[], float]) -> float:
    while True:
        x = -math.log(uniform()) / TAIL
        if -2.0 * math.log(uniform()) > x * x:
            return TAIL + x


def initialize(machine: Machine, scale: float = 0.01, seed: int = 123, rng: str = "julia") -> Machine:
    """The machine with weights drawn from a normal distribution of deviation `scale`, in link order.
    `rng="julia"` draws Float32(scale · randn) as the journal did after `Random.seed!(seed)`; `rng="numpy"` draws from
    `numpy.random.default_rng(seed)`. Raises DMMError for another generator, or a seed that is no whole number ≥ 0.

    >>> dmm.initialize(dmm.feedforward(), scale=1.0).vector()[:2]
    array([-0.64573067, -1.46325135])
    """
    count = len(machine.links)
    scale = check_positive("scale", scale, or_zero=True)
    if rng == "julia":
        values = np.float32([scale * x for x in islice(normals(seed), count)])
    elif rng == "numpy":
        values = np.random.default_rng(check_int("seed", seed, 0)).normal(scale=scale, size=count)
    else:
        raise DMMError(f"rng is {rng!r}; it is 'julia' or 'numpy'")
    return machine.with_vector(values)
