"""The words that kernels are written in: loops, vectors and addresses over LLVM IR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..importing import importing
from .control import Control
from .numbers import element_bytes, suffix
from .target import powers

if TYPE_CHECKING:
    from .numbers import Value
    from .target import Target


class Builder(Control):
    r"""One function of a module, written from its first line to its last.

    Parameters
    ----------
    name : str
        Of the function.
    arguments : str
        Their names, separated by spaces. One that starts with ``*`` is an address at which no other argument points;
        the others are 64-bit integers.
    target : Target, optional
        Its masks decide how a part of a vector is stored. Where none is given, there are masks of every kind.

    Examples
    --------
    >>> b = Builder("zero", "*out n")
    >>> with b.loop(b["n"]) as i:
    ...     b.store(b.constant(0), b.at(b["*out"], b.mul(i, 8)))
    >>> 'define void @"zero"' in b.finish()
    True
    """

    def __init__(self, name: str, arguments: str, target: Target | None = None) -> None:
        with importing:
            from llvmlite import ir

        super().__init__(ir)
        self._masks = target is None or target.has_masks
        self._masks_of_calls = target is None or target.stores_through_masks
        names = arguments.split()
        types = [ir.PointerType() if a.startswith("*") else self.i64 for a in names]
        self._module = ir.Module(name)
        self._function = ir.Function(self._module, ir.FunctionType(ir.VoidType(), types), name)
        self._arguments = dict(zip(names, self._function.args, strict=True))
        for argument, value in self._arguments.items():
            value.name = argument.lstrip("*")
            if argument.startswith("*"):
                value.add_attribute("noalias")
        self._b = ir.IRBuilder(self._function.append_basic_block("entry"))

    def __getitem__(self, argument: str) -> Value:
        """Return an argument's value by the name it was declared with."""
        return self._arguments[argument]

    def finish(self) -> str:
        """End the function and return the module's IR."""
        self._b.ret_void()
        return str(self._module)

    # Memory; every address is a byte address, and nothing is assumed of its alignment

    def at(self, base: Value, offset: Value) -> Value:
        """Return the address `offset` bytes behind `base`."""
        return self._b.gep(base, [offset], source_etype=self.i8)

    def address(self, number: Value) -> Value:
        """Return a 64-bit integer as an address."""
        return self._b.inttoptr(number, self._ir.PointerType())

    def room(self, kind: Value, count: int) -> Value:
        """Return the address of `count` values of memory that is the function's own; called before any loop."""
        return self._b.alloca(kind, count)

    def entry(self, table: Value, index: Value) -> Value:
        """Return an element of a table of 64-bit integers."""
        return self._b.load(self._b.gep(table, [index], inbounds=True, source_etype=self.i64), typ=self.i64, align=8)

    def load(self, address: Value, kind: Value, align: int = 1) -> Value:
        """Return the value of type `kind` at an address."""
        return self._b.load(address, typ=kind, align=align)

    def prefetch(self, address: Value) -> None:
        """Ask for the cache line of an address that will be read soon; it need not be one that can be."""
        self._call("llvm.prefetch.p0", self._ir.VoidType(), [address, *map(self._ir.IntType(32), (0, 3, 1))])

    def masked_load(self, address: Value, kind: Value, mask: Value, otherwise: Value | None = None) -> Value:
        """Return a vector of type `kind`; lanes outside the mask are not read, and are taken from `otherwise`."""
        rest = self._ir.Constant(kind, self._ir.Undefined) if otherwise is None else otherwise
        name = f"llvm.masked.load.{suffix(kind)}.p0"
        return self._call(name, kind, [address, self._one, mask, rest])

    def masked_store(self, value: Value, address: Value, mask: Value) -> None:
        """Write the lanes of a vector that the mask selects, and touch no other byte."""
        name = f"llvm.masked.store.{suffix(value.type)}.p0"
        self._call(name, self._ir.VoidType(), [value, address, self._one, mask])

    def load_first(self, address: Value, kind: Value, count: int) -> Value:
        """Return a vector whose first `count` lanes come from an address, and touch no byte behind them."""
        return self.load_some(address, kind, [i < count for i in range(kind.count)])

    def load_apart(self, address: Value, kind: Value, step: int, count: int) -> Value:
        """Return a vector whose first `count` lanes lie `step` elements apart; no other byte is touched."""
        if step == 1:
            return self.load_first(address, kind, count)
        value, size = self.zero(kind), element_bytes(kind)
        for i in range(count):
            one = self.load(self.at(address, self.constant(i * step * size)), kind.element)
            value = self._b.insert_element(value, one, self._ir.IntType(32)(i))
        return value

    def load_some(self, address: Value, kind: Value, read: list[bool]) -> Value:
        """Return a vector of which some lanes come from an address, where no other byte is touched; the rest is 0."""
        if all(read):
            return self.load(address, kind)
        mask = self._ir.Constant(self.vector(self._ir.IntType(1), kind.count), read)
        return self.masked_load(address, kind, mask, self.zero(kind))

    def store_first(self, value: Value, address: Value, count: int) -> None:
        """Write the first `count` lanes of a vector, and touch no byte behind them."""
        lanes, size = value.type.count, element_bytes(value.type)
        if count == lanes:
            self.store(value, address)
        elif count == 1:
            # LLVM 22 merges a truncation with a masked store of one constant lane, and writes the wide element.
            self.store(self._b.extract_element(value, self._ir.IntType(32)(0)), address)
        elif self._masks:
            mask = self._ir.Constant(self.vector(self._ir.IntType(1), lanes), [i < count for i in range(lanes)])
            self.masked_store(value, address, mask)
        else:
            for first, width in powers(count):
                self.store(self._part(value, first, width), self.at(address, self.constant(first * size)))

    def store_below(self, value: Value, address: Value, stop: Value) -> None:
        """Write the lanes i < stop of a vector, and touch no byte behind them; stop may lie far outside."""
        lanes, size = value.type.count, element_bytes(value.type)
        if self._masks_of_calls:
            self.masked_store(value, address, self.lanes_between(self.constant(0), stop, lanes))
            return
        count = self.larger(self.smaller(stop, self.constant(lanes)), self.constant(0))
        for _, width in powers(2 * lanes - 1):
            # What is left starts at `address`: a vector of this width, stored if the count has this bit.
            first = self._part(value, 0, width)
            after = self._part(value, width, width) if width < lanes else first
            there = self._b.icmp_signed("!=", self._b.and_(count, self.constant(width)), self.constant(0))
            with self.only_if(there, [first, address]) as rest:
                self.store(first, address)
                rest.values[:] = after, self.at(address, self.constant(width * size))
            value, address = rest.values

    def store_apart(self, value: Value, address: Value, step: int, count: int) -> None:
        """Write the first `count` lanes of a vector `step` elements apart, and touch no byte between or behind them.

        The vector is spread over as many vectors as it then covers, each written through a mask; a scatter would write
        lane by lane, which is what is done where those are more vectors than lanes, or there are no masks.
        """
        lanes = value.type.count
        if step == 1:
            self.store_first(value, address, count)
            return
        bits = self.vector(self._ir.IntType(1), lanes)
        size = element_bytes(value.type)
        if step > lanes or not self._masks:  # the vectors in between would be more than the lanes
            for i in range(count):
                one = self._b.extract_element(value, self._ir.IntType(32)(i))
                self.store(one, self.at(address, self.constant(i * step * size)))
            return
        for first in range(0, (count - 1) * step + 1, lanes):
            where = [divmod(first + i, step) for i in range(lanes)]
            source = [i if not rest and i < count else None for i, rest in where]
            spread = self._shuffle(value, value, [i or 0 for i in source])
            at = self.at(address, self.constant(first * size))
            taken = [i for i in source if i is not None]
            if len(taken) == 1:
                lane = source.index(taken[0])
                one = self._b.extract_element(spread, self._ir.IntType(32)(lane))
                self.store(one, self.at(at, self.constant(lane * size)))
            elif taken:
                self.masked_store(spread, at, self._ir.Constant(bits, [i is not None for i in source]))

    def _part(self, value: Value, first: int, count: int) -> Value:
        """Return neighbouring lanes of a vector, as a vector."""
        return value if count == value.type.count else self._shuffle(value, value, list(range(first, first + count)))

    def store_lanes(self, value: Value, address: Value, step: Value, unit: int = 1) -> None:
        """Write all units of so many lanes of a vector, `step` bytes apart, one by one: a scatter takes longer."""
        for number in range(value.type.count // unit):
            part = self.lane(value, number) if unit == 1 else self._part(value, number * unit, unit)
            self.store(part, self.at(address, self.mul(step, number)))

    def lanes_between(self, first: Value, stop: Value, lanes: int, vectors: int = 1, vector: int = 0) -> Value:
        """Return the mask of the lanes i with first <= i < stop; either may lie far outside.

        Parameters
        ----------
        first, stop : Value
        lanes : int
        vectors, vector : int
            Where several vectors lie side by side, how many, and which of them is meant; lanes are counted through.
        """
        kind = self.vector(self._ir.IntType(32), lanes)
        numbers = self._ir.Constant(kind, list(range(vector * lanes, (vector + 1) * lanes)))
        reach = self.constant(vectors * lanes)
        low, high = (
            self._splat(self._b.trunc(self.smaller(self.larger(n, self.constant(0)), reach), kind.element), kind)
            for n in (first, stop)
        )
        return self._b.and_(self._b.icmp_signed(">=", numbers, low), self._b.icmp_signed("<", numbers, high))

    def load_bytes(self, address: Value, count: int) -> Value:
        """Return a vector whose first `count` bytes come from an address, and touch no byte behind them.

        The vector has the next power of two of bytes; the rest of it is undefined.
        """
        lane = 4 if count % 4 == 0 else 1
        lanes = (1 << (count - 1).bit_length()) // lane
        if lanes * lane == count:
            return self.load(address, self.byte_vector(count))
        mask = self._ir.Constant(self.vector(self._ir.IntType(1), lanes), [i < count // lane for i in range(lanes)])
        return self.masked_load(address, self.vector(self.integer(lane), lanes), mask)

    def transpose(self, rows: list[Value]) -> list[Value]:
        """Return the columns of a tile, given as one vector a row.

        Blocks of 16 bytes and more are swapped by Eklundh's algorithm: log2(n) rounds, each of which swaps the
        off-diagonal blocks of one size between pairs of rows (J. O. Eklundh, "A fast computer method for matrix
        transposing", IEEE Trans. Computers, 1972). Inside 16 bytes, each round interleaves the first half of the rows
        with the second, which every CPU does in one instruction a vector (UNPCKL and UNPCKH, ZIP1 and ZIP2).

        Parameters
        ----------
        rows : list of Value
            A power of two of them, at most as many as they have lanes.

        Returns
        -------
        list of Value
            As many as there are lanes, each a vector of as many lanes as there are rows.
        """
        n, lanes = len(rows), rows[0].type.count
        unit = min(lanes, 16 // element_bytes(rows[0].type))
        size = n // 2
        while size >= unit:
            # Lane j of the upper row's result is its own lane j, or the lower row's lane j - size, by bit `size` of j.
            upper = [j if not j & size else lanes + (j ^ size) for j in range(lanes)]
            lower = [(j ^ size) if not j & size else lanes + j for j in range(lanes)]
            swapped = list(rows)
            for i in range(n):
                if not i & size:
                    swapped[i] = self._shuffle(rows[i], rows[i | size], upper)
                    swapped[i | size] = self._shuffle(rows[i], rows[i | size], lower)
            rows, size = swapped, size // 2
        group, half = min(n, unit), unit // 2
        # Of each 16 bytes the first lanes, alternately those of the one row and of the other.
        low = [j // unit * unit + j % unit // 2 + lanes * (j % 2) for j in range(lanes)]
        for _ in range(group.bit_length() - 1):
            rows = [
                self._shuffle(rows[i], rows[i + group // 2], [j + at for j in low])
                for first in range(0, n, group)
                for i in range(first, first + group // 2)
                for at in (0, half)
            ]
        # A group holds a column of each unit of its rows in turn, or several side by side where its rows are few.
        beside = unit // group
        return [
            self._part(rows[c % max(n, unit) // beside], c // max(n, unit) * max(n, unit) + c % beside * n, n)
            for c in range(lanes)
        ]

    def every(self, value: Value, step: int, first: int = 0) -> Value:
        """Return lanes first, first + step, first + 2 · step, … of a vector."""
        if step == 1:
            return value
        return self._shuffle(value, value, list(range(first, value.type.count, step)))

    def shifted(self, a: Value, b: Value, lanes: int) -> Value:
        """Return a without its first lanes, filled up with those of b."""
        return self._shuffle(a, b, list(range(lanes, lanes + a.type.count)))

    @property
    def _one(self) -> Value:
        """An alignment of one byte."""
        return self._ir.Constant(self._ir.IntType(32), 1)

    def store(self, value: Value, address: Value, align: int = 1) -> None:
        """Write a value to an address."""
        self._b.store(value, address, align=align)

    def settled(self, values: list[Value], register: str) -> list[Value]:
        """Return vectors as they are, computed before any load that follows.

        LLVM reorders a long run of products as if registers were free, and then has to move sums to the stack. An empty
        piece of assembly that takes the values and gives them back, and claims to touch memory, holds the order.

        Parameters
        ----------
        values : list of Value
            Of one type.
        register : str
            The target's letter for a vector register.

        Notes
        -----
        LLVM's assembly on x86 knows no vectors of less than 16 bytes: they are given back as they came.
        """
        kinds = [value.type for value in values]
        bits = kinds[0].count * int(kinds[0].element.intrinsic_name[1:])
        if bits < 128 and register != "w":
            return values
        outcome = self._ir.LiteralStructType(kinds) if len(kinds) > 1 else kinds[0]
        constraints = [f"={register}"] * len(values) + [str(i) for i in range(len(values))] + ["~{memory}"]
        assembly = self._ir.InlineAsm(self._ir.FunctionType(outcome, kinds), "", ",".join(constraints), True)
        result = self._b.call(assembly, values)
        return [self._b.extract_value(result, i) for i in range(len(values))] if len(kinds) > 1 else [result]
