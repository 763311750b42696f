"""The innermost loop of the gradient pass, written in the compiler's own vectors.

A *tile* is 8 rows by 32 columns of one sample's gradient of a matrix, Σ over positions of
output ⊗ input. It fits the registers of a processor with 512-bit vectors: every position costs two
vectors and eight numbers read for sixteen vectors multiplied and added, and the finished tile is
squared and added to the total without ever having been written. Compilers do not find this by
themselves; hence the vectors. Where registers are fewer or narrower the result is the same, slower.

These functions are for compiled code alone (`products.py`), which sees to it that what is read and
written is its own. Everything but arrays is an integer: addresses, distances in bytes, counts and
flags.

`add_tile` and `add_narrow_tile` (16 columns) add up height × width positions. The sum begins at 0
with the `first` part of a sample's positions, else with `partial`, float32 [8, 32]. After the
`last` part the tile's squares (if `square`, else its absolute values) are added to `total`, whose
rows are `total_row` apart and whose numbers are as those of the array `like`, float32 or float64.
After other parts `partial` is written.

`transpose` transposes a square of 16 rows of 16 float32. `address` is where an array begins.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# Rows of a tile; numbers of a vector, float32; vectors, and so columns, of a whole tile.
ROWS = 8
LANES = 16
VECTORS = 2
COLUMNS = VECTORS * LANES

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
        self._registers = {
            (row, vector): cgutils.alloca_once(builder, self._vector)
            for row in range(ROWS)
            for vector in range(vectors)
        }
        self._vectors = vectors

    def begin(self, first: Any, partial: Any) -> None:
        """0, or what an earlier part of the positions has left."""
        with self._builder.if_else(self._is_set(first)) as (fresh, continued):
            with fresh:
                for register in self._registers.values():
                    self._builder.store(ir.Constant(self._vector, [0.0] * LANES), register)
            with continued:
                for (row, vector), register in self._registers.items():
                    place = self._place(partial, self._offset(row, vector), self._vector)
                    self._builder.store(self._load(place), register)

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

    def end(self, last: Any, partial: Any, square: Any, add_power: Callable[[bool], None]) -> None:
        """Add the powers if these were all positions, else leave the sum for the next part."""
        with self._builder.if_else(self._is_set(last)) as (done, unfinished):
            with done, self._builder.if_else(self._is_set(square)) as (squares, absolutes):
                with squares:
                    add_power(True)
                with absolutes:
                    add_power(False)
            with unfinished:
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

    def _is_set(self, flag: Any) -> Any:
        return self._builder.icmp_signed("!=", flag, INTEGER(0))

    @staticmethod
    def _offset(row: int, vector: int) -> int:
        return FLOAT_BYTES * (row * COLUMNS + vector * LANES)


def _write_tile(builder: Any, values: Any, *, vectors: int, wide: bool) -> None:
    (_, total, total_row, partial, first, last, square) = values[:7]
    (outputs, output_y, output_x, inputs, input_y, input_x, height, width) = values[7:]
    tile = _Tile(builder, vectors)
    tile.begin(first, partial)
    with cgutils.for_range(builder, height) as y:
        outputs_of_y = builder.add(outputs, builder.mul(y.index, output_y))
        inputs_of_y = builder.add(inputs, builder.mul(y.index, input_y))
        with cgutils.for_range(builder, width) as x:
            tile.multiply(
                builder.add(outputs_of_y, builder.mul(x.index, output_x)),
                builder.add(inputs_of_y, builder.mul(x.index, input_x)),
            )

    def add_power(square: bool) -> None:
        tile.add_power(total, total_row, wide=wide, square=square)

    tile.end(last, partial, square, add_power)


def _tile_function(vectors: int) -> Any:
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


add_tile = _tile_function(VECTORS)
add_narrow_tile = _tile_function(1)


@intrinsic  # type: ignore[untyped-decorator]
def transpose(_typing: Any, into: Any, into_row: Any, out_of: Any, out_of_row: Any) -> Any:
    """Transpose a square."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _write_transposition(builder, *values)
        return context.get_dummy_value()

    return types.void(*([types.intp] * 4)), generate


@intrinsic  # type: ignore[untyped-decorator]
def address(_typing: Any, array: Any) -> Any:
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
