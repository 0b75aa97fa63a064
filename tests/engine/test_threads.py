"""Threads: how many there are, and that sharing the work changes no bit, for any number of members and strings."""

import numpy as np
import pytest
from conftest import refused
from test_engine import MACHINES, random_weights

from dmmlab.engine import Engine, threads
from dmmlab.inputs import Inputs


def compiled(machine, *fed, **options):
    """The engine of a machine for some strings, ticks and speeds."""
    return Engine(machine, Inputs(*fed), **options)


@pytest.mark.parametrize("memory_gradient", ["full", "truncated"])
def test_shared_and_alone_are_the_same_bits(monkeypatch, memory_gradient):
    machine = random_weights(MACHINES["feedforward"], 1)
    weights = np.random.default_rng(0).normal(scale=0.4, size=(7, len(machine.links)))
    engine = compiled(machine, ["ab.", "hello. all.", "z"], [20, 61, 30], [6, 5, 1])
    targets = np.random.default_rng(1).normal(size=(3, 61, 2))

    def everything():
        losses, gradients = engine.squared_errors(weights, targets, memory_gradient)
        pulled = engine.pull(weights, np.broadcast_to(targets, (7, 3, 61, 2)), memory_gradient)
        return [engine.answers(weights), losses, gradients, pulled, engine.tangents(weights[0], weights)]

    monkeypatch.setenv("DMMLAB_THREADS", "1")
    alone = everything()
    monkeypatch.setattr(threads, "WORTH", 1)
    for count in ("2", "5"):
        monkeypatch.setenv("DMMLAB_THREADS", count)
        for one, other in zip(alone, everything(), strict=True):
            assert one.tobytes() == other.tobytes()


def test_the_cores_one_may_use_are_counted_unless_said(monkeypatch):
    monkeypatch.delenv("DMMLAB_THREADS", raising=False)
    assert threads.threads() >= 1
    monkeypatch.setenv("DMMLAB_THREADS", "3")
    assert threads.threads() == 3
    for said in ("0", "-1", "two", "1.5", "²"):
        monkeypatch.setenv("DMMLAB_THREADS", said)
        with refused("DMMLAB_THREADS is", "whole number"):
            threads.threads()


def test_an_error_in_a_thread_is_raised(monkeypatch):
    monkeypatch.setattr(threads, "WORTH", 1)
    monkeypatch.setenv("DMMLAB_THREADS", "2")

    for kind in (ValueError, IndexError):

        def fail(*which, kind=kind):
            raise kind("here")

        with pytest.raises(kind, match="here"):
            threads.run_in_threads(fail, [1, 1], 4)
