"""The same bits on every processor: fresh processes that compile for others, with other BLAS kernels, more threads.

They are compared with committed ones, so that everybody's run of the tests compares his computer with ours.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import pytest

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "expected-bits.json").read_text(encoding="utf-8"))
FEATURES = llvm.get_host_cpu_features()
BASE = {"cmov", "cx8", "fxsr", "mmx", "sse", "sse2", "64bit", "x87"}
HASWELL = BASE | {"sse3", "ssse3", "sse4.1", "sse4.2", "avx", "avx2", "fma", "bmi", "bmi2", "f16c", "lzcnt", "movbe", "popcnt", "cx16", "sahf", "xsave", "xsaveopt", "invpcid", "rdrnd", "fsgsbase", "pclmul", "aes"}  # fmt: skip # noqa: E501
SKYLAKE = HASWELL | {"avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl", "adx", "clflushopt", "clwb", "pku", "prfchw", "rdseed", "xsavec", "xsaves"}  # fmt: skip # noqa: E501


def processor(name, features):
    """The environment in which Numba compiles for another processor: without what that one does not have."""
    # Of a processor's name alone Numba takes the costs of instructions, not which there are.
    allowed = [f"{'+' if has and feature in features else '-'}{feature}" for feature, has in FEATURES.items()]
    return {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ",".join(allowed)}


RUNS = {
    "this processor, one thread": {"DMMLAB_THREADS": "1"},
    "this processor, two threads": {"DMMLAB_THREADS": "2", "OPENBLAS_CORETYPE": "Haswell", "PYTHONHASHSEED": "1"},
    "generic": processor("generic", BASE) | {"OPENBLAS_CORETYPE": "Nehalem", "PYTHONHASHSEED": "2"},
    "haswell": processor("haswell", HASWELL),
    "skylake-avx512": processor("skylake-avx512", SKYLAKE),
}
NEEDS = {"generic": "sse2", "haswell": "avx2", "skylake-avx512": "avx512f"}


@pytest.mark.parametrize("name", RUNS)
def test_bits_are_those_committed(name):
    if name in NEEDS and not FEATURES.get(NEEDS[name]):
        pytest.skip(f"this processor cannot run code for {name}")
    order = [sys.executable, str(HERE / "bits.py")]
    run = subprocess.run(order, capture_output=True, text=True, env=os.environ | RUNS[name])
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    for part, expected in EXPECTED.items():
        steps = enumerate(zip(found[part], expected, strict=True), 1)
        first = next((f"{part} differs from step {step} of {len(expected)} on" for step, (a, b) in steps if a != b), "")
        assert not first, f"{name}: {first}"
    assert found.keys() == EXPECTED.keys()
