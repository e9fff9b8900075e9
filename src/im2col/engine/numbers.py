"""Numbers and vectors of them: types, constants and arithmetic over LLVM IR."""

from __future__ import annotations

from typing import Any

Value = Any
"""An SSA value or a type of llvmlite.ir, which has no types of its own."""


class Numbers:
    """What a `Builder` knows of numbers; it says where in the function they are."""

    _module: Value
    _b: Value

    def __init__(self, ir: Any) -> None:
        self._ir = ir
        self.i8, self.i64 = ir.IntType(8), ir.IntType(64)

    # Types and constants

    def integer(self, nbytes: int) -> Value:
        """Return the integer type of so many bytes."""
        return self._ir.IntType(8 * nbytes)

    def byte_vector(self, count: int) -> Value:
        """Return the type of a vector of so many bytes."""
        return self._ir.VectorType(self.i8, count)

    def number(self, name: str) -> Value:
        """Return the type of a number by its name: ``f4``, ``f8``, or ``i1`` to ``u8`` for integers of 1 to 8 bytes."""
        if name[0] == "f":
            return self._ir.FloatType() if name == "f4" else self._ir.DoubleType()
        return self.integer(int(name[1]))

    def vector(self, element: Value, lanes: int) -> Value:
        """Return the type of a vector."""
        return self._ir.VectorType(element, lanes)

    def bytes_of(self, name: str) -> int:
        """Return the bytes of a number by its name."""
        return int(name[1])

    def undefined(self, kind: Value) -> Value:
        """Return a value of which nothing is promised."""
        return self._ir.Constant(kind, self._ir.Undefined)

    def constant(self, value: int) -> Value:
        """Return a constant 64-bit integer."""
        return self._ir.Constant(self.i64, value)

    # Arithmetic, on numbers or vectors of them

    def splat(self, value: Value, lanes: int) -> Value:
        """Return a vector whose lanes all are `value`."""
        return self._splat(value, self.vector(value.type, lanes))

    def numbers(self, value: float, kind: Value) -> Value:
        """Return the constant of a type: a number, or a vector of equal ones."""
        element = getattr(kind, "element", kind)
        plain = float(value) if str(element) in ("float", "double") else int(value)
        return self._ir.Constant(kind, [plain] * kind.count if hasattr(kind, "count") else plain)

    def smaller_than(self, a: Value, b: Value) -> Value:
        """Return whether a < b, for integers with their sign."""
        return self._b.icmp_signed("<", a, b)

    def plus(self, a: Value, b: Value) -> Value:
        """Return a + b, for floats."""
        return self._b.fadd(a, b)

    def minus(self, a: Value, b: Value) -> Value:
        """Return a - b, for floats."""
        return self._b.fsub(a, b)

    def times(self, a: Value, b: Value) -> Value:
        """Return a · b, for floats."""
        return self._b.fmul(a, b)

    def over(self, a: Value, b: Value) -> Value:
        """Return a / b, for floats."""
        return self._b.fdiv(a, b)

    def negated(self, a: Value) -> Value:
        """Return -a, for floats."""
        return self._b.fneg(a)

    def maximum(self, name: str, a: Value, b: Value) -> Value:
        """Return the greater of two numbers called `name`; a where either is NaN."""
        return self._b.select(self._compare("<", name, a, b), b, a)

    def minimum(self, name: str, a: Value, b: Value) -> Value:
        """Return the smaller of two numbers called `name`; a where either is NaN."""
        return self._b.select(self._compare(">", name, a, b), b, a)

    def _compare(self, relation: str, name: str, a: Value, b: Value) -> Value:
        if name[0] == "f":
            return self._b.fcmp_ordered(relation, a, b)
        return (self._b.icmp_unsigned if name[0] == "u" else self._b.icmp_signed)(relation, a, b)

    def any_nan(self, a: Value) -> Value:
        """Return 1 where some lane of a vector of floats is no number, else 0: a 64-bit integer."""
        kind = self._ir.IntType(a.type.count)
        found = self._b.bitcast(self._b.fcmp_unordered("uno", a, a), kind)
        return self._b.zext(self._b.icmp_unsigned("!=", found, self._ir.Constant(kind, 0)), self.i64)

    def negative(self, a: Value) -> Value:
        """Return which lanes of a vector of integers are negative; instructions with masks read nothing but signs."""
        return self._b.icmp_signed("<", a, self._ir.Constant(a.type, None))

    def picked(self, a: Value, b: Value, lanes: list[int]) -> Value:
        """Return these lanes of two vectors, which are counted through, in this order."""
        return self._shuffle(a, b, lanes)

    def picked_by(self, a: Value, words: Value, *, near: bool) -> Value:
        """Return a vector of 32 or 64 bytes whose every 4 bytes are those of `a` that 32-bit integers number.

        It is an instruction of x86 with AVX2; `near` says that no 4 bytes leave their 16, which is quicker.
        """
        kind = self.vector(self._ir.FloatType(), words.type.count)
        wide = kind.count == 16
        name = (
            f"avx{'512' * wide}.vpermilvar.ps.{32 * kind.count}"
            if near
            else "avx512.permvar.sf.512"
            if wide
            else "avx2.permps"
        )
        picked = self._call(f"llvm.x86.{name}", kind, [self._b.bitcast(a, kind), words])
        return self._b.bitcast(picked, a.type)

    def counted(self, first: list[int], step: Value) -> Value:
        """Return a vector of 32-bit integers: constants, each with the same 64-bit integer added."""
        kind = self.vector(self._ir.IntType(32), len(first))
        return self._b.add(self._ir.Constant(kind, first), self._splat(self._b.trunc(step, kind.element), kind))

    def select_at_least(self, a: Value, bound: Value, then: Value, otherwise: Value) -> Value:
        """Return `then` where a >= bound, for floats, else `otherwise`."""
        return self._b.select(self._b.fcmp_ordered(">=", a, bound), then, otherwise)

    def at_least(self, a: Value, bound: Value) -> Value:
        """Return a, and the bound where it is not above it, for floats; NaN stays."""
        return self._b.select(self._b.fcmp_unordered(">", a, bound), a, bound)

    def at_most(self, a: Value, bound: Value) -> Value:
        """Return a, and the bound where it is not below it, for floats; NaN stays."""
        return self._b.select(self._b.fcmp_unordered("<", a, bound), a, bound)

    def negated_magnitude(self, a: Value) -> Value:
        """Return -|a|, for floats."""
        bits = self.vector(self.integer(_float_bytes(a.type)), a.type.count)
        sign = self._ir.Constant(bits, [-1 << (8 * _float_bytes(a.type) - 1)] * a.type.count)
        return self._b.bitcast(self._b.or_(self._b.bitcast(a, bits), sign), a.type)

    def nearest(self, a: Value) -> tuple[Value, Value]:
        """Return n, the nearest integer of each float, and 2ⁿ, where that is a normal number."""
        size = _float_bytes(a.type)
        # A sum this large has no bits left for a fraction: its last ones are the integer. LLVM does not undo it, as it
        # may not reorder floats.
        shift = self.numbers({4: 1.5 * 2.0**23, 8: 1.5 * 2.0**52}[size], a.type)
        shifted = self._b.fadd(a, shift)
        kind = self.vector(self.integer(size), a.type.count)
        bias, fraction = {4: (127, 23), 8: (1023, 52)}[size]
        exponent = self._b.add(self._b.bitcast(shifted, kind), self._ir.Constant(kind, [bias] * kind.count))
        power = self._b.shl(exponent, self._ir.Constant(kind, [fraction] * kind.count))
        return self._b.fsub(shifted, shift), self._b.bitcast(power, a.type)

    def single(self, a: Value) -> Value:
        """Return float64s rounded to float32s."""
        return self._b.fptrunc(a, self.vector(self._ir.FloatType(), a.type.count))

    def round_half(self, a: Value) -> Value:
        """Return float32s rounded to float16s."""
        return self._b.fptrunc(a, self.vector(self._ir.HalfType(), a.type.count))

    def round_bfloat(self, a: Value) -> Value:
        """Return float32s rounded to bfloat16s, ties to even, as 16-bit integers; NaN stays NaN."""
        kind = self.vector(self._ir.IntType(32), a.type.count)

        def splat(number: int) -> Value:
            return self._ir.Constant(kind, [number] * kind.count)

        bits = self._b.bitcast(a, kind)
        odd = self._b.and_(self._b.lshr(bits, splat(16)), splat(1))
        rounded = self._b.add(self._b.add(bits, splat(0x7FFF)), odd)
        quiet = self._b.or_(bits, splat(0x400000))
        chosen = self._b.select(self._b.fcmp_unordered("uno", a, a), quiet, rounded)
        return self._b.trunc(self._b.lshr(chosen, splat(16)), self.vector(self._ir.IntType(16), kind.count))

    def multiply_add(self, a: Value, b: Value, c: Value, fused: bool) -> Value:
        """Return a · b + c, rounded once if `fused`; integers wrap."""
        if not _is_float(a.type):
            return self._b.add(self._b.mul(a, b), c)
        if fused:
            return self._call(f"llvm.fma.{suffix(a.type)}", a.type, [a, b, c])
        return self._b.fadd(self._b.fmul(a, b), c)

    def dot(self, dot: str, a: Value, b: Value, c: Value) -> Value:
        """Return c plus the dot product of the numbers in each lane of a and b, which have 4 bytes.

        Parameters
        ----------
        dot : str
            ``u1i1``: four unsigned bytes times four signed ones, exact; ``u1i7``: the same in several instructions,
            exact for signed bytes of -64 to 64; ``i2``: two 16-bit integers, exact; ``b2``: two bfloat16s, whose
            denormals count as 0, as do those among the sums.
        a, b : Value
            Vectors of 32-bit integers.
        c : Value
            A vector of 32-bit integers, or of float32 for ``b2``.
        """
        bits = 32 * c.type.count
        if dot == "u1i1":
            return self._call(f"llvm.x86.avx512.vpdpbusd.{bits}", c.type, [c, a, b])
        if dot == "b2":
            pairs = self.vector(_bfloat(self._ir), 2 * c.type.count)
            operands = [c, self._b.bitcast(a, pairs), self._b.bitcast(b, pairs)]
            return self._call(f"llvm.x86.avx512bf16.dpbf16ps.{bits}", c.type, operands)
        name = {128: "sse2.pmadd.wd", 256: "avx2.pmadd.wd", 512: "avx512.pmaddw.d.512"}[bits]
        pairs = self.vector(self._ir.IntType(16), 2 * c.type.count)
        operands = [self._b.bitcast(a, pairs), self._b.bitcast(b, pairs)]
        if dot == "u1i7":
            operands = [self._sums_of_two(a, b, pairs), self.numbers(1, pairs)]
        # LLVM makes one instruction of the two where the CPU has it.
        return self._b.add(c, self._call(f"llvm.x86.{name}", c.type, operands))

    def sum_of_bytes(self, a: Value) -> Value:
        """Return the sum of the four signed bytes in each lane of a vector of 32-bit integers."""

        def splat(number: int) -> Value:
            return self._ir.Constant(a.type, [number] * a.type.count)

        parts = [self._b.ashr(self._b.shl(a, splat(24 - 8 * i)), splat(24)) for i in range(4)]
        return self._b.add(self._b.add(parts[0], parts[1]), self._b.add(parts[2], parts[3]))

    def _sums_of_two(self, a: Value, b: Value, kind: Value) -> Value:
        """Return a vector of 16-bit integers: two products each of unsigned bytes by signed ones, added and clipped."""
        name = {8: "ssse3.pmadd.ub.sw.128", 16: "avx2.pmadd.ub.sw"}[kind.count]
        numbers = self.byte_vector(2 * kind.count)
        return self._call(f"llvm.x86.{name}", kind, [self._b.bitcast(a, numbers), self._b.bitcast(b, numbers)])

    def to_float(self, name: str, a: Value) -> Value:
        """Return 32-bit integers called `name`, as the nearest float32s."""
        convert = self._b.uitofp if name[0] == "u" else self._b.sitofp
        return convert(a, self.vector(self._ir.FloatType(), a.type.count))

    def whole(self, a: Value) -> Value:
        """Return float32s that are integers of at most 31 bits as such, of 32 bits."""
        return self._b.fptosi(a, self.vector(self._ir.IntType(32), a.type.count))

    def rounded_integer(self, a: Value, offset: int) -> Value:
        """Return float32s of at most 2²² rounded to integers, ties to even, plus an offset: as 32-bit integers."""
        kind = self.vector(self._ir.IntType(32), a.type.count)
        # In a sum this large the last bits are the integer.
        shift = 1.5 * 2.0**23
        bits = self._b.bitcast(self._b.fadd(a, self.numbers(shift, a.type)), kind)
        return self._b.add(bits, self.numbers(offset - 0x4B400000, kind))

    def narrowed(self, a: Value, nbytes: int) -> Value:
        """Return an integer, or each of a vector of them, cut to its lowest bytes."""
        kind = self.integer(nbytes)
        return self._b.trunc(a, self.vector(kind, a.type.count) if hasattr(a.type, "count") else kind)

    def sum(self, name: str, a: Value, b: Value) -> Value:
        """Return a + b for numbers called `name`; integers wrap."""
        return self._b.fadd(a, b) if name[0] == "f" else self._b.add(a, b)

    def lane_sums(self, name: str, rows: list[Value]) -> Value:
        """Return a vector whose lane i is the sum of row i: the rounds of a transpose, with a sum for each swap."""
        lanes, count = rows[0].type.count, 1 << (len(rows) - 1).bit_length()
        rows = rows + [rows[-1]] * (count - len(rows))
        while len(rows) > 1:
            size = len(rows) // 2
            low = [j if not j & size else lanes + (j ^ size) for j in range(lanes)]
            high = [j ^ size if not j & size else lanes + j for j in range(lanes)]
            pairs = zip(rows[:size], rows[size:], strict=True)
            rows = [self.sum(name, self._shuffle(a, b, low), self._shuffle(a, b, high)) for a, b in pairs]
        while count < lanes:
            rows[0] = self.sum(name, rows[0], self._shuffle(rows[0], rows[0], [j ^ count for j in range(lanes)]))
            count *= 2
        return rows[0]

    def lane(self, value: Value, number: int) -> Value:
        """Return one lane of a vector."""
        return self._b.extract_element(value, self._ir.IntType(32)(number))

    def grow(self, value: Value, narrow: str, wide: str, kind: Value) -> Value:
        """Return integers called `narrow` as ones called `wide`, of type `kind`: with their sign if they have one."""
        if narrow[1] == wide[1]:
            return value
        return self._b.sext(value, kind) if narrow[0] == "i" else self._b.zext(value, kind)

    def converted(self, value: Value, source: str, to: str, kind: Value) -> Value:
        """Return the bits of numbers called `source` as numbers called `to`, of type `kind`; no wider ones than those.

        They are integers, or bfloat16s, ``b2``, which become float32s or stay what they are.
        """
        if source == to:
            return value
        if source == "b2":
            words = self._b.zext(value, self.vector(self.integer(4), kind.count))
            return self._b.bitcast(self._b.shl(words, self.numbers(16, words.type)), kind)
        words = self.grow(value, source, f"i{to[1]}", self.vector(self.integer(int(to[1])), kind.count))
        if to[0] != "f":
            return words
        return (self._b.uitofp if source[0] == "u" else self._b.sitofp)(words, kind)

    def moved_by(self, name: str, value: Value, offset: int) -> Value:
        """Return numbers called `name` plus a constant; integers wrap."""
        if offset == 0:
            return value
        bits = 8 * self.bytes_of(name)
        wrapped = offset if name[0] == "f" else (offset + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)
        return self.sum(name, value, self.numbers(wrapped, value.type))

    def interleaved(self, vectors: list[Value], unit: int = 1) -> list[Value]:
        """Return as many vectors, side by side: the first `unit` lanes of each, then the next ones, and so on."""
        count, lanes = len(vectors), vectors[0].type.count
        mixed = []
        for first in range(0, count * lanes, lanes):
            units = [divmod((first + i) // unit, count) for i in range(lanes)]
            places = [(n * unit + i % unit, v) for i, (n, v) in enumerate(units)]  # its lane, and of which vector
            chosen = self._shuffle(vectors[0], vectors[1], [n + lanes * (v == 1) for n, v in places])
            for other in range(2, count):
                chosen = self._shuffle(
                    chosen, vectors[other], [lanes + n if v == other else i for i, (n, v) in enumerate(places)]
                )
            mixed.append(chosen)
        return mixed

    def _splat(self, value: Value, kind: Value) -> Value:
        one = self._b.insert_element(self._ir.Constant(kind, self._ir.Undefined), value, self._ir.IntType(32)(0))
        return self._shuffle(one, one, [0] * kind.count)

    def _shuffle(self, a: Value, b: Value, lanes: list[int]) -> Value:
        i32 = self._ir.IntType(32)
        return self._b.shuffle_vector(a, b, self._ir.Constant(self._ir.VectorType(i32, len(lanes)), lanes))

    def _call(self, name: str, result: Value, arguments: list[Value]) -> Value:
        """Call one of LLVM's functions by its full name, declared when it is first met."""
        function = self._module.globals.get(name)
        if function is None:
            signature = self._ir.FunctionType(result, [a.type for a in arguments])
            function = self._ir.Function(self._module, signature, name)
        return self._b.call(function, arguments)


def _bfloat(ir: Any) -> Value:
    """Return LLVM's bfloat, which llvmlite has no type for."""

    class BFloat(ir.HalfType):  # type: ignore[misc]  # of an untyped library
        intrinsic_name = "bf16"

        def __str__(self) -> str:
            return "bfloat"

    return BFloat()


def _float_bytes(kind: Value) -> int:
    return 4 if str(kind.element) == "float" else 8


def _is_float(kind: Value) -> bool:
    return str(getattr(kind, "element", kind)) in ("float", "double")


def element_bytes(kind: Value) -> int:
    """Return the bytes of an element of a vector type."""
    return {"half": 2, "float": 4, "double": 8}.get(str(kind.element)) or int(kind.element.width) // 8


def suffix(kind: Value) -> str:
    """Return LLVM's short name of a vector type, as intrinsics carry it: v16f32, v8i64."""
    letter = {"half": "f16", "float": "f32", "double": "f64"}.get(str(kind.element), str(kind.element))
    return f"v{kind.count}{letter}"
