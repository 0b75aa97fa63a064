"""Evolution strategies: the estimate against the true gradient and theory, the bits whoever evaluates."""

import pickle

import numpy as np
import pytest
from conftest import refused

from dmmlab.builders import feedforward, write_program
from dmmlab.learn import evolution
from dmmlab.learn.evolution import MOST_PAIRS, Chunk, directions, estimate_gradient, evolve, losses_of_pairs
from dmmlab.learn.julia import initialize
from dmmlab.learn.objective import Objective
from dmmlab.learn.tasks import Task
from dmmlab.learn.training import Adam, train


def small_objective(**options):
    machine = initialize(feedforward(2, 1), scale=0.3, seed=1)
    return Objective(machine, Task(["ab.", "aa"], ticks_per_character=[3, 4]), **options)


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def test_every_pair_draws_its_own_direction_whoever_asks():
    whole = directions(50, seed=3, step=4, first=0, last=7)
    np.testing.assert_array_equal(directions(50, 3, 4, 5, 7), whole[5:])
    assert len(np.unique(np.vstack([whole, directions(50, 3, 5, 0, 7), directions(50, 4, 4, 0, 7)]))) == 21 * 50
    drawn = directions(1000, 0, 0, 0, 100)
    assert abs(drawn.mean()) < 0.02
    assert drawn.std() == pytest.approx(1.0, abs=0.02)


def test_without_ranks_the_estimate_is_the_gradient_of_a_smoothed_loss():
    objective = small_objective(l1=0.01)
    true = objective.value_and_grad(objective.weights)[1]
    weights = objective.weights
    mean = np.mean([estimate_gradient(objective, weights, 2000, 1e-5, False, seed) for seed in range(4)], axis=0)
    assert cosine(mean, true) == pytest.approx(np.sqrt(4000 / (4000 + len(true))), abs=0.005)
    assert np.linalg.norm(mean) == pytest.approx(np.linalg.norm(true), rel=0.1)


def test_the_correlation_with_the_true_gradient_is_that_of_theory():
    machine = initialize(feedforward(), scale=0.01)
    objective = Objective(machine, Task(["test string."], ticks=140), l1=0.001)
    true, links = objective.value_and_grad(objective.weights)[1], len(machine.links)
    for population, seeds in ((10, 150), (100, 10), (1000, 1)):
        estimates = [estimate_gradient(objective, objective.weights, population, 1e-4, False, s) for s in range(seeds)]
        pairs = population // 2
        assert np.mean([cosine(each, true) for each in estimates]) == pytest.approx(
            np.sqrt(pairs / (pairs + links)), rel=0.1
        )


def test_ranks_are_centred_and_equal_losses_pull_nowhere():
    flat = Objective(write_program("dot.dict-1 <- input.char\noutput.dict-1 <- 0 dot.dot"), Task(["ab"]))
    assert not estimate_gradient(flat, flat.weights, 20).any()  # a product of two zeros: every member has this loss
    objective = small_objective()
    merits = estimate_gradient(objective, objective.weights, 2, 0.1, True, seed=5)
    drawn = directions(len(objective.weights), 5, 0, 0, 1)[0]
    assert np.abs(merits) == pytest.approx(np.abs(drawn) / 2)  # one pair: ranks −½ and ½


def test_members_that_run_away_come_last_and_spoil_nothing():
    class Cliff(Objective):
        def loss(self, weights):
            losses = super().loss(weights)
            return np.where(np.arange(len(losses)) % 5 == 0, np.nan, losses)

    objective = small_objective()
    cliff = Cliff(objective.machine, objective.task)
    assert np.isfinite(estimate_gradient(cliff, cliff.weights, 40)).all()
    with refused("step 1", "not finite"):
        evolve(cliff, 2, 40, ranks=False, progress=False)


def test_evolve_lowers_the_loss_and_has_the_shape_of_train():
    objective, optimizer = small_objective(l1=0.001), Adam(0.02)
    result = evolve(objective, 60, population=60, sigma=0.02, optimizer=optimizer, progress=False)
    assert result.history.dtype == train(objective, 1, progress=False).history.dtype
    assert len(result.history) == result.optimizer.steps == 60
    assert result.history.data_loss[0] == objective.data_loss(objective.weights)
    assert result.history.data_loss[-1] < 0.5 * result.history.data_loss[0]
    assert optimizer.steps == 0


def test_numbers_of_numpy_are_numbers():
    objective = small_objective()
    plain = evolve(objective, 2, 20, 0.1, seed=3, progress=False).machine.vector()
    given = np.int64(2), np.int64(20), np.float64(0.1)
    assert evolve(objective, *given, seed=np.uint64(3), progress=False).machine.vector().tobytes() == plain.tobytes()
    far, further = (directions(3, 2**63 + i, 0, 0, 1) for i in (0, 1))
    assert (far != further).all()


def test_the_same_seed_gives_the_same_bytes_another_seed_others():
    objective = small_objective()
    one, two, other = (evolve(objective, 3, 20, seed=seed, progress=False).machine.vector() for seed in (1, 1, 2))
    assert one.tobytes() == two.tobytes() != other.tobytes()


def test_a_resumed_evolution_ends_with_the_same_bits(tmp_path):
    options = {"population": 20, "progress": False}
    whole = evolve(small_objective(), 7, **options)
    evolve(small_objective(), 4, checkpoint=tmp_path / "run.json", **options)
    resumed = evolve(small_objective(), 7, checkpoint=tmp_path / "run.json", **options)
    assert resumed.machine.vector().tobytes() == whole.machine.vector().tobytes()
    assert (resumed.history == whole.history).all()
    for change in ({"sigma": 0.03}, {"seed": 1}, {"population": 22}, {"ranks": False}):
        with refused("another training", start=tmp_path / "run.json"):
            evolve(small_objective(), 8, checkpoint=tmp_path / "run.json", **options | change)
    with refused("another training"):
        train(small_objective(), 8, checkpoint=tmp_path / "run.json", progress=False)


def test_going_on_with_the_optimizer_goes_on_with_the_noise():
    objective, options = small_objective(), {"population": 20, "progress": False}
    whole, begun = evolve(objective, 6, **options), evolve(objective, 4, **options)
    rest = Objective(begun.machine, objective.task)
    ended = evolve(rest, 2, optimizer=begun.optimizer, **options)
    assert ended.machine.vector().tobytes() == whole.machine.vector().tobytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"population": 7}, "even number"),
        ({"population": 0}, "population is 0"),
        ({"population": 1.5}, "population is 1.5"),
        ({"sigma": 0}, "sigma is 0"),
        ({"sigma": float("inf")}, "sigma is inf"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "below 2**64"),
        ({"sigma": True}, "sigma is True"),
        ({"learning_rate": 0}, "learning_rate is 0"),
    ],
)
def test_settings_are_checked(options, words):
    with refused(words):
        evolve(small_objective(), 1, progress=False, **options)


# ---- who evaluates ----


@pytest.mark.parametrize("threads", ["1", "2", "3"])
def test_threads_change_no_bit(monkeypatch, threads):
    objective, options = small_objective(l1=0.01), {"population": 4 * MOST_PAIRS, "seed": 9, "progress": False}
    monkeypatch.setenv("DMMLAB_THREADS", "1")
    alone = evolve(objective, 10, **options)
    monkeypatch.setenv("DMMLAB_THREADS", threads)
    monkeypatch.setattr("dmmlab.engine.threads.WORTH", 1)
    shared = evolve(objective, 10, **options)
    assert shared.machine.vector().tobytes() == alone.machine.vector().tobytes()
    assert (shared.history == alone.history).all()


def test_whoever_evaluates_changes_no_bit():
    objective, options, sizes = small_objective(l1=0.01), {"population": 4 * MOST_PAIRS, "progress": False}, []

    def evaluate(chunks):
        sizes.append(len(chunks))
        last_first = [losses_of_pairs(objective, pickle.loads(pickle.dumps(chunk))) for chunk in reversed(chunks)]
        return last_first[::-1]

    elsewhere = evolve(objective, 3, evaluate=evaluate, **options)
    here = evolve(objective, 3, **options)
    assert elsewhere.machine.vector().tobytes() == here.machine.vector().tobytes()
    assert sizes == [2, 2, 2]


def test_the_losses_of_pairs_are_those_on_both_sides():
    objective = small_objective()
    losses = losses_of_pairs(objective, Chunk(objective.weights, 0.1, seed=0, step=0, first=0, last=3))
    drawn = directions(len(objective.weights), 0, 0, 0, 3)
    assert losses[1] == pytest.approx([objective.loss(objective.weights - 0.1 * each) for each in drawn])


def test_equal_losses_share_their_rank():
    ranks = evolution._ranks(np.array([[3.0, 1.0, 3.0], [np.nan, 0.5, 3.0]]))
    assert ranks * 5 + 2.5 == pytest.approx(np.array([[3.0, 1.0, 3.0], [5.0, 0.0, 3.0]]))
