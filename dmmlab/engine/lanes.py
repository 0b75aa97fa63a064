"""Two inner loops in explicit vectors of eight numbers, so that every processor adds in the order written here.

LLVM must not reorder a sum, and so leaves a plain loop over it slow. Here the order is part of the program: a
combination adds its terms in the order of the links; an inner product runs eight sums, lane by lane, and then adds
neighbours. Processors with shorter vectors do the same with more instructions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
WIDE = 48  # numbers of a wide block of a combination: its sums fit the registers
INDEX = types.int64


def _vector(element: ir.Type, align: int) -> tuple[ir.Type, Callable, Callable]:
    """The vector type, and functions that load one from an array's place and store one there."""
    vector = ir.VectorType(element, LANES)

    def place(builder: Any, pointer: Any, index: Any) -> Any:
        return builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer())

    def load(builder: Any, pointer: Any, index: Any) -> Any:
        return builder.load(place(builder, pointer, index), align=align)

    def store(builder: Any, value: Any, pointer: Any, index: Any) -> None:
        builder.store(value, place(builder, pointer, index), align=align)

    return vector, load, store


def _parts(context: Any, builder: Any, signature: Any, arguments: Any) -> tuple:
    """Pointers to the data of the arrays among the arguments, and the other arguments, in their order."""
    arrays, others = [], []
    for kind, value in zip(signature.args, arguments, strict=True):
        if isinstance(kind, types.Array):
            arrays.append(context.make_array(kind)(context, builder, value).data)
        else:
            others.append(value)
    dtype = signature.args[0].dtype
    return arrays, others, _vector(context.get_value_type(dtype), dtype.bitwidth // 8)


def _combination(vectors: int) -> Callable:
    """An intrinsic: out[at + i] = Σ weights[k] · values[rows[k] · stride + shift + i] for i below vectors · LANES."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays, others, (vector, load, store) = _parts(context, builder, signature, arguments)
        values, rows, weights, out = arrays
        at, shift, stride, first, last = others
        sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * LANES)) for _ in range(vectors)]
        for each in sums:
            builder.store(ir.Constant(vector, [0.0] * LANES), each)
        undefined, same = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
        with cgutils.for_range_slice(builder, first, last, first.type(1), inc=True) as (k, _):
            start = builder.add(builder.mul(builder.load(builder.gep(rows, [k])), stride), shift)
            weight = builder.load(builder.gep(weights, [k]))
            spread = builder.insert_element(undefined, weight, ir.IntType(32)(0))
            spread = builder.shuffle_vector(spread, undefined, same)
            for i, each in enumerate(sums):
                value = load(builder, values, builder.add(start, start.type(i * LANES)))
                builder.store(builder.fadd(builder.load(each), builder.fmul(spread, value)), each)
        for i, each in enumerate(sums):
            store(builder, builder.load(each), out, builder.add(at, at.type(i * LANES)))
        return context.get_dummy_value()

    @intrinsic
    def combine(typing: Any, values: Any, rows: Any, weights: Any, out: Any, at: Any, shift: Any, stride: Any, first: Any, last: Any) -> Any:  # fmt: skip # noqa: E501
        return types.void(values, rows, weights, out, *[INDEX] * 5), generate

    return combine


combine_wide, combine_narrow = _combination(WIDE // LANES), _combination(1)


@intrinsic
def four_inner_products(typing: Any, g: Any, a: Any, b: Any, c: Any, d: Any, count: Any) -> Any:
    """Σ g · a, Σ g · b, Σ g · c, Σ g · d over the first `count` numbers, at least LANES of them.

    Where `count` is no multiple of LANES the last vectors overlap those before, with zeros for what was counted.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (factor, *others), (count,), (vector, load, _) = _parts(context, builder, signature, arguments)
        lanes, zero = count.type(LANES), ir.Constant(vector, [0.0] * LANES)
        rest = builder.srem(count, lanes)
        whole, last = builder.sub(count, rest), builder.sub(count, lanes)
        sums = [cgutils.alloca_once_value(builder, zero) for _ in others]
        for each in sums:
            builder.store(zero, each)

        def add(place: Any, left: Any) -> None:
            for each, other in zip(sums, others, strict=True):
                product = builder.fmul(left, load(builder, other, place))
                builder.store(builder.fadd(builder.load(each), product), each)

        with cgutils.for_range_slice(builder, count.type(0), whole, lanes, inc=True) as (i, _):
            add(i, load(builder, factor, i))
        with builder.if_then(builder.icmp_signed("!=", rest, count.type(0))):
            numbers = ir.VectorType(count.type, LANES)
            bound = builder.insert_element(
                ir.Constant(numbers, ir.Undefined), builder.sub(lanes, rest), ir.IntType(32)(0)
            )
            bound = builder.shuffle_vector(bound, bound, ir.Constant(ir.VectorType(ir.IntType(32), LANES), None))
            new = builder.icmp_signed(">=", ir.Constant(numbers, list(range(LANES))), bound)
            add(last, builder.select(new, load(builder, factor, last), zero))
        results = []
        for each in sums:
            vector_sum = builder.load(each)
            terms = [builder.extract_element(vector_sum, ir.IntType(32)(lane)) for lane in range(LANES)]
            while len(terms) > 1:
                terms = [builder.fadd(x, y) for x, y in zip(terms[::2], terms[1::2], strict=True)]
            results += terms
        return context.make_tuple(builder, signature.return_type, results)

    return types.UniTuple(g.dtype, 4)(g, a, b, c, d, INDEX), generate
