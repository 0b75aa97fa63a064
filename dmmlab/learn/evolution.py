"""Evolution strategies: a gradient estimated from values alone, where the true one is dear or does not exist.

Salimans, Ho, Chen, Sidor & Sutskever 2017 (arXiv:1703.03864): a population of machines around the present weights,
in mirrored pairs; the difference of a pair's losses says how far to go along its direction. Members are numbered, and
each draws its direction from a generator of its own: so it does not matter who evaluates them, nor how many do.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from numbers import Real

import numpy as np

from dmmlab.files import DMMError, check_int
from dmmlab.learn.objective import Objective
from dmmlab.learn.scheduler import evaluator
from dmmlab.learn.training import SGD, Adam, Array, Training, descend

MOST_PAIRS = 128  # evaluated in one go: a share takes Dask some milliseconds, however small
Evaluate = Callable[[list], list]
Share = tuple[Array, float, int, int, int, int]  # weights, sigma, seed, step, first pair, the one after the last


def directions(links: int, seed: int, step: int, first: int, last: int) -> Array:
    """Standard normal directions of the pairs first … last − 1 at a step, (pairs, links).

    Every pair has its own generator: Philox (Salmon et al. 2011) with the seed and the step as key.
    """
    drawn = np.empty((last - first, links))
    key = np.array([seed, step], dtype=np.uint64)
    for pair, row in zip(range(first, last), drawn, strict=True):
        np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, pair])).standard_normal(out=row)
    return drawn


def losses_of_pairs(objective: Objective, share: Share) -> Array:
    """The losses at weights ± sigma · direction, (2, pairs)."""
    weights, sigma, *which = share
    offsets = sigma * directions(len(weights), *which)
    with np.errstate(all="ignore"):  # some members may run away
        return objective.loss(np.concatenate([weights + offsets, weights - offsets])).reshape(2, -1)


def estimate_gradient(
    objective: Objective,
    weights: Array,
    population: int = 200,
    sigma: float = 0.02,
    ranks: bool = True,
    seed: int = 0,
    step: int = 0,
    evaluate: Evaluate | None = None,
) -> Array:
    """The gradient of the loss at `weights` (links,), estimated from the losses of population / 2 mirrored pairs.
    With `ranks=False` it is Σ (loss₊ − loss₋) · direction / (population · sigma), an unbiased estimate of the gradient
    of the loss smoothed by a normal distribution of deviation sigma. With ranks, losses are first replaced by their
    ranks, spread evenly from −½ to ½ (equal losses share theirs), which no outlier can spoil and which leaves the
    scale open; sigma is not divided by. The same seed and step give the same bits, whoever evaluates.
    Raises DMMError for a population that is odd or below 2, or a sigma that is not positive.

    >>> objective = dmm.Objective(dmm.write_program("output.dict-1 <- const_1.const_1"), dmm.Task(["a"]))
    >>> dmm.estimate_gradient(objective, np.ones(1), ranks=False).round(1)  # the true one is 14
    array([14.3])
    """
    population, sigma, seed = check_population(population, sigma, seed)
    pairs, step = population // 2, check_int("step", step, 0)
    size = math.ceil(pairs / (2 * math.ceil(pairs / (2 * MOST_PAIRS))))  # an even number of shares
    spans = [(first, min(first + size, pairs)) for first in range(0, pairs, size)]
    shares = [(weights, sigma, seed, step, *span) for span in spans]
    losses = evaluate(shares) if evaluate else [losses_of_pairs(objective, share) for share in shares]
    merits = np.concatenate(losses, axis=1)
    if ranks:
        merits = np.where(np.isnan(merits), np.inf, merits)
        merits = sigma * (_ranks(merits) / (population - 1) - 0.5)
    gradient = np.zeros(len(weights))
    for first, last in spans:  # pair by pair: the order of the sum is part of the result
        drawn = directions(len(weights), seed, step, first, last)
        for pull, direction in zip((merits[0] - merits[1])[first:last] / (population * sigma), drawn, strict=True):
            gradient += pull * direction
    return gradient


def _ranks(values: Array) -> Array:
    """The ranks of numbers from 0 on, in their shape; equal numbers share the mean of theirs."""
    flat = np.sort(values, axis=None)
    ends = [np.searchsorted(flat, values, side) for side in ("left", "right")]
    return (ends[0] + ends[1] - 1) / 2


def evolve(
    objective: Objective,
    steps: int = 500,
    population: int = 200,
    sigma: float = 0.02,
    learning_rate: float | None = None,
    optimizer: Adam | SGD | None = None,
    weight_decay: float = 0.0,
    ranks: bool = True,
    seed: int = 0,
    scheduler: str | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 100,
    progress: bool = True,
) -> Training:
    """Train a machine's weights by an evolution strategy; `train` with a gradient that costs `population` values.
    `estimate_gradient` says what population, sigma and ranks are. `weight_decay` adds that multiple of the weights to
    the estimate. The population is shared among threads, or, with the address of a Dask `scheduler` like
    "tcp://host:8786", among its workers, which must have this package. A worker that is lost costs time: the result has
    the same bits for any number of them (a cluster tries again as often as its setting `allowed-failures` says). The
    step's noise follows from the optimizer's steps, so that going on with `optimizer` does not repeat it. The rest is
    as in `train`, errors too.

    >>> objective = dmm.Objective(dmm.write_program("output.dict-1 <- const_1.const_1"), dmm.Task(["a"]))
    >>> dmm.evolve(objective, steps=50, population=20, learning_rate=0.1, progress=False).machine.vector().round(1)
    array([0.8])
    """
    population, sigma, seed = check_population(population, sigma, seed)
    if not (isinstance(weight_decay, (int, float)) and 0 <= weight_decay < np.inf):
        raise DMMError(f"weight_decay is {weight_decay!r}; it is a number of at least 0")
    identity = json.dumps(["evolution", population, sigma, weight_decay, bool(ranks), seed])
    shared = nullcontext() if scheduler is None else evaluator(losses_of_pairs, objective, scheduler)
    with shared as evaluate:

        def slope(weights: Array, step: int) -> tuple[float, Array]:
            options = {"ranks": ranks, "seed": seed, "step": step, "evaluate": evaluate}
            gradient = estimate_gradient(objective, weights, population, sigma, **options)
            return objective.data_loss(weights), gradient + weight_decay * weights

        more = learning_rate, optimizer, checkpoint, checkpoint_every, progress
        return descend(objective, slope, identity, steps, *more)


def check_population(population: int, sigma: float, seed: int) -> tuple[int, float, int]:
    """The same as plain numbers. Raises DMMError for odd populations, a sigma not positive, a seed of over 64 bits."""
    if check_int("population", population, 2) % 2:
        raise DMMError(f"population is {population}; members come in mirrored pairs, so give an even number")
    if isinstance(sigma, bool) or not (isinstance(sigma, Real) and 0 < sigma < np.inf):
        raise DMMError(f"sigma is {sigma!r}; it is a positive number")
    if check_int("seed", seed, 0) >= 2**64:
        raise DMMError(f"seed is {seed}; it is a whole number below 2**64")
    return int(population), float(sigma), int(seed)
