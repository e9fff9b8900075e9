"""What a kernel does step by step: arithmetic on 64-bit integers, loops and branches over LLVM IR."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .ordering import Ordering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .numbers import Value
    from .target import Target


class Control(Ordering):
    """What a `Builder` knows of counters, calls, loops and branches; it says in which function they are."""

    _function: Value

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

    def both(self, a: Value, b: Value) -> Value:
        """Return whether two conditions hold."""
        return self._b.and_(a, b)

    def choose(self, condition: Value, a: Value, b: Value) -> Value:
        """Return a where the condition holds, else b."""
        return self._b.select(condition, a, b)

    # Words that several threads read and write

    def exchange(self, address: Value, value: Value) -> Value:
        """Write a 64-bit integer, and return what stood there."""
        return self._b.atomic_rmw("xchg", address, value, "seq_cst")

    def fetch_add(self, address: Value, value: Value) -> Value:
        """Add to a 64-bit integer, and return what it was."""
        return self._b.atomic_rmw("add", address, value, "seq_cst")

    def watched(self, address: Value) -> Value:
        """Return a 64-bit integer that another thread may be writing, and see what it wrote before."""
        return self._b.load_atomic(address, "acquire", 8, typ=self.i64)

    def pause(self, target: Target) -> None:
        """Tell the CPU that a loop does nothing but watch."""
        if target.is_arm:
            self._call("llvm.aarch64.hint", self._ir.VoidType(), [self._ir.IntType(32)(1)])
        else:
            self._call("llvm.x86.sse2.pause", self._ir.VoidType(), [])

    # Calls, loops and branches

    def call(self, function: Value, arguments: list[Value]) -> None:
        """Call the function of 64-bit integers, or addresses, that stands at an address."""
        kind = self._ir.FunctionType(self._ir.VoidType(), [value.type for value in arguments])
        self._b.call(_Callee(function.get_reference, kind), arguments)

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

    @contextmanager
    def only_if(self, condition: Value, initial: list[Value]) -> Iterator[Accumulation]:
        """Run the body where the condition holds, else go on with the values as they are.

        The body reads ``values`` and replaces them; behind it they are those of either way.
        """
        before = self._b.block
        body = self._function.append_basic_block("body")
        after = self._function.append_basic_block("after")
        self._b.cbranch(condition, body, after)
        self._b.position_at_end(body)
        state = Accumulation(self.constant(0), list(initial))
        yield state
        end = self._b.block
        self._b.branch(after)
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
