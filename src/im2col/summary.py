"""What an object tells people of itself: facts and tables, printed as text, and shown in notebooks as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .importing import importing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_LEAST = 10
"""Characters that a name takes in a line of text."""
_MOST_ROWS = 100
"""Of a table in HTML: a notebook keeps what it shows."""
_STYLE = """
.im2col-summary{max-width:100%;overflow-x:auto;font-size:13px;line-height:1.45}
.im2col-summary.im2col-summary table{margin:0 0 .8em;border:0;border-collapse:collapse;font:inherit;color:inherit}
.im2col-summary.im2col-summary tr:nth-child(n){background:none}
.im2col-summary.im2col-summary :is(th,td){padding:.15em .9em .15em 0;border:0;max-width:60em;text-align:left;\
vertical-align:top;white-space:normal;font-weight:400}
.im2col-summary p{margin:0 0 .2em;font-weight:600}
.im2col-summary.im2col-summary th[scope=row]{opacity:.75;white-space:nowrap}
.im2col-summary.im2col-summary th[scope=col]{font-weight:600}
.im2col-summary.im2col-summary thead tr:nth-child(n){border-bottom:1px solid color-mix(in srgb,currentColor 35%,#0000)}
.im2col-summary.im2col-summary tfoot tr:nth-child(n){border-top:1px solid color-mix(in srgb,currentColor 35%,#0000)}
.im2col-summary.im2col-summary tr[aria-current]:nth-child(n){background:color-mix(in srgb,currentColor 12%,#0000)}
.im2col-summary.im2col-summary tr[aria-current] th{opacity:1;font-weight:600}
.im2col-summary.im2col-summary .im2col-right{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
"""
"""Every colour is the text's own, or a share of it, so that it is right on any paper: no theme has to be known."""

Fact = tuple[str, ...]
"""A name and what is said of it, in one line or more."""


class Table(NamedTuple):
    """Rows under a header.

    Parameters
    ----------
    header : tuple of str
        The names of the columns. The first column names the rows.
    rows : tuple of tuple of str
    title : str
    chosen : int, optional
        The row that was taken among them.
    total : tuple of str, optional
        A last row, of sums.
    right : tuple of int
        Columns of numbers, which end at the right.
    facts : tuple of Fact
        What follows the rows.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()
    title: str = ""
    chosen: int | None = None
    total: tuple[str, ...] | None = None
    right: tuple[int, ...] = ()
    facts: tuple[Fact, ...] = ()

    def columns(self) -> list[str]:
        """Return its lines as text in columns, header and total included."""
        rows = [self.header, *self.rows, *([] if self.total is None else [self.total])]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(self._aligned(row, widths)) for row in rows]

    def _aligned(self, row: tuple[str, ...], widths: list[int]) -> Iterator[str]:
        for i, (value, width) in enumerate(zip(row, widths, strict=True)):
            yield value.rjust(width) if i in self.right else value.ljust(width)


class Summary(NamedTuple):
    """What an object tells of itself.

    Parameters
    ----------
    title : str
        What it is, in a line; facts stand under it.
    facts : tuple of Fact
    tables : tuple of Table
    """

    title: str
    facts: tuple[Fact, ...] = ()
    tables: tuple[Table, ...] = ()

    def text(self) -> str:
        """Return it for a terminal: a line for each fact and each row, an arrow at what was chosen."""
        lines = [self.title, *_fact_lines(self.facts, "  ")]
        for table in self.tables:
            lines += [f"  {table.title}"] if table.title else []
            indent = "    " if table.title else "  "
            for i, (name, *rest) in enumerate(table.rows):
                lines.append(f"{indent}{'→' if i == table.chosen else ' '} {name:<{_LEAST}} {'  '.join(rest)}")
            lines += _fact_lines(table.facts, indent)
        return "\n".join(lines)

    def html(self) -> str:
        """Return it for a notebook: tables with headers and a style of their own, every word escaped."""
        with importing:
            from html import escape

        def said(text: str) -> str:
            return escape(text.encode("utf-8", "backslashreplace").decode())  # surrogates are no text

        parts = [f"<style>{_STYLE}</style>", *(_fact_table(self.title, self.facts, said) if self.facts else ())]
        for table in self.tables:
            parts += _table(table, said)
            parts += _fact_table("", table.facts, said) if table.facts else []
        return f'<div class="im2col-summary">{"".join(parts)}</div>'


def _fact_lines(facts: Iterable[Fact], indent: str) -> list[str]:
    width = max([_LEAST, *(len(name) for name, *_ in facts)])
    return [f"{indent}{'' if i else name:<{width}} {each}" for name, *said in facts for i, each in enumerate(said)]


def _fact_table(title: str, facts: Iterable[Fact], said: Callable[[str], str]) -> Iterator[str]:
    yield _beginning(title, said) + "<tbody>"
    for name, *values in facts:
        yield f'<tr><th scope="row">{said(name)}</th><td>{"<br>".join(map(said, values))}</td></tr>'
    yield "</tbody></table>"


def _beginning(title: str, said: Callable[[str], str]) -> str:
    """Return where a table begins; a title above it may be longer than the table is wide."""
    return f'<p>{said(title)}</p><table aria-label="{said(title)}">' if title else "<table>"


def _table(table: Table, said: Callable[[str], str]) -> Iterator[str]:
    def row(values: tuple[str, ...], tag: str = "td", attributes: str = "") -> str:
        cells = []
        for i, value in enumerate(values):
            name, scope = ("th", "row") if i == 0 and tag == "td" else (tag, "col")
            scoped = f' scope="{scope}"' if name == "th" else ""
            side = ' class="im2col-right"' if i in table.right else ""
            cells.append(f"<{name}{scoped}{side}>{said(value)}</{name}>")
        return f"<tr{attributes}>{''.join(cells)}</tr>"

    yield _beginning(table.title, said)
    if table.header:
        yield f"<thead>{row(table.header, 'th')}</thead>"
    yield "<tbody>"
    for i, (name, *rest) in enumerate(table.rows[:_MOST_ROWS]):
        is_chosen = i == table.chosen
        yield row((f"→ {name}" if is_chosen else name, *rest), attributes=' aria-current="true"' * is_chosen)
    if len(table.rows) > _MOST_ROWS:
        more = f"{len(table.rows) - _MOST_ROWS:,} more, which print shows"
        yield f'<tr><td colspan="{len(table.header)}">{more}</td></tr>'
    yield "</tbody>"
    if table.total is not None:
        yield f"<tfoot>{row(table.total)}</tfoot>"
    yield "</table>"
