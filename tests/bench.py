"""Speed and memory, all measured in one run: `make bench`. One thread and one core, unless a row says two.

Run-3 is the journal's machine: 1,486 links, "test string.", 140 ticks. JAX runs a jitted program for the same flat
computation, written out below for this one architecture. The recurrent machine has 20,306 links. What is compared takes
turns, so that a moment in which the machine is busy with something else hits all of it.
"""

import os
import statistics
import subprocess
import sys
import time

import autograd.numpy as anp
import numpy as np
from autograd import grad
from tqdm import tqdm

import dmmlab as dmm
from dmmlab.learn.evolution import directions

LAYERS, COPIES, TICKS = 5, 2, 140
LONG = (35, 140, 560, 2240, 10_000)  # ticks of the recurrent machine
BATCHES = (32, 200)
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()

# Seconds of the import, and of the first gradient after it; the cache of compiled loops is warm.
FIRST = """
import time
start = time.perf_counter()
import dmmlab as dmm
imported = time.perf_counter()
machine = dmm.initialize(dmm.feedforward(5, 2), scale=0.01, seed=123)
objective = dmm.Objective(machine, dmm.Task(["test string."], ticks=140), l1=0.001)
objective.value_and_grad(objective.weights)
print(imported - start, time.perf_counter() - imported)
"""

# Peak memory of a gradient above the start-up, in a process of its own (Linux: ru_maxrss would be the parent's). The
# first gradient of a process also loads what Numba needs to run compiled code.
PEAK = """
import sys
import dmmlab as dmm
def peak():
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) / 1024
def gradient(machine, ticks):
    objective = dmm.Objective(machine, dmm.Task(["test string."], ticks=ticks))
    objective.value_and_grad(objective.weights)
machine = dmm.initialize(dmm.recurrent(copies=5), scale=0.2)
if sys.argv[2] == "loaded":
    gradient(dmm.handcrafted_detector(), 20)
start = peak()
gradient(machine, int(sys.argv[1]))
print(peak() - start)
"""


# ---- how it is measured and printed ----


def use(cores, threads):
    """From here on this process has so many cores, and the engine so many threads."""
    if CORES:
        os.sched_setaffinity(0, sorted(CORES)[-cores:])
    os.environ["DMMLAB_THREADS"] = str(threads)


def timed(functions, rounds=60, seconds=10.0):
    """All milliseconds of each function; they take turns, until there are enough rounds or time is up."""
    times, start = {name: [] for name in functions}, time.perf_counter()
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            quick = not times[name] or times[name][-1] < 3
            if quick:  # the one before has taken the cache, which in a training is warm
                function()
            for _ in range(5 if quick else 1):
                times[name].append(once(function))
        if time.perf_counter() - start > seconds:
            break
    return times


def once(function):
    """Milliseconds of one call."""
    begin = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - begin)


def busy(when):
    """How much else the computer does: with more than its cores can do, all that follows is too slow."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "not known"
    return f"load {when}: {load}, on {os.cpu_count()} cores"


def child(script, *arguments):
    """The numbers a fresh process prints."""
    said = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    return [float(number) for number in said.stdout.split()]


def show(title, unit, times):
    """Print rows of measurements; their medians and leasts."""
    print(f"\n{f'{title}, {unit}':52}{'median':>12}{'least':>12}")
    rows = {name: (statistics.median(each), min(each)) for name, each in times.items()}
    for name, (median, least) in rows.items():
        print(f"  {name:50}{median:12.3f}{least:12.3f}", flush=True)
    return rows


def jax_program(objective):
    """The loss of run-3 as one JAX function of the weights: streams (keys, ticks) by layer, one link a tick."""
    import jax.numpy as jnp  # here, for the processes of `synthesize_all` read this file too

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


# ---- the sections ----


def fresh_rows():
    imports, firsts = zip(*(child(FIRST) for _ in range(6)), strict=True)
    times = {"import dmmlab": imports[1:], "first gradient, all that comes before it too": firsts[1:]}
    return show("A fresh process", "s", times)  # without the first, which may have compiled


def run3():
    """The journal's run-3 in both precisions."""
    machine = dmm.initialize(dmm.feedforward(LAYERS, COPIES), scale=0.01, seed=123)
    task = dmm.Task(["test string."], ticks=TICKS)
    return [dmm.Objective(machine, task, l1=0.001, dtype=dtype) for dtype in (np.float64, np.float32)]


def single_rows(objectives):
    """Values and gradients of run-3, with JAX's, whose first call of each is a row of its own."""
    import jax

    functions, compiling = {}, {}
    for objective in objectives:
        dtype, weights = np.dtype(objective.engine.dtype).name, objective.weights
        single = jax.jit(jax.value_and_grad(jax_program(objective)))
        theirs = jax.numpy.asarray(weights, dtype)
        functions |= {
            f"{dtype} value": lambda o=objective, w=weights: o.loss(w),
            f"{dtype} gradient": lambda o=objective, w=weights: o.value_and_grad(w),
            f"{dtype} gradient, JAX": lambda f=single, w=theirs: jax.block_until_ready(f(w)),
        }
        compiling[f"{dtype} gradient, JAX, first call"] = [once(functions[f"{dtype} gradient, JAX"])]
        check(single(theirs), objective.value_and_grad(weights))
    return show("run-3", "ms", timed(functions, 200) | compiling)


def batch_rows(objective):
    """Batches of gradients of run-3: one by one, in one call, and JAX's vmap."""
    import jax

    many_jax, rows = jax.jit(jax.vmap(jax.value_and_grad(jax_program(objective)))), {}
    for count in BATCHES:
        weights = objective.weights + 0.02 * directions(len(objective.weights), 0, 0, 0, count)
        theirs = jax.numpy.asarray(weights)
        check(many_jax(theirs), objective.value_and_grad(weights))
        functions = {
            f"{count} gradients, one by one": lambda w=weights: [objective.value_and_grad(each) for each in w],
            f"{count} gradients, one batch": lambda w=weights: objective.value_and_grad(w),
            f"{count} gradients, JAX": lambda w=theirs: jax.block_until_ready(many_jax(w)),
        }
        rows |= timed(functions, seconds=12.0)
    return show("run-3, float64", "ms", rows)


def check(theirs, ours):
    assert np.allclose(theirs[0], ours[0], rtol=1e-4), "the JAX program computes something else"
    assert np.allclose(theirs[1], ours[1], rtol=1e-2, atol=0.05), "the JAX program has another gradient"


def published_19():
    return dmm.Objective(dmm.load_machine("published-19"), dmm.Task(["test string."], ticks=TICKS))


def small_rows():
    objective = published_19()
    functions = {
        "19 links, value": lambda: objective.loss(objective.weights),
        "19 links, gradient": lambda: objective.value_and_grad(objective.weights),
    }
    return show("The published machine of 19 links", "ms", timed(functions, 200))


def recurrent_name(ticks):
    return f"20,306 links x {ticks:,} ticks, gradient"


def recurrent_rows():
    machine, functions = dmm.initialize(dmm.recurrent(copies=5), scale=0.2), {}
    for ticks in LONG:
        objective = dmm.Objective(machine, dmm.Task(["test string."], ticks=ticks))
        functions[recurrent_name(ticks)] = lambda o=objective: o.value_and_grad(o.weights)
    rows = show("Recurrent", "ms", timed(functions, seconds=20.0))
    both = zip(*(np.log(rows[recurrent_name(ticks)]) for ticks in LONG), strict=True)
    rows["exponent"] = tuple(np.polyfit(np.log(LONG), logarithms, 1)[0] for logarithms in both)
    memory = {
        f"20,306 links x {ticks:,} ticks, {when}": child(PEAK, str(ticks), when)
        for when in ("loaded", "first")
        for ticks in (140, 10_000)
    }
    return rows | show("Recurrent, peak above start-up", "MiB", memory)


def thread_rows(objective):
    """200 members on two threads and on one, by turns."""
    strings = dmm.Objective(objective.machine, dmm.find_task("duplicates"), l1=0.001)
    rows = {}
    for name, each in (("run-3", objective), ("run-3, four strings", strings), ("19 links", published_19())):
        members = each.weights + 0.02 * directions(len(each.weights), 0, 0, 0, 200)
        for what, function in (("values", each.loss), ("gradients", each.value_and_grad)):
            functions = {
                f"{name}, {what}, {said}": lambda n=count, f=function, w=members: on_threads(n, f, w)
                for count, said in ((1, "one thread"), (2, "two threads"))
            }
            rows |= timed(functions, 40, 5.0)
    return show("200 members, on two cores", "ms", rows)


def on_threads(count, function, weights):
    os.environ["DMMLAB_THREADS"] = str(count)
    function(weights)


def interpreter_rows(objective):
    machine, target = objective.machine, objective.task.targets[0]

    def loss(matrix):
        return anp.sum((dmm.answers(machine, "test string.", TICKS, weights=matrix) - target) ** 2)

    times = {"interpreter, value": [once(lambda: loss(machine.weights))]}
    times["interpreter, gradient"] = [once(lambda: grad(loss)(machine.weights))]
    return show("run-3, once", "ms", times)


def synthesis_rows(task):
    """Seconds of a synthesis from its seed to the test whether it is exact."""
    seeds = tqdm([0, *range(7)])  # the first twice, for the first time it may compile
    seconds = [1e-3 * once(lambda s=seed: dmm.synthesize(task, seed=s, progress=False)) for seed in seeds][1:]
    return show("The duplicate detector, seeds 0 to 6, one by one", "s", {"synthesis of one seed": seconds})


def many_syntheses_rows(task):
    runs, found = [{"task": task, "seed": seed} for seed in range(20)], []
    seconds = 1e-3 * once(lambda: found.extend(dmm.synthesize_all(runs, workers=2)))
    short = sum(bool(each.verification) and len(each.machine.links) == 8 for each in found)
    print(f"\nThe duplicate detector, 20 seeds: links {[len(each.machine.links) for each in found]}", flush=True)
    times = {"synthesis of 20 seeds, two cores, s": [seconds], "exact programs of 8 links": [short]}
    return show("All of them", "s and count", times)


# ---- aims ----


def aims():
    """What to hold against what: words, a row, perhaps another to divide it by, relation, aim."""
    listed = [
        ("import dmmlab, s", "import dmmlab", None, "<=", 0.6),
        ("first gradient after it, s", "first gradient, all that comes before it too", None, "<=", 0.5),
        ("run-3 gradient, ms", "float64 gradient", None, "<=", 0.4),
        ("19 links, gradient, ms", "19 links, gradient", None, "<=", 0.035),
        ("recurrent x 35 ticks, ms", recurrent_name(35), None, "<=", 1.2),
        ("recurrent x 140 ticks, ms", recurrent_name(140), None, "<=", 4.5),
        ("recurrent x 10,000 ticks, MiB", "20,306 links x 10,000 ticks, loaded", None, "<=", 75.0),
        ("the same, first gradient of a process", "20,306 links x 10,000 ticks, first", None, "<=", 75.0),
        ("time over ticks, exponent", "exponent", None, ">=", 0.95),
        ("time over ticks, exponent", "exponent", None, "<=", 1.05),
        ("interpreter / engine, gradient", "interpreter, gradient", "float64 gradient", ">=", 300.0),
        ("synthesis of one seed, s", "synthesis of one seed", None, "<=", 3.0),
        ("20 seeds, s", "synthesis of 20 seeds, two cores, s", None, "<=", 40.0),
        ("20 seeds, exact with 8 links", "exact programs of 8 links", None, ">=", 20.0),
    ]
    for dtype in ("float64", "float32"):
        listed += [
            (f"{dtype} gradient / value", f"{dtype} gradient", f"{dtype} value", "<=", 3.2),
            (f"{dtype} gradient, JAX / ours", f"{dtype} gradient, JAX", f"{dtype} gradient", ">=", 1.4),
        ]
    for count in BATCHES:
        one, batch = f"{count} gradients, one by one", f"{count} gradients, one batch"
        listed += [
            (f"batch of {count}, member / alone", batch, one, "<=", 1.02),
            (f"batch of {count}, JAX / ours", f"{count} gradients, JAX", batch, ">=", 1.4),
        ]
    return listed


def report(rows):
    """The aims with medians and leasts."""
    speedups = [(f"{name[:-12]}, two threads", name, f"{name[:-10]}two threads", ">=", 1.8)
                for name in rows if name.endswith(", one thread")]  # fmt: skip
    print(f"\n{'Aims':48}{'':12}{'by medians':>16}{'by leasts':>18}")
    for name, what, by, relation, aim in aims() + speedups:
        figures = [rows[what][i] / (rows[by][i] if by else 1.0) for i in (0, 1)]
        words = ["met" if (x <= aim if relation == "<=" else x >= aim) else "MISSED" for x in figures]
        said = "  ".join(f"{x:9.3f} {word:6}" for x, word in zip(figures, words, strict=True))
        print(f"  {name:44}aim {relation} {aim:<6g}{said}")


def main():
    begin = time.perf_counter()
    use(cores=1, threads=1)  # JAX has threads of its own: one core for everybody is fair
    import jax

    jax.config.update("jax_enable_x64", True)
    print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}, JAX {jax.__version__}, one thread unless said")
    print(busy("before"))
    double, single = run3()
    duplicates = dmm.find_task("duplicates")
    rows = fresh_rows() | single_rows((double, single)) | batch_rows(double) | small_rows() | recurrent_rows()
    rows |= interpreter_rows(double) | synthesis_rows(duplicates)
    use(cores=2, threads=1)
    rows |= thread_rows(double)
    os.environ["DMMLAB_THREADS"] = "1"
    rows |= many_syntheses_rows(duplicates)
    report(rows)
    print(f"\n{time.perf_counter() - begin:.0f} s in all; {busy('after')}")


if __name__ == "__main__":
    main()
