"""A matrix of constants times a column of vectors, written in as few instructions as its symmetry allows.

Points come in pairs ±p, so rows of the matrices do that differ in signs alone, or columns: what is even is computed
once, and what is odd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from .cook_toom import Matrix

    Row = Sequence[Fraction]


def multiplied(b: Builder, matrix: Matrix, values: Sequence[Value], fused: bool) -> list[Value]:
    """Return a matrix times a column of vectors, or of numbers.

    Parameters
    ----------
    b : Builder
    matrix : tuple of tuple of Fraction, (n, len(values))
    values : sequence of Value
    fused : bool
        Whether a product and a sum are rounded once.

    Returns
    -------
    list of Value
        One for each row.
    """
    return _by_pairs_of_rows(b, *_with_paired_columns(b, matrix, list(values)), fused)


def instructions(matrix: Matrix) -> int:
    """Return how many instructions `multiplied` writes: products that are fused with their sums count once."""
    columns, pairs = _paired_columns(matrix)
    total, i = 2 * len(pairs), 0
    while i < len(columns):
        if i + 1 < len(columns) and _mirrored(columns[i], columns[i + 1]):
            even, odd = _even_and_odd(columns[i], columns[i + 1])
            total += _terms(even) + _terms(_scaled(odd)) + 2
            i += 2
        else:
            total += _terms(columns[i])
            i += 1
    return total


def _terms(row: Row) -> int:
    """Return the instructions of a sum of products: the first one is free where its factor is 1."""
    factors = [f for f in row if f]
    return len(factors) - (1 in factors)


def _mirrored(a: Row, b: Row) -> bool:
    """Whether two rows differ in signs alone, some of them equal and some not."""
    return a != b and list(map(abs, a)) == list(map(abs, b))


def _even_and_odd(a: Row, b: Row) -> tuple[list[Fraction], list[Fraction]]:
    return [(x + y) / 2 for x, y in zip(a, b, strict=True)], [(x - y) / 2 for x, y in zip(a, b, strict=True)]


def _scaled(row: Row) -> list[Fraction]:
    """Return a row divided by its last factor that is not 0."""
    last = next(f for f in reversed(row) if f)
    return [f / last for f in row]


def _paired_columns(matrix: Matrix) -> tuple[list[list[Fraction]], list[int]]:
    """Return the matrix of sums and differences, and which columns stand beside a mirrored one, whose pair they are."""
    columns = [list(column) for column in zip(*matrix, strict=True)]
    pairs, i = [], 0
    while i + 1 < len(columns):
        if len(columns[i]) > 1 and _mirrored(columns[i], columns[i + 1]):
            even, odd = _even_and_odd(columns[i], columns[i + 1])
            # A pair must not cost more than it saves: each factor stands in one of the two.
            if not any(e and o for e, o in zip(even, odd, strict=True)):
                columns[i], columns[i + 1] = even, odd
                pairs.append(i)
            i += 1
        i += 1
    return [list(row) for row in zip(*columns, strict=True)], pairs


def _with_paired_columns(b: Builder, matrix: Matrix, values: list[Value]) -> tuple[list[list[Fraction]], list[Value]]:
    """Return a matrix and values with the same product, of fewer factors."""
    rows, pairs = _paired_columns(matrix)
    for i in pairs:
        values[i], values[i + 1] = b.plus(values[i], values[i + 1]), b.minus(values[i], values[i + 1])
    return rows, values


def _by_pairs_of_rows(b: Builder, rows: list[list[Fraction]], values: list[Value], fused: bool) -> list[Value]:
    found: list[Value] = []
    while len(found) < len(rows):
        row, *others = rows[len(found) :]
        if others and _mirrored(row, others[0]):
            even, odd = _even_and_odd(row, others[0])
            factor = next(f for f in reversed(odd) if f)
            whole, rest = _sum(b, even, values, fused), _sum(b, _scaled(odd), values, fused)
            found += [_plus(b, whole, each, rest, fused) for each in (factor, -factor)]
        else:
            found.append(_sum(b, row, values, fused))
    return found


def _sum(b: Builder, row: Row, values: Sequence[Value], fused: bool) -> Value:
    """Return the sum of products of a row, from a term whose factor is 1 if there is one."""
    terms = [(factor, value) for factor, value in zip(row, values, strict=True) if factor]
    first = next((i for i in reversed(range(len(terms))) if terms[i][0] == 1), len(terms) - 1)
    factor, total = terms.pop(first)
    if factor != 1:
        total = b.times(total, b.numbers(float(factor), total.type))
    for each, value in terms:
        total = _plus(b, total, each, value, fused)
    return total


def _plus(b: Builder, total: Value, factor: Fraction, value: Value, fused: bool) -> Value:
    """Return total + factor · value."""
    if factor == 1:
        return b.plus(total, value)
    if factor == -1:
        return b.minus(total, value)
    return b.multiply_add(value, b.numbers(float(factor), value.type), total, fused)
