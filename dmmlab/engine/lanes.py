"""Two sums of products in explicit vectors of eight numbers, so that every processor adds in the order written here.

LLVM must not reorder a sum, and so leaves a plain loop over it slow. Here the order is part of the program: a
combination adds its terms in the order of the links; an inner product runs eight sums, lane by lane, and then adds
neighbours. Processors with shorter vectors do the same with more instructions.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
WIDE = 48  # numbers of a wide part of a combination: its sums fit the registers
INDEX, LANE = types.int64, ir.IntType(32)


def _operands(context, builder, signature, arguments):
    """Pointers to the data of the arrays among the arguments, and the other arguments, in their order."""
    arrays, others = [], []
    for kind, value in zip(signature.args, arguments, strict=True):
        if isinstance(kind, types.Array):
            arrays.append(context.make_array(kind)(context, builder, value).data)
        else:
            others.append(value)
    return arrays, others


def _place(builder, pointer, index):
    """A pointer to the vector that begins at an index of an array."""
    return builder.bitcast(builder.gep(pointer, [index]), ir.VectorType(pointer.type.pointee, LANES).as_pointer())


def _load(builder, pointer, index):
    return builder.load(_place(builder, pointer, index), align=4)


def _repeat(builder, number):
    """A vector of the same number in all lanes."""
    vector = builder.insert_element(ir.Constant(ir.VectorType(number.type, LANES), ir.Undefined), number, LANE(0))
    return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(LANE, LANES), None))


def _zeros(builder, pointer, count):
    """Sums that begin at zero."""
    zero = ir.Constant(ir.VectorType(pointer.type.pointee, LANES), None)
    return [cgutils.alloca_once_value(builder, zero) for _ in range(count)]


def _add_products(builder, sums, factor, pointer, starts):
    """Add to each sum a factor times the vector that begins at its start."""
    for each, start in zip(sums, starts, strict=True):
        product = builder.fmul(factor, _load(builder, pointer, start))
        builder.store(builder.fadd(builder.load(each), product), each)


def _combination(vectors):
    """An intrinsic: values[to + i] = Σ weights[k] · values[rows[k] · stride + shift + i], i below vectors · LANES."""

    def generate(context, builder, signature, arguments):
        (values, rows, weights), (to, shift, stride, first, last) = _operands(context, builder, signature, arguments)
        steps = [to.type(i * LANES) for i in range(vectors)]
        sums = _zeros(builder, values, vectors)
        with cgutils.for_range_slice(builder, first, last, first.type(1), inc=True) as (k, _):
            start = builder.add(builder.mul(builder.load(builder.gep(rows, [k])), stride), shift)
            weight = _repeat(builder, builder.load(builder.gep(weights, [k])))
            _add_products(builder, sums, weight, values, [builder.add(start, step) for step in steps])
        for each, step in zip(sums, steps, strict=True):
            builder.store(builder.load(each), _place(builder, values, builder.add(to, step)), align=4)
        return context.get_dummy_value()

    @intrinsic
    def combine(typing, values, rows, weights, to, shift, stride, first, last):
        return types.void(values, rows, weights, *[INDEX] * 5), generate

    return combine


combine_wide, combine_narrow = _combination(WIDE // LANES), _combination(1)


@intrinsic
def four_inner_products(typing, x, y, at, a, b, c, d, count):
    """Σ x[at + i] · y[a + i], and the same for b, c, d, over the first `count` numbers, at least LANES of them.

    Where `count` is no multiple of LANES the last vectors overlap those before, with zeros for what was counted.
    """

    def generate(context, builder, signature, arguments):
        (x, y), (at, *starts, count) = _operands(context, builder, signature, arguments)
        lanes, zero = count.type(LANES), ir.Constant(ir.VectorType(x.type.pointee, LANES), None)
        rest, last = builder.srem(count, lanes), builder.sub(count, lanes)
        sums = _zeros(builder, x, len(starts))
        with cgutils.for_range_slice(builder, count.type(0), builder.sub(count, rest), lanes, inc=True) as (i, _):
            factor = _load(builder, x, builder.add(at, i))
            _add_products(builder, sums, factor, y, [builder.add(start, i) for start in starts])
        with builder.if_then(builder.icmp_signed("!=", rest, count.type(0))):
            numbers = ir.Constant(ir.VectorType(count.type, LANES), list(range(LANES)))
            new = builder.icmp_signed(">=", numbers, _repeat(builder, builder.sub(lanes, rest)))
            factor = builder.select(new, _load(builder, x, builder.add(at, last)), zero)
            _add_products(builder, sums, factor, y, [builder.add(start, last) for start in starts])
        results = [_add_lanes(builder, builder.load(each)) for each in sums]
        return context.make_tuple(builder, signature.return_type, results)

    return types.UniTuple(x.dtype, 4)(x, y, *[INDEX] * 6), generate


def _add_lanes(builder, vector):
    """The sum of a vector: neighbours first, then pairs of neighbours."""
    terms = [builder.extract_element(vector, LANE(lane)) for lane in range(LANES)]
    while len(terms) > 1:
        terms = [builder.fadd(x, y) for x, y in zip(terms[::2], terms[1::2], strict=True)]
    return terms[0]
