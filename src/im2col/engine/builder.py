"""The words that kernels are written in: loops, vectors and addresses over LLVM IR."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..importing import importing
from .numbers import Numbers, element_bytes, suffix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .numbers import Value


class Builder(Numbers):
    r"""One function of a module, written from its first line to its last.

    Parameters
    ----------
    name : str
        Of the function.
    arguments : str
        Their names, separated by spaces. One that starts with ``*`` is an address at which no other argument points;
        the others are 64-bit integers.

    Examples
    --------
    >>> b = Builder("zero", "*out n")
    >>> with b.loop(b["n"]) as i:
    ...     b.store(b.constant(0), b.at(b["*out"], b.mul(i, 8)))
    >>> 'define void @"zero"' in b.finish()
    True
    """

    def __init__(self, name: str, arguments: str) -> None:
        with importing:
            from llvmlite import ir

        super().__init__(ir)
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

    # Arithmetic on 64-bit integers

    def add(self, a: Value, b: Value) -> Value:
        """Return a + b."""
        return self._b.add(a, b, flags=("nsw",))

    def sub(self, a: Value, b: Value) -> Value:
        """Return a - b."""
        return self._b.sub(a, b, flags=("nsw",))

    def mul(self, a: Value, b: int | Value) -> Value:
        """Return a · b; b may be a Python int."""
        return self._b.mul(a, self.constant(b) if isinstance(b, int) else b, flags=("nsw",))

    def div(self, a: Value, b: int) -> Value:
        """Return a / b for a Python int b that divides a."""
        return self._b.sdiv(a, self.constant(b), flags=("exact",))

    def quotient(self, a: Value, b: int | Value) -> Value:
        """Return a // b for an a that is not negative; b is positive and may be a Python int."""
        return self._b.sdiv(a, self.constant(b) if isinstance(b, int) else b)

    def smaller(self, a: Value, b: Value) -> Value:
        """Return the smaller of two."""
        return self._b.select(self._b.icmp_signed("<", a, b), a, b)

    def larger(self, a: Value, b: Value) -> Value:
        """Return the larger of two."""
        return self._b.select(self._b.icmp_signed(">", a, b), a, b)

    def skip(self, i: Value, first: Value, count: Value) -> Value:
        """Return i, or i + count from `first` on."""
        return self._b.select(self._b.icmp_signed("<", i, first), i, self.add(i, count))

    def inside(self, i: Value, stop: Value) -> Value:
        """Return whether 0 <= i < stop."""
        return self._b.icmp_unsigned("<", i, stop)

    def choose(self, condition: Value, a: Value, b: Value) -> Value:
        """Return a where the condition holds, else b."""
        return self._b.select(condition, a, b)

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

    def zero(self, kind: Value) -> Value:
        """Return the zero of any type."""
        return self._ir.Constant(kind, None)

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

    def load_some(self, address: Value, kind: Value, read: list[bool]) -> Value:
        """Return a vector of which some lanes come from an address, where no other byte is touched; the rest is 0."""
        if all(read):
            return self.load(address, kind)
        mask = self._ir.Constant(self.vector(self._ir.IntType(1), kind.count), read)
        return self.masked_load(address, kind, mask, self.zero(kind))

    def store_first(self, value: Value, address: Value, count: int) -> None:
        """Write the first `count` lanes of a vector, and touch no byte behind them."""
        lanes = value.type.count
        if count == lanes:
            self.store(value, address)
            return
        if count == 1:
            # LLVM 22 merges a truncation with a masked store of one constant lane, and writes the wide element.
            self.store(self._b.extract_element(value, self._ir.IntType(32)(0)), address)
            return
        mask = self._ir.Constant(self.vector(self._ir.IntType(1), lanes), [i < count for i in range(lanes)])
        self.masked_store(value, address, mask)

    def store_apart(self, value: Value, address: Value, step: int, count: int) -> None:
        """Write the first `count` lanes of a vector `step` elements apart, and touch no byte between or behind them.

        The vector is spread over as many vectors as it then covers, each written through a mask; a scatter would write
        lane by lane, which is what is done where those are more vectors than lanes.
        """
        lanes = value.type.count
        if step == 1:
            self.store_first(value, address, count)
            return
        bits = self.vector(self._ir.IntType(1), lanes)
        size = element_bytes(value.type)
        if step > lanes:  # the vectors in between would be more than the lanes
            for i in range(count):
                one = self._b.extract_element(value, self._ir.IntType(32)(i))
                self.store(one, self.at(address, self.constant(i * step * size)))
            return
        for first in range(0, (count - 1) * step + 1, lanes):
            where = [divmod(first + i, step) for i in range(lanes)]
            source = [i if not rest and i < count else None for i, rest in where]
            spread = self._shuffle(value, value, [i or 0 for i in source]) if step > 1 else value
            at = self.at(address, self.constant(first * size))
            taken = [i for i in source if i is not None]
            if len(taken) == 1:
                lane = source.index(taken[0])
                one = self._b.extract_element(spread, self._ir.IntType(32)(lane))
                self.store(one, self.at(at, self.constant(lane * size)))
            elif taken:
                self.masked_store(spread, at, self._ir.Constant(bits, [i is not None for i in source]))

    def scatter(self, value: Value, address: Value, step: Value, mask: Value) -> None:
        """Write the lanes of a vector that the mask selects, `step` bytes apart."""
        addresses = self._addresses(address, step, value.type.count)
        name = f"llvm.masked.scatter.{suffix(value.type)}.v{value.type.count}p0"
        self._call(name, self._ir.VoidType(), [value, addresses, self._one, mask])

    def store_lanes(self, value: Value, address: Value, step: Value) -> None:
        """Write all lanes of a vector, `step` bytes apart, one by one, which is faster than a scatter."""
        for lane in range(value.type.count):
            at = self.at(address, self.mul(step, lane))
            self.store(self._b.extract_element(value, self._ir.IntType(32)(lane)), at)

    def _addresses(self, address: Value, step: Value, lanes: int) -> Value:
        """Return the vector of addresses that start at one and lie `step` bytes apart."""
        kind = self.vector(self.i64, lanes)
        numbers = self._ir.Constant(kind, list(range(lanes)))
        first = self._splat(self._b.ptrtoint(address, self.i64), kind)
        bytes_apart = self._b.mul(numbers, self._splat(step, kind))
        return self._b.inttoptr(self._b.add(first, bytes_apart), self.vector(self._ir.PointerType(), lanes))

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
        """Return the columns of a square tile, given as one vector a row.

        Eklundh's algorithm: log2(n) rounds, each of which swaps the off-diagonal blocks of one size between pairs of
        rows (J. O. Eklundh, "A fast computer method for matrix transposing", IEEE Trans. Computers, 1972).
        """
        n = len(rows)
        size = n // 2
        while size:
            # Lane j of the upper row's result is its own lane j, or the lower row's lane j - size, by bit `size` of j.
            upper = [j if not j & size else n + (j ^ size) for j in range(n)]
            lower = [(j ^ size) if not j & size else n + j for j in range(n)]
            swapped = list(rows)
            for i in range(n):
                if not i & size:
                    swapped[i] = self._shuffle(rows[i], rows[i | size], upper)
                    swapped[i | size] = self._shuffle(rows[i], rows[i | size], lower)
            rows, size = swapped, size // 2
        return rows

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

    # Control

    def call(self, function: Value, arguments: list[Value]) -> None:
        """Call the function of 64-bit integers, or addresses, that stands at an address."""
        kind = self._ir.FunctionType(self._ir.VoidType(), [value.type for value in arguments])
        self._b.call(_Callee(function.get_reference, kind), arguments)

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
        """
        kinds = [value.type for value in values]
        outcome = self._ir.LiteralStructType(kinds) if len(kinds) > 1 else kinds[0]
        constraints = [f"={register}"] * len(values) + [str(i) for i in range(len(values))] + ["~{memory}"]
        assembly = self._ir.InlineAsm(self._ir.FunctionType(outcome, kinds), "", ",".join(constraints), True)
        result = self._b.call(assembly, values)
        return [self._b.extract_value(result, i) for i in range(len(values))] if len(kinds) > 1 else [result]

    @contextmanager
    def loop(self, stop: Value, start: Value | None = None, step: Value | int = 1) -> Iterator[Value]:
        """Run the body for start, start + step, … below stop; yields the counter."""
        step = self.constant(step) if isinstance(step, int) else step
        with self.walk(self.constant(0) if start is None else start, stop) as state:
            yield state.index
            state.values = [self.add(state.index, step)]

    @contextmanager
    def walk(self, start: Value, stop: Value) -> Iterator[Accumulation]:
        """Run the body from `start` until `stop`; it reads ``index``, and sets ``values`` to the next one alone."""
        before = self._b.block
        body = self._function.append_basic_block("body")
        after = self._function.append_basic_block("after")
        self._b.cbranch(self._b.icmp_signed("<", start, stop), body, after)
        self._b.position_at_end(body)
        counter = self._b.phi(self.i64)
        counter.add_incoming(start, before)
        state = Accumulation(counter, [])
        yield state
        [following] = state.values
        counter.add_incoming(following, self._b.block)
        self._b.cbranch(self._b.icmp_signed("<", following, stop), body, after)
        self._b.position_at_end(after)

    @contextmanager
    def when(self, condition: Value, values: list[Value]) -> Iterator[list[Value]]:
        """Run the body if a condition holds; behind it, the values are those that it put in their place, or the same.

        Yields
        ------
        list of Value
            The values; the body replaces them.
        """
        before = self._b.block
        body, after = (self._function.append_basic_block(name) for name in ("then", "after"))
        self._b.cbranch(condition, body, after)
        self._b.position_at_end(body)
        chosen = list(values)
        yield chosen
        end = self._b.block
        self._b.branch(after)
        self._b.position_at_end(after)
        for i, (value, other) in enumerate(zip(values, list(chosen), strict=True)):
            chosen[i] = self._b.phi(value.type)
            chosen[i].add_incoming(value, before)
            chosen[i].add_incoming(other, end)

    @contextmanager
    def accumulate(self, start: Value, stop: Value, initial: list[Value]) -> Iterator[Accumulation]:
        """Run the body for start, start + 1, … below stop, carrying values from turn to turn in registers.

        The body reads ``index`` and ``values`` and replaces the latter; behind the loop they are the last ones.
        """
        before = self._b.block
        body = self._function.append_basic_block("body")
        after = self._function.append_basic_block("after")
        self._b.cbranch(self._b.icmp_signed("<", start, stop), body, after)
        self._b.position_at_end(body)
        index, *carried = [self._b.phi(value.type) for value in (start, *initial)]
        state = Accumulation(index, list(carried))
        yield state
        following = self.add(index, self.constant(1))
        end = self._b.block
        for phi, first, later in zip((index, *carried), (start, *initial), (following, *state.values), strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, end)
        self._b.cbranch(self._b.icmp_signed("<", following, stop), body, after)
        self._b.position_at_end(after)
        for i, (first, later) in enumerate(zip(initial, list(state.values), strict=True)):
            state.values[i] = self._b.phi(first.type)
            state.values[i].add_incoming(first, before)
            state.values[i].add_incoming(later, end)


class _Callee(NamedTuple):
    """What llvmlite wants to know of a function that it calls: its own pointers do not say what they point at."""

    get_reference: Callable[[], str]
    function_type: Value


@dataclass
class Accumulation:
    """The counter of a loop, and the values that it carries."""

    index: Value
    values: list[Value]
