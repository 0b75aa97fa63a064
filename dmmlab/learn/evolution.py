"""Evolution strategies: a gradient estimated from values alone, where the true one is expensive or does not exist.

Salimans, Ho, Chen, Sidor & Sutskever 2017 (arXiv:1703.03864): a population of machines around the present weights,
in mirrored pairs; the difference of a pair's losses says how far to go along its direction. Members are numbered, and
each draws its direction from a generator of its own: so it does not matter who evaluates them, nor how many do.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from dmmlab.files import DMMError, check_int, check_positive
from dmmlab.learn.objective import Objective
from dmmlab.learn.training import Array, Descent, Optimizer, Training

MOST_PAIRS = 128  # in a chunk: sending one to another process takes some milliseconds, however small it is


class Chunk(NamedTuple):
    """Some pairs of a population, from `first` to `last` - 1, around `weights`."""

    weights: Array
    sigma: float
    seed: int
    step: int
    first: int
    last: int


Evaluate = Callable[[list[Chunk]], list[Array]]


def directions(links: int, seed: int, step: int, first: int, last: int) -> Array:
    """Standard normal directions of the pairs first … last − 1 at a step, (pairs, links).

    Every pair has its own generator: Philox (Salmon et al. 2011) with the seed and the step as key.
    """
    drawn = np.empty((last - first, links))
    key = np.array([seed, step], dtype=np.uint64)
    for pair, row in zip(range(first, last), drawn, strict=True):
        np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, pair])).standard_normal(out=row)
    return drawn


def losses_of_pairs(objective: Objective, chunk: Chunk) -> Array:
    """The losses at weights ± sigma · direction, (2, pairs)."""
    weights, sigma, *which = chunk
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
    """The gradient of the loss at `weights`, estimated from the losses of mirrored pairs.
    It is Σ (loss₊ − loss₋) · direction / (population · sigma): on average the gradient of a smoothed loss. With ranks
    for losses it is a sum that no outlier can spoil, and whose scale is open.

    Args:
        objective: the loss.
        weights: where, (links,).
        population: how many machines, an even number.
        sigma: the deviation of a machine's weights from `weights`.
        ranks: whether their ranks, from −½ to ½, stand for losses, and sigma for 1; equal losses share the mean rank.
        seed: with `step` it decides on the directions; the same ones give the same bits, whoever evaluates.
        step: number of the step.
        evaluate: from chunks of the population to `losses_of_pairs(objective, chunk)` for each; here unless given.

    >>> objective = dmm.Objective(dmm.write_program("output.dict-1 <- const_1.const_1"), dmm.Task(["a"]))
    >>> dmm.estimate_gradient(objective, np.ones(1), ranks=False).round(1)  # the true one is 14
    array([14.3])
    """
    population, sigma, seed = check_population(population, sigma, seed)
    chunks = _chunks(weights, sigma, seed, check_int("step", step, 0), population // 2)
    losses = evaluate(chunks) if evaluate else [losses_of_pairs(objective, chunk) for chunk in chunks]
    merits = np.concatenate(losses, axis=1)
    merits = sigma * _ranks(merits) if ranks else merits
    pulls = (merits[0] - merits[1]) / (population * sigma)
    gradient = np.zeros(len(weights))
    for chunk in chunks:  # pair by pair: the order of the sum is part of the result
        drawn = directions(len(weights), *chunk[2:])
        for pull, direction in zip(pulls[chunk.first : chunk.last], drawn, strict=True):
            gradient += pull * direction
    return gradient


def _chunks(weights: Array, sigma: float, seed: int, step: int, pairs: int) -> list[Chunk]:
    """An even number of chunks, all but the last of the same size."""
    size = math.ceil(pairs / (2 * math.ceil(pairs / (2 * MOST_PAIRS))))
    return [Chunk(weights, sigma, seed, step, i, min(i + size, pairs)) for i in range(0, pairs, size)]


def _ranks(losses: Array) -> Array:
    """Ranks in the place of losses, spread from −½ to ½; equal losses share the mean of theirs, NaN comes last."""
    losses = np.where(np.isnan(losses), np.inf, losses)
    ordered = np.sort(losses, axis=None)
    first, after = (np.searchsorted(ordered, losses, side) for side in ("left", "right"))
    return (first + after - 1) / 2 / (losses.size - 1) - 0.5


def evolve(
    objective: Objective,
    steps: int = 500,
    population: int = 200,
    sigma: float = 0.02,
    learning_rate: float | None = None,
    optimizer: Optimizer | None = None,
    ranks: bool = True,
    seed: int = 0,
    evaluate: Evaluate | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 100,
    progress: bool = True,
) -> Training:
    """Train a machine's weights by an evolution strategy; `train` with a gradient that costs `population` values.

    Args:
        objective: the loss, and the weights to begin with.
        steps: how many, those of a checkpoint included.
        population: how many machines a step takes, an even number.
        sigma: the deviation of their weights.
        learning_rate: as in `train`, with its errors.
        optimizer: as in `train`; the directions of a step follow from its steps, so that going on repeats none.
        ranks: as in `estimate_gradient`.
        seed: as in `estimate_gradient`.
        evaluate: as in `estimate_gradient`, to spread the work over processes.
        checkpoint: as in `train`.
        checkpoint_every: as in `train`.
        progress: as in `train`.

    >>> objective = dmm.Objective(dmm.write_program("output.dict-1 <- const_1.const_1"), dmm.Task(["a"]))
    >>> dmm.evolve(objective, steps=50, population=20, learning_rate=0.1, progress=False).machine.vector().round(1)
    array([0.8])
    """
    population, sigma, seed = check_population(population, sigma, seed)
    settings = {"population": population, "sigma": sigma, "ranks": bool(ranks), "seed": seed}
    estimate = partial(estimate_gradient, objective, evaluate=evaluate, **settings)
    descent = Descent(objective, optimizer, learning_rate, estimate, settings)
    return descent.run(steps, checkpoint, checkpoint_every, progress)


def check_population(population: int, sigma: float, seed: int) -> tuple[int, float, int]:
    """The same as plain numbers. Raises DMMError for odd populations, a sigma not positive, a seed of over 64 bits."""
    population, seed = check_int("population", population, 2), check_int("seed", seed, 0)
    if population % 2:
        raise DMMError(f"population is {population}; members come in mirrored pairs, so give an even number")
    if seed >= 2**64:
        raise DMMError(f"seed is {seed}; it is a whole number below 2**64")
    return population, check_positive("sigma", sigma), seed
