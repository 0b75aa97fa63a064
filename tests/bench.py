"""Speed and memory, all rows measured in the same run on one thread: `make bench`.

The machine is the journal's run-3: 1,486 links, "test string.", 140 ticks. The JAX row is a jitted program for the same
flat computation, written out below for this one architecture. The recurrent machine has 20,306 links.
"""

import os
import resource
import statistics
import subprocess
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
if CORES and __name__ == "__main__":  # JAX has threads of its own: one core for everybody is fair
    os.sched_setaffinity(0, {max(CORES)})

import autograd.numpy as anp
import jax
import jax.numpy as jnp
import numpy as np
from autograd import grad

import dmmlab as dmm

LAYERS, COPIES, TICKS = 5, 2, 140
LONG = (35, 140, 560, 2240, 10_000)  # ticks of the recurrent machine

# Peak memory of a gradient above the start-up, in a process of its own (Linux: ru_maxrss would be the parent's).
PEAK = """
import sys
import dmmlab as dmm
def peak():
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) / 1024
machine = dmm.initialize(dmm.recurrent(copies=5), scale=0.2)
start = peak()
objective = dmm.Objective(machine, dmm.Task(["test string."], ticks=int(sys.argv[1])))
objective.value_and_grad(objective.weights)
print(peak() - start)
"""


def timed(functions, rounds=60, seconds=40.0):
    """Median and least milliseconds of a call of each function.

    The functions take turns, so that a moment in which the machine is busy with something else hits all of them.
    """
    times, start = {name: [] for name in functions}, time.perf_counter()
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            quick = not times[name] or times[name][-1] < 3
            if quick:  # the one before has taken the cache, which in a training is warm
                function()
            for _ in range(5 if quick else 1):
                begin = time.perf_counter()
                function()
                times[name].append(1e3 * (time.perf_counter() - begin))
        if time.perf_counter() - start > seconds:
            break
    return {name: (statistics.median(each), min(each)) for name, each in times.items()}


def once(function):
    begin = time.perf_counter()
    function()
    return (1e3 * (time.perf_counter() - begin),) * 2


def jax_program(objective):
    """The loss of run-3 as one JAX function of the weights: streams (keys, ticks) by layer, one link a tick."""
    places = {str(link): i for i, link in enumerate(objective.machine.links)}
    keys = sorted(set(objective.task.strings[0]))
    chars, numbers = np.zeros((2, len(keys), TICKS)), np.zeros((1, TICKS))
    for tick in range(0, TICKS, 10):
        text = objective.task.strings[0]
        chars[0, keys.index(text[min(tick // 10, len(text) - 1)]), tick] = 1.0
    chars[1, keys.index(".")] = 1.0
    numbers[0] = 1.0
    streams, scalars = ["input.char", "eos.char"], ["const_1.const_1"]
    layers = []
    for layer in range(1, LAYERS + 1):

        def rows(field, layer=layer):
            return [f"{field.split('.')[0]}-{layer}-{copy}.{field.split('.')[1]}" for copy in range(1, COPIES + 1)]

        wide = [row for field in ("accum.dict-2", "norm.dict", "dot.dict-1", "dot.dict-2") for row in rows(field)]
        narrow = [row for field in ("compare.dict-1", "compare.dict-2") for row in rows(field)]
        accums = rows("accum.dict")
        layers.append((
            np.array([[places[f"{row} <- {source}"] for source in streams] for row in wide]),
            np.array([[places[f"{row} <- {source}"] for source in scalars] for row in wide + narrow]),
            np.array([[places[f"{row} <- {source}"] for source in streams[2:]] for row in wide + narrow], int)
            .reshape(len(wide + narrow), -1),
        ))  # fmt: skip
        streams += accums
        scalars += [*rows("norm.norm"), *rows("dot.dot"), *rows("compare.true"), *rows("compare.false")]
    sides = ("output.dict-1", "output.dict-2")
    last = np.array([[places[f"{side} <- {source}"] for source in scalars] for side in sides])
    last_accums = np.array([[places[f"{side} <- {source}"] for source in streams[2:]] for side in sides])
    target = objective.task.targets[0].T

    def shift(x):
        return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(1, 0)])[..., :-1]

    def loss(w):
        c, n, own = jnp.asarray(chars, w.dtype), jnp.asarray(numbers, w.dtype), jnp.zeros((0, TICKS), w.dtype)
        for to_chars, to_numbers, to_own in layers:
            y = jnp.einsum("rs,skt->rkt", w[to_chars], shift(c))
            z = w[to_numbers] @ shift(n) + (w[to_own] @ shift(own) if len(own) else 0.0)
            accum, accum_number = jnp.cumsum(y[0:2], -1), jnp.cumsum(z[0:2], -1)
            norm = jnp.maximum(jnp.abs(y[2:4]).max(1), jnp.abs(z[2:4]))
            dot = jnp.clip((y[4:6] * y[6:8]).sum(1) + z[4:6] * z[6:8], -4.0, 4.0)
            difference = z[8:10] - z[10:12]
            c, own = jnp.concatenate([c, accum]), jnp.concatenate([own, accum_number])
            n = jnp.concatenate([n, norm, dot, jnp.maximum(difference, 0), jnp.maximum(-difference, 0)])
        answers = w[last] @ shift(n) + w[last_accums] @ shift(own)
        return jnp.sum((answers - jnp.asarray(target, w.dtype)) ** 2) + objective.l1 * jnp.sum(jnp.abs(w))

    return loss


def flat_rows(objective, single):
    weights, many = objective.weights, np.repeat(objective.weights[None], 32, axis=0)
    return {
        "flat float64, value": lambda: objective.loss(weights),
        "flat float64, gradient": lambda: objective.value_and_grad(weights),
        "flat float32, value": lambda: single.loss(weights),
        "flat float32, gradient": lambda: single.value_and_grad(weights),
        "32 gradients, one by one": lambda: [objective.value_and_grad(w) for w in many],
        "32 gradients, one batch": lambda: objective.value_and_grad(many),
    }


def interpreter_rows(objective):
    machine, target = objective.machine, objective.task.targets[0]

    def loss(matrix):
        return anp.sum((dmm.answers(machine, "test string.", TICKS, weights=matrix) - target) ** 2)

    value, gradient = (once(lambda f=f: f(machine.weights)) for f in (loss, grad(loss)))
    return {"interpreter, value": value, "interpreter, gradient": gradient}


def jax_rows(objective):
    compiling, running = {}, {}
    for dtype in ("float64", "float32"):
        weights = jnp.asarray(objective.weights, dtype)
        function = jax.jit(jax.value_and_grad(jax_program(objective)))
        running[f"JAX {dtype}, gradient"] = lambda f=function, w=weights: jax.block_until_ready(f(w))
        compiling[f"JAX {dtype}, first call (compiles)"] = once(running[f"JAX {dtype}, gradient"])
        theirs, ours = function(weights), objective.value_and_grad(objective.weights)
        assert np.allclose(theirs[0], ours[0], rtol=1e-4), "the JAX program computes something else"
        assert np.allclose(theirs[1], ours[1], rtol=1e-2, atol=0.05), "the JAX program has another gradient"
    return compiling, running


def recurrent_rows():
    machine, rows = dmm.initialize(dmm.recurrent(copies=5), scale=0.2), {}
    for ticks in LONG:
        objective = dmm.Objective(machine, dmm.Task(["test string."], ticks=ticks))
        rows[recurrent_name(ticks)] = lambda o=objective: o.value_and_grad(o.weights)
    return rows


def recurrent_name(ticks):
    return f"recurrent, 20,306 links x {ticks:,} ticks, gradient"


def population_rows(objective):
    many = objective.weights + 0.02 * dmm.evolution.directions(len(objective.weights), 0, 0, 0, 200)
    return {
        "200 values, one by one": lambda: [objective.loss(w) for w in many],
        "200 values, one batch": lambda: objective.loss(many),
    }


def shared_rows(name, objective, population):
    """A population evaluated here, by two processes and by two of Dask; not by turns: its scheduler lives here too."""
    pairs = population // 2
    size = min(dmm.evolution.MOST_PAIRS, pairs // 2)
    shares = [(objective.weights, 0.02, 0, 0, i, min(i + size, pairs)) for i in range(0, pairs, size)]
    rows = {}
    for who, workers, scheduler in (("one worker", 1, None), ("two workers", 2, None), ("two of Dask", 2, "local")):
        with dmm.workers.evaluator(dmm.evolution.losses_of_pairs, objective, workers, scheduler) as evaluate:
            evaluate(shares)
            rows |= timed({f"{name}, {who}": lambda e=evaluate: e(shares)}, 20, 8.0)
    return rows


def memory_rows():
    rows = {}
    for ticks in (140, 10_000):
        said = subprocess.run([sys.executable, "-c", PEAK, str(ticks)], capture_output=True, text=True, check=True)
        rows[f"recurrent x {ticks:,} ticks, MiB above start-up"] = (float(said.stdout),) * 2
    return rows


def slope(rows):
    """The exponent with which the recurrent machine's time grows with its ticks: the slope of its logarithms."""
    return [np.polyfit(np.log(LONG), np.log([rows[recurrent_name(t)][i] for t in LONG]), 1)[0] for i in (0, 1)]


def report(rows, memory):
    print(f"{'':52}{'median ms':>12}{'least ms':>12}")
    for name, (median, least) in rows.items():
        print(f"{name:52}{median:12.3f}{least:12.3f}")
    for name, (peak, _) in memory.items():
        print(f"{name:52}{peak:12.0f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak memory of this whole benchmark, MiB':52}{peak:12.0f}\n")
    rows = rows | memory | {"slope": slope(rows)}
    aims = [
        ("gradient, ms", "flat float64, gradient", None, "<=", 1.0),
        ("gradient / value", "flat float64, gradient", "flat float64, value", "<=", 3.0),
        ("gradient / JAX's", "flat float64, gradient", "JAX float64, gradient", "<=", 1.0),
        ("interpreter / flat, gradient", "interpreter, gradient", "flat float64, gradient", ">=", 300.0),
        ("batch of 32 / 32 singles", "32 gradients, one batch", "32 gradients, one by one", "<=", 0.7),
        ("recurrent x 35 ticks, ms", recurrent_name(35), None, "<=", 40.0),
        ("recurrent x 140 ticks, ms", recurrent_name(140), None, "<=", 200.0),
        ("the same, MiB", "recurrent x 140 ticks, MiB above start-up", None, "<=", 200.0),
        ("time over ticks, exponent", "slope", None, "<=", 1.05),
        ("time over ticks, exponent", "slope", None, ">=", 0.95),
        ("member in a batch / alone", "200 values, one batch", "200 values, one by one", "<=", 0.5),
    ]
    aims += [
        (f"{name[:-12]}, speed-up", name, f"{name[:-10]}two workers", ">=", 1.6)
        for name in rows if name.endswith(", one worker")
    ]  # fmt: skip
    for name, what, by, relation, aim in aims:
        figures = [rows[what][i] / (rows[by][i] if by else 1.0) for i in (0, 1)]
        said = ["met" if (x <= aim if relation == "<=" else x >= aim) else "MISSED" for x in figures]
        by_medians, by_least = (f"{x:9.2f} {word:6}" for x, word in zip(figures, said, strict=True))
        print(f"{name:38}aim {relation} {aim:<5g} medians {by_medians} least {by_least}")


def main():
    jax.config.update("jax_enable_x64", True)
    memory = memory_rows()
    machine = dmm.initialize(dmm.feedforward(LAYERS, COPIES), scale=0.01, seed=123)
    task = dmm.Task(["test string."], ticks=TICKS)
    objective, single = (dmm.Objective(machine, task, l1=0.001, dtype=dtype) for dtype in (np.float64, np.float32))
    compiling, running = jax_rows(objective)
    rows = timed(flat_rows(objective, single) | population_rows(objective) | running | recurrent_rows())
    rows |= compiling | interpreter_rows(objective)
    if len(CORES) > 1:
        os.sched_setaffinity(0, CORES)
    strings = dmm.Objective(machine, dmm.find_task("duplicates"), l1=0.001)
    rows |= shared_rows("200 members", objective, 200) | shared_rows("1,000 members", objective, 1000)
    rows |= shared_rows("200 members, four strings", strings, 200)
    rows |= shared_rows("1,000 members, four strings", strings, 1000)
    print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}, JAX {jax.__version__}, one thread\n")
    report(rows, memory)


if __name__ == "__main__":
    main()
