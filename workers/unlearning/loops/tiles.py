"""The innermost loops of the gradient pass, in the compiler's own vectors.

A *tile* is 8 rows by 32 columns of one sample's gradient of a matrix, Σ over positions of
output ⊗ input. It fits the registers of a processor with 512-bit vectors: every position costs two
vectors and eight numbers read for sixteen vectors multiplied and added, and the finished tile is
squared and added to the total without ever having been written. Compilers do not find this by
themselves; hence the vectors. Where registers are fewer or narrower the result is the same, slower.

Positions are added up in parts of at most 128, each from 0 on, and the parts then added: a long sum
of float32 one by one would round too much. Each thread has tiles of its own and goes through some
samples at a time, which stay in its cache; so the order of every addition is fixed, and does not
depend on the number of threads.

Instructions and the loops around them are in one file because compiled code is kept on disk for as
long as the file of the function that was called stays the same, whatever that calls elsewhere.

Tiles work on addresses: `products.py` sees to it that all they reach exists. Everything but arrays
is an integer here: addresses, distances in bytes, counts and flags.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from workers.unlearning.loops.compiled import Array, compiled, compiled_parallel

# Rows of a tile; numbers of a vector, float32; vectors, and so columns, of a whole tile.
ROWS = 8
LANES = 16
VECTORS = 2
COLUMNS = VECTORS * LANES
# Rows of the total that one thread works on for a sample, a multiple of a tile's.
MOST_ROWS = 128
# Positions added up in one go; their outputs and inputs stay in the first cache.
MOST_POSITIONS = 128
# Bytes of outputs and inputs that a thread stays with; they stay in the second cache.
MOST_BYTES = 1 << 20

INTEGER = ir.IntType(64)
INDEX = ir.IntType(32)
FLOAT = ir.FloatType()
DOUBLE = ir.DoubleType()
FLOAT_BYTES = 4
DOUBLE_BYTES = 8


class _Tile:
    """Writes the instructions for a tile of so many vectors in each row."""

    def __init__(self, builder: Any, vectors: int) -> None:
        self._builder = builder
        self._vector = ir.VectorType(FLOAT, LANES)
        self._vectors = vectors
        self._registers = {
            (row, vector): cgutils.alloca_once(builder, self._vector)
            for row in range(ROWS)
            for vector in range(vectors)
        }
        for register in self._registers.values():
            builder.store(ir.Constant(self._vector, [0.0] * LANES), register)

    def multiply(self, outputs: Any, inputs: Any) -> None:
        """Add one position: its outputs' gradients from `outputs` on, its inputs from `inputs`."""
        columns = [
            self._load(self._place(inputs, FLOAT_BYTES * LANES * vector, self._vector))
            for vector in range(self._vectors)
        ]
        for row in range(ROWS):
            repeated = self._repeated(self._load(self._place(outputs, FLOAT_BYTES * row, FLOAT)))
            for vector, column in enumerate(columns):
                register = self._registers[row, vector]
                total = self._fused(repeated, column, self._builder.load(register))
                self._builder.store(total, register)

    def add_partial(self, partial: Any) -> None:
        """Add what earlier parts of the positions have come to."""
        for (row, vector), register in self._registers.items():
            place = self._place(partial, self._offset(row, vector), self._vector)
            total = self._builder.fadd(self._load(place), self._builder.load(register))
            self._builder.store(total, register)

    def write_partial(self, partial: Any) -> None:
        """Leave the sum for the next part."""
        for (row, vector), register in self._registers.items():
            place = self._place(partial, self._offset(row, vector), self._vector)
            self._builder.store(self._builder.load(register), place, align=FLOAT_BYTES)

    def add_power(self, total: Any, total_row: Any, *, wide: bool, square: bool) -> None:
        """Add the power to the total, in the total's own precision."""
        builder = self._builder
        element, size = (DOUBLE, DOUBLE_BYTES) if wide else (FLOAT, FLOAT_BYTES)
        vectors = ir.VectorType(element, LANES)
        for (row, vector), register in self._registers.items():
            start = builder.add(total, builder.mul(total_row, INTEGER(row)))
            place = self._place(start, size * LANES * vector, vectors)
            value = builder.load(register)
            value = builder.fpext(value, vectors) if wide else value
            before = self._load(place)
            if square:
                after = self._fused(value, value, before)
            else:
                after = builder.fadd(before, self._call("fabs", value))
            builder.store(after, place, align=FLOAT_BYTES)

    def _repeated(self, number: Any) -> Any:
        nothing = ir.Constant(self._vector, ir.Undefined)
        alone = self._builder.insert_element(nothing, number, INDEX(0))
        everywhere = ir.Constant(ir.VectorType(INDEX, LANES), [0] * LANES)
        return self._builder.shuffle_vector(alone, nothing, everywhere)

    def _fused(self, left: Any, right: Any, addend: Any) -> Any:
        return self._call("fma", left, right, addend)

    def _call(self, name: str, *operands: Any) -> Any:
        kind = operands[0].type
        bits = 8 * (DOUBLE_BYTES if kind.element == DOUBLE else FLOAT_BYTES)
        function = cgutils.get_or_insert_function(
            self._builder.module,
            ir.FunctionType(kind, [kind] * len(operands)),
            f"llvm.{name}.v{LANES}f{bits}",
        )
        return self._builder.call(function, operands)

    def _place(self, address: Any, offset: int, kind: Any) -> Any:
        return self._builder.inttoptr(
            self._builder.add(address, INTEGER(offset)), kind.as_pointer()
        )

    def _load(self, place: Any) -> Any:
        # Nothing is aligned to more than a number.
        return self._builder.load(place, align=FLOAT_BYTES)

    @staticmethod
    def _offset(row: int, vector: int) -> int:
        return FLOAT_BYTES * (row * COLUMNS + vector * LANES)


def _write_tile(builder: Any, values: Any, *, vectors: int, wide: bool) -> None:
    (
        _,
        total,
        total_row,
        partial,
        first,
        last,
        square,
        outputs,
        output_y,
        output_x,
        inputs,
        input_y,
        input_x,
        height,
        width,
    ) = values
    tile = _Tile(builder, vectors)
    with cgutils.for_range(builder, height) as y:
        outputs_of_y = builder.add(outputs, builder.mul(y.index, output_y))
        inputs_of_y = builder.add(inputs, builder.mul(y.index, input_y))
        with cgutils.for_range(builder, width) as x:
            tile.multiply(
                builder.add(outputs_of_y, builder.mul(x.index, output_x)),
                builder.add(inputs_of_y, builder.mul(x.index, input_x)),
            )

    def is_set(flag: Any) -> Any:
        return builder.icmp_signed("!=", flag, INTEGER(0))

    with builder.if_then(builder.not_(is_set(first))):
        tile.add_partial(partial)
    with builder.if_else(is_set(last)) as (complete, incomplete):
        with complete, builder.if_else(is_set(square)) as (squares, absolutes):
            with squares:
                tile.add_power(total, total_row, wide=wide, square=True)
            with absolutes:
                tile.add_power(total, total_row, wide=wide, square=False)
        with incomplete:
            tile.write_partial(partial)


def _tile_function(vectors: int) -> Any:
    """What compiled code calls for a tile of so many vectors' columns.

    It adds up height × width positions: from `outputs` on 8 numbers each, `output_y` and `output_x`
    apart, from `inputs` on the columns. If these are not the `first` part of a sample's positions,
    `partial`, float32 [8, 32], is added. After the `last` part the tile's squares (if `square`,
    else its absolute values) are added to `total`, whose rows are `total_row` apart and whose
    numbers are as those of the array `like`; after other parts `partial` is written.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def tile(
        _typing: Any,
        like: Any,
        total: Any,
        total_row: Any,
        partial: Any,
        first: Any,
        last: Any,
        square: Any,
        outputs: Any,
        output_y: Any,
        output_x: Any,
        inputs: Any,
        input_y: Any,
        input_x: Any,
        height: Any,
        width: Any,
    ) -> Any:
        wide = like.dtype == types.float64

        def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            _write_tile(builder, values, vectors=vectors, wide=wide)
            return context.get_dummy_value()

        return types.void(like, *([types.intp] * 14)), generate

    return tile


_add_tile = _tile_function(VECTORS)
_add_narrow_tile = _tile_function(1)


@intrinsic  # type: ignore[untyped-decorator]
def _transpose_square(_typing: Any, into: Any, into_row: Any, out_of: Any, out_of_row: Any) -> Any:
    """Transpose a square of 16 rows of 16 float32."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _write_transposition(builder, *values)
        return context.get_dummy_value()

    return types.void(*([types.intp] * 4)), generate


@intrinsic  # type: ignore[untyped-decorator]
def _address(_typing: Any, array: Any) -> Any:
    """Where an array begins."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        held = context.make_array(signature.args[0])(context, builder, values[0])
        return builder.ptrtoint(held.data, INTEGER)

    return types.intp(array), generate


def _write_transposition(
    builder: Any, into: Any, into_row: Any, out_of: Any, out_of_row: Any
) -> None:
    vector = ir.VectorType(FLOAT, LANES)

    def place(start: Any, row_bytes: Any, row: int) -> Any:
        address = builder.add(start, builder.mul(row_bytes, INTEGER(row)))
        return builder.inttoptr(address, vector.as_pointer())

    rows = [builder.load(place(out_of, out_of_row, row), align=FLOAT_BYTES) for row in range(LANES)]
    # Bit by bit of the numbers of row and lane: where they differ in it, two rows swap lanes.
    for bit in (1, 2, 4, 8):
        for row in range(LANES):
            if not row & bit:
                upper, lower = rows[row], rows[row | bit]
                lanes = range(LANES)
                from_upper = [lane if not lane & bit else LANES + (lane ^ bit) for lane in lanes]
                from_lower = [lane ^ bit if not lane & bit else LANES + lane for lane in lanes]
                rows[row] = _shuffled(builder, upper, lower, from_upper)
                rows[row | bit] = _shuffled(builder, upper, lower, from_lower)
    for row, value in enumerate(rows):
        builder.store(value, place(into, into_row, row), align=FLOAT_BYTES)


def _shuffled(builder: Any, left: Any, right: Any, lanes: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(INDEX, LANES), lanes)
    return builder.shuffle_vector(left, right, mask)


@compiled_parallel
def transpose(array: Array, transposed: Array) -> None:
    """From [b, numbers, positions] to [b, positions, numbers]; each row's numbers side by side."""
    size, numbers, positions = array.shape
    of_squares = numbers // LANES * LANES, positions // LANES * LANES
    for sample in numba.prange(size):
        for number in range(0, of_squares[0], LANES):
            for position in range(0, of_squares[1], LANES):
                _transpose_square(
                    _address(transposed[sample, position:, number:]),
                    transposed.strides[1],
                    _address(array[sample, number:, position:]),
                    array.strides[1],
                )
        for number in range(numbers):
            for position in range(of_squares[1] if number < of_squares[0] else 0, positions):
                transposed[sample, position, number] = array[sample, number, position]


@compiled_parallel
def add_products(
    threads: int,
    total: Array,
    outputs: Array,
    inputs: Array,
    square: int,
    stride_y: int,
    stride_x: int,
    padding_y: int,
    padding_x: int,
    dilation_y: int,
    dilation_x: int,
) -> None:
    """Add the samples' powers to `total` [rows, taps y, taps x, columns], float32 or float64.

    `outputs` [b, y, x, rows], `inputs` [b, y, x, columns], float32. Rows are a multiple of a
    tile's, columns of a vector's. Numbers of a position, and columns of `total`, lie side by side.
    """
    rows, taps_y, taps_x, columns = total.shape
    size, height, width, _ = outputs.shape
    blocks_of_columns = (columns + COLUMNS - 1) // COLUMNS
    blocks_of_rows = (rows + MOST_ROWS - 1) // MOST_ROWS
    blocks = taps_y * taps_x * blocks_of_columns * blocks_of_rows
    at_once = max(1, MOST_BYTES // max(1, outputs.strides[0] + inputs.strides[0]))
    for thread in numba.prange(threads):
        partial = np.empty((MOST_ROWS, COLUMNS), np.float32)
        for start in range(0, size, at_once):
            stop = min(size, start + at_once)
            for block in range(blocks * thread // threads, blocks * (thread + 1) // threads):
                tap, place = divmod(block, blocks_of_columns * blocks_of_rows)
                of_columns, of_rows = divmod(place, blocks_of_rows)
                tap_y, tap_x = divmod(tap, taps_x)
                shift_y = tap_y * dilation_y - padding_y
                shift_x = tap_x * dilation_x - padding_x
                from_y, to_y = _inside(height, inputs.shape[1], stride_y, shift_y)
                from_x, to_x = _inside(width, inputs.shape[2], stride_x, shift_x)
                if from_y < to_y and from_x < to_x:
                    _add_block(
                        total[:, tap_y, tap_x],
                        outputs[start:stop, from_y:to_y, from_x:to_x],
                        inputs[
                            start:stop,
                            from_y * stride_y + shift_y :: stride_y,
                            from_x * stride_x + shift_x :: stride_x,
                        ],
                        of_rows * MOST_ROWS,
                        of_columns * COLUMNS,
                        square,
                        partial,
                    )


@compiled
def _inside(positions: int, size: int, stride: int, shift: int) -> tuple[int, int]:
    """The output positions, from and to, that a tap takes to places inside the input."""
    first = max(0, (stride - 1 - shift) // stride)
    return first, min(positions, (size - 1 - shift) // stride + 1)


@compiled
def _add_block(
    total: Array,
    outputs: Array,
    inputs: Array,
    first_row: int,
    first_column: int,
    square: int,
    partial: Array,
) -> None:
    """One tap, some rows of `total` [rows, columns], and a tile's columns, for some samples."""
    size, height, width, rows = outputs.shape
    is_whole = total.shape[1] - first_column > LANES
    last_row = min(rows, first_row + MOST_ROWS)
    rows_of_y = max(1, MOST_POSITIONS // width)
    output_strides, input_strides = outputs.strides, inputs.strides
    column_of_total = _address(total) + first_column * total.strides[1]
    for sample in range(size):
        for y in range(0, height, rows_of_y):
            for x in range(0, width, MOST_POSITIONS):
                to_y, to_x = min(height, y + rows_of_y), min(width, x + MOST_POSITIONS)
                is_first, is_last = y == 0 and x == 0, to_y == height and to_x == width
                output = _address(outputs[sample, y:, x:])
                column = _address(inputs[sample, y:, x:]) + first_column * input_strides[3]
                for row in range(first_row, last_row, ROWS):
                    where = (
                        total,
                        column_of_total + row * total.strides[0],
                        total.strides[0],
                        _address(partial) + (row - first_row) * partial.strides[0],
                        int(is_first),
                        int(is_last),
                        square,
                        output + row * output_strides[3],
                        output_strides[1],
                        output_strides[2],
                        column,
                        input_strides[1],
                        input_strides[2],
                        to_y - y,
                        to_x - x,
                    )
                    if is_whole:
                        _add_tile(*where)
                    else:
                        _add_narrow_tile(*where)
