"""Threads that watch a word of memory for work: what they are given begins within a microsecond.

To wake a thread takes the system 10 to 40 µs each way, as long as a layer of 10 million operations. So threads that
have had work go on watching for as long as waking them would take, and sleep then: at worst, waiting costs twice what
the better of both would have. They take task after task without Python: each those of its own share first, which are
the same ones in every call, since its caches hold what it read and wrote there; then what others have left of theirs.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..importing import importing
from .compiler import Kernel, load, required
from .host import usable_cpus
from .sequence import ARRAYS, SEQUENCE, address_of, identities
from .threads import run_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from .builder import Builder
    from .numbers import Value
    from .sequence import Steps
    from .target import Target

WATCHED_SECONDS = 50e-6
"""How long a thread watches for more work before it sleeps, and the caller for the others' last tasks at a time."""
EXPECTED_SECONDS = 2e-3
"""How long it watches where more is known to come: see `expecting_more`."""
_TRIED = 2000
"""Turns of watching by which its time is measured."""
_NEVER = 1 << 62
_LINE = 8
"""Words of a line of the cache."""
LEFT, COUNT, FUNCTION, IDS, TAKEN, SHARES = 0, _LINE, _LINE + 1, _LINE + 2, 2 * _LINE, 3 * _LINE
"""Words of a piece of work: how many threads have left, how many shares there are, what runs tasks, the arrays'
identities, how many threads took part, and the shares, a line each; behind them come the tasks' lists."""
_NEXT, _STOP, _FIRST = 0, 1, 2
"""Words of a share: which of the piece's words is the list of its next task, which is behind its last, and which is
that of its first."""
_IDS = " ".join(f"id{i}" for i in range(ARRAYS))
_MAIL, _ASLEEP = 0, 1
"""Words of a thread's line: the work it is given, and whether it sleeps."""


def _post(name: str, _target: Target) -> str:
    """Make a piece of work ready for some arrays, and give it to so many threads."""
    b = _builder(name, f"block lines count {_IDS}")
    block, lines, first = b.address(b["block"]), b.address(b["lines"]), b.constant(8 * _FIRST)
    for i, each in enumerate(_IDS.split()):
        b.store(b[each], b.at(block, b.constant(8 * (IDS + i))))
    b.store(b.constant(0), b.at(block, b.constant(8 * LEFT)))
    with b.loop(b.entry(block, b.constant(COUNT))) as i:
        share = _share(b, block, i)
        b.store(b.load(b.at(share, first), b.i64), share)
    with b.loop(b["count"]) as i:
        b.exchange(b.at(lines, b.mul(i, 8 * _LINE)), b["block"])
    return b.finish()


def _run(name: str, target: Target) -> str:
    """Work with the others, take back what they have not begun, and watch for their end."""
    b = _builder(name, "block lines count turns")
    block, lines, zero = b.address(b["block"]), b.address(b["lines"]), b.constant(0)
    _work(b, block, zero)
    with b.accumulate(zero, b["count"], [zero]) as state:
        back = b.exchange(b.at(lines, b.mul(state.index, 8 * _LINE)), zero)
        (taken,) = state.values
        state.values = [b.choose(b.inside(zero, back), taken, b.add(taken, b.constant(1)))]
    (taken,) = state.values
    b.store(taken, b.at(block, b.constant(8 * TAKEN)))
    _watch(b, target, block, taken)
    return b.finish()


def _wait(name: str, target: Target) -> str:
    """Watch once more."""
    b = _builder(name, "block turns")
    block = b.address(b["block"])
    _watch(b, target, block, b.entry(block, b.constant(TAKEN)))
    return b.finish()


def _attend(name: str, target: Target) -> str:
    """Do what is given to a thread, until nothing was for as many turns as a word says, which may change meanwhile."""
    b = _builder(name, "line turns number")
    line, turns, zero, one, never = b.address(b["line"]), b.address(b["turns"]), *map(b.constant, (0, 1, _NEVER))
    asleep = b.at(line, b.constant(8 * _ASLEEP))
    b.exchange(asleep, zero)
    with b.walk(zero, never) as state:
        following = b.add(state.index, one)
        waited = b.choose(b.inside(following, b.watched(turns)), following, never)
        with b.only_if(b.inside(zero, b.watched(line)), [waited]) as seen:
            given = b.exchange(line, zero)
            with b.only_if(b.inside(zero, given), []):
                block = b.address(given)
                _work(b, block, b["number"])
                b.fetch_add(b.at(block, b.constant(8 * LEFT)), one)
            seen.values = [zero]
        b.pause(target)
        state.values = list(seen.values)
    b.exchange(asleep, one)
    return b.finish()


def _work(b: Builder, block: Value, number: Value) -> None:
    """Take task after task: those of the thread's own share, then of the shares that follow."""
    one = b.constant(1)
    count, function, *ids = (b.entry(block, b.constant(i)) for i in range(COUNT, IDS + ARRAYS))
    with b.loop(count) as i:
        place = b.add(number, i)
        own = b.choose(b.inside(place, count), place, b.sub(place, count))
        share = _share(b, block, own)
        with b.walk(b.fetch_add(share, one), b.entry(share, b.constant(_STOP))) as state:
            b.call(b.address(function), [b.entry(block, state.index), *ids])
            state.values = [b.fetch_add(share, one)]


def _share(b: Builder, block: Value, number: Value) -> Value:
    """Return the address of a share, which is that of its word `_NEXT`."""
    return b.at(block, b.add(b.mul(number, 8 * _LINE), b.constant(8 * SHARES)))


def _watch(b: Builder, target: Target, block: Value, taken: Value) -> None:
    """Wait until so many threads have left, for so many turns."""
    with b.walk(b.constant(0), b["turns"]) as state:
        left = b.watched(b.at(block, b.constant(8 * LEFT)))
        b.pause(target)
        state.values = [b.choose(b.inside(left, taken), b.add(state.index, b.constant(1)), b["turns"])]


def _builder(name: str, arguments: str) -> Builder:
    with importing:
        from .builder import Builder

    return Builder(name, arguments)


_KERNELS = (
    Kernel("post", _post, (), 3 + ARRAYS, 1),
    Kernel("team_run", _run, (), 4, 1),
    Kernel("team_wait", _wait, (), 2, 1),
    Kernel("attend", _attend, (), 3, 1),
)


class _Team:
    """The threads, and the words that they watch."""

    def __init__(self, functions: Sequence[Callable[..., None]]) -> None:
        self._post, self._run, self._wait, self._attend = functions
        self.most = usable_cpus() - 1
        self.busy = threading.Lock()
        # Each thread has a line, which may be none; one more is for `_timed`. The turns of watching come last.
        self._lines = np.zeros((self.most + 3, _LINE), np.int64)
        self._at = address_of(self._lines) + -address_of(self._lines) % (8 * _LINE)
        self._words = self._lines.reshape(-1)[(self._at - address_of(self._lines)) // 8 :]
        self._sleepers: list[threading.Semaphore] = []
        self._latest = np.zeros(SHARES, np.int64)
        last = (self.most + 1) * _LINE
        self._patience, self._patience_at = self._words[last : last + 1], self._at + 8 * last
        self._patience[0] = _TRIED
        self._turns = max(1, int(_TRIED * WATCHED_SECONDS / min(self._timed() for _ in range(3))))
        self._expecting, self.ended = 0, -WATCHED_SECONDS
        self.expect(0)

    def _timed(self) -> float:
        start = time.perf_counter()
        self._attend(self._at, self._patience_at, 0)
        return time.perf_counter() - start

    def run(self, block: NDArray[np.int64], others: int, ids: Sequence[int]) -> None:
        """Do a piece of work, about arrays of these identities, with so many other threads; `busy` is held."""
        self._settle()  # an interrupt may have come before the end of the latest
        while len(self._sleepers) < others:
            self._sleepers.append(threading.Semaphore(0))
            number = len(self._sleepers) - 1
            thread = threading.Thread(target=self._live, args=(number,), daemon=True, name=f"im2col_{number}")
            try:
                thread.start()
            except RuntimeError:  # there are no more: those that there are take the others' shares
                self._sleepers.pop()
                others = number
        self._latest, at = block, address_of(block)
        try:
            self._post(at, self._at, others, *ids)
            for i in range(others):
                if self._words[i * _LINE + _ASLEEP]:
                    self._words[i * _LINE + _ASLEEP] = 0
                    self._sleepers[i].release()
        finally:
            self._run(at, self._at, others, self._turns)
            self._settle()

    def expects(self, others: int) -> bool:
        """Return whether the latest call ended so recently that the next ones may be expected, or all are awake."""
        if time.perf_counter() - self.ended < WATCHED_SECONDS:
            return True
        return len(self._sleepers) >= others and not any(self._words[i * _LINE + _ASLEEP] for i in range(others))

    def expect(self, more: int) -> None:
        """Take note of one more, or less, who knows that calls follow."""
        self._expecting += more
        self._patience[0] = self._turns * (round(EXPECTED_SECONDS / WATCHED_SECONDS) if self._expecting else 1)

    def _settle(self) -> None:
        """Let the others end what they have begun; who waits long sleeps most of the time."""
        block, start = self._latest, 0.0
        while block[LEFT] < block[TAKEN]:
            start = start or time.perf_counter()
            time.sleep((time.perf_counter() - start) / 8)  # they may need this very CPU
            self._wait(address_of(block), self._turns)

    def _live(self, number: int) -> None:
        """Work, watch and sleep, for as long as the process lives."""
        while True:
            self._attend(self._at + 8 * _LINE * number, self._patience_at, number + 1)
            if not self._words[number * _LINE + _MAIL]:
                self._sleepers[number].acquire()


class Together:
    """Tasks of one kind of call, run by several threads; each is about the same arrays.

    Parameters
    ----------
    tasks : sequence of Steps
        Neighbours beside each other: each thread begins with as many of them.
    target : Target or None
        The CPU that they are for.
    threads : int
        At most so many work.
    worth_waking : bool
        Whether they take longer than it does to wake a thread; others are for threads that are awake.

    Raises
    ------
    EngineError
        If the kernel that runs them cannot be compiled, after the engine's warning.
    """

    def __init__(self, tasks: Sequence[Steps], target: Target | None, threads: int, *, worth_waking: bool) -> None:
        function: Any = required(SEQUENCE, target)
        self._tasks, self._others, self._threads = tasks, min(threads, len(tasks)) - 1, threads
        self._worth_waking = worth_waking
        shares = self._others + 1
        lists = SHARES + shares * _LINE
        ends = [lists + len(tasks) * i // shares for i in range(shares + 1)]
        self._block = np.zeros(lists + len(tasks), np.int64)
        self._block[COUNT] = shares
        self._block[FUNCTION] = ctypes.cast(function, ctypes.c_void_p).value or 0
        self._block[SHARES + _FIRST : lists : _LINE] = ends[:-1]
        self._block[SHARES + _STOP : lists : _LINE] = ends[1:]
        self._block[lists:] = [task.address for task in tasks]

    def run_ids(self, *ids: int) -> None:
        """Run them all for arrays of which the identities are given."""
        team = _team()
        if team is None or not team.busy.acquire(blocking=False):
            # Another call has the threads.
            run_parallel([_Task(task, ids) for task in self._tasks], self._threads)
            return
        others = min(self._others, team.most)
        try:
            if self._worth_waking or team.expects(others):
                team.run(self._block, others, ids)
            else:
                for task in self._tasks:
                    task.run_ids(*ids)
            team.ended = time.perf_counter()
        finally:
            team.busy.release()

    def run_at(self, *addresses: int) -> None:
        """Run them all for arrays that begin at these addresses."""
        starts, ids = identities(addresses)
        self.run_ids(*ids)
        del starts


class _Task:
    """A task as `run_parallel` calls it."""

    def __init__(self, steps: Steps, ids: Sequence[int]) -> None:
        self._steps, self._ids = steps, ids

    def __call__(self) -> None:
        self._steps.run_ids(*self._ids)


_lock = threading.Lock()
_state: dict[str, _Team | None] = {}


def _team() -> _Team | None:
    """Return the process's team, or None where its kernels cannot be compiled."""
    if "team" not in _state:
        with _lock:
            if "team" not in _state:
                functions = [load(kernel) for kernel in _KERNELS]
                _state["team"] = None if None in functions else _Team([each for each in functions if each])
    return _state["team"]


@contextmanager
def expecting_more() -> Iterator[None]:
    """Let threads that have had work watch for longer: calls follow each other, with other work between them."""
    team = _state.get("team")
    if team is None:
        yield
        return
    with _lock:
        team.expect(1)
    try:
        yield
    finally:
        with _lock:
            team.expect(-1)


def _forget() -> None:
    """Start anew in a forked child, which has none of the threads."""
    global _lock  # noqa: PLW0603 (the child's own)
    _lock = threading.Lock()
    _state.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
