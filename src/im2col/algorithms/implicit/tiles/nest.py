"""The loops around a tile: images, groups, rows of the map, blocks of filters."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import reduce
from typing import TYPE_CHECKING

from ..tasks import FAR_TASK, TASK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ....engine.builder import Builder
    from ....engine.numbers import Value

    Place = dict[str, Value]
    """Addresses by operand: x, w, bias and out."""

ARGUMENTS = "*x *w *bias *out *job *task"


class Nest:
    """A kernel's loops, by the words of its job and by the ranges of its task.

    A word such as ``x_image`` is how many bytes the operand x moves from one image to the next.

    Parameters
    ----------
    b : Builder
        Of a function with `ARGUMENTS`.
    words : list of str
        Of the job, in order.
    plain : bool
        Whether x, w, bias and out were declared as plain numbers.
    far : bool
        Whether its task has the words of `FAR_TASK`.
    """

    def __init__(self, b: Builder, words: list[str], *, plain: bool = False, far: bool = False) -> None:
        self._b, self._plain = b, plain
        self.job = {word: b.entry(b["*job"], b.constant(i)) for i, word in enumerate(words)}
        self.task = {word: b.entry(b["*task"], b.constant(i)) for i, word in enumerate(FAR_TASK if far else TASK)}
        self.numbers: dict[str, Value] = {}
        """Of the image, group, block and row that the body runs for."""

    @contextmanager
    def over(self, *loops: str, order: str, at: Place | None = None, **steps: int) -> Iterator[Place]:
        """Run the body for each number of these loops; yields the operands' addresses.

        Parameters
        ----------
        *loops : str
            ``image``, ``group``, ``block`` or ``row``, the innermost last.
        order : str
            The operands that are moved, in the order in which that is written.
        at : dict, optional
            Where they stand outside these loops, if not at the kernel's arguments.
        **steps : int
            Bytes of operands for which the job has no word.
        """
        b, place = self._b, dict(at or {})
        with ExitStack() as stack:
            numbers = {n: stack.enter_context(b.loop(self.task[f"{n}1"], self.task[f"{n}0"])) for n in loops}
            self.numbers |= numbers
            for operand in order.split():
                base = place[operand] if operand in place else self._argument(operand)
                words = {loop: self.job.get(f"{operand}_{loop}", steps.get(operand)) for loop in loops}
                terms = [b.mul(numbers[loop], step) for loop, step in words.items() if step is not None]
                place[operand] = b.at(base, reduce(b.add, terms))
            yield place

    @contextmanager
    def rows(self, table: Value, at: Place, order: str, **steps: int) -> Iterator[tuple[Place, Value]]:
        """Run the body for each row of a table whose entries are x, out and a number, which is yielded.

        Rows that stay in the second level of cache are a block, and all blocks of filters pass over them.
        """
        b = self._b
        with b.loop(self.task["row1"], self.task["row0"], self.job["block"]) as first:
            stop = b.smaller(b.add(first, self.job["block"]), self.task["row1"])
            with self.over("block", order=order, at=at, **steps) as block, b.loop(stop, first) as row:
                self.numbers["row"] = row
                entry = b.mul(row, 3)
                x = b.at(block["x"], b.entry(table, entry))
                out = b.at(block["out"], b.entry(table, b.add(entry, b.constant(1))))
                yield block | {"x": x, "out": out}, b.entry(table, b.add(entry, b.constant(2)))

    def _argument(self, operand: str) -> Value:
        return self._b.address(self._b[operand]) if self._plain else self._b["*" + operand]
