"""Run cells: each statement shows its value, as at a prompt; as HTML or a picture where it has one, as in notebooks."""

from __future__ import annotations

import ast
import io
import linecache
import traceback
from base64 import b64encode
from contextlib import redirect_stderr, redirect_stdout
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 30_000
"""Characters of what a cell prints that are shown: a page that is sent more, as by a loop that never ends, has no time
left for the press that stops it."""


class Written(io.TextIOBase):
    """A stream that shows what is written to it.

    Parameters
    ----------
    show : callable
        Takes a kind, such as "text", and what is to be shown.
    """

    def __init__(self, show: Callable[[str, str], object]) -> None:
        self._show = show
        self._left = MOST

    def write(self, text: str) -> int:
        """Show a text, as far as there may be more of it."""
        if self._left >= 0:
            self._show("text", text[: self._left])
            self._left -= len(text)
            if self._left < 0:
                self._show("text", f"\n… no more than {MOST} characters are shown\n")
        return len(text)


def show_value(value: Any, show: Callable[[str, str], object], written: Written) -> None:
    """Show the value of an expression: as HTML, as a picture, or as its representation; nothing for None.

    As in notebooks, a value that gives None for its HTML, or its picture, has none.

    Parameters
    ----------
    value : object
    show : callable
        Takes "html" and what is to be shown.
    written : Written
        Takes a representation.
    """
    if value is None:
        return
    kind = type(value)
    html = value._repr_html_() if hasattr(kind, "_repr_html_") else None
    png = value._repr_png_() if html is None and hasattr(kind, "_repr_png_") else None
    if png is not None:
        html = f'<img src="data:image/png;base64,{b64encode(png).decode()}" alt="{escape(repr(value))}">'
    if html is None:
        written.write(f"{value!r}\n")
    else:
        show("html", html)


def run_cell(code: str, name: str, names: dict[str, Any], show: Callable[[str, str], object]) -> bool:
    """Run a cell, one statement after the other, and show what each prints and is.

    Parameters
    ----------
    code : str
    name : str
        Of the cell, for tracebacks.
    names : dict
        What earlier cells have defined; this one adds to it.
    show : callable
        Takes a kind, "text", "html" or "error", and what is to be shown.

    Returns
    -------
    bool
        Whether all of it ran; if not, the last that was shown is the error.
    """
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    written = Written(show)
    with redirect_stdout(written), redirect_stderr(written):
        try:
            for statement in ast.parse(code, name).body:
                if isinstance(statement, ast.Expr):
                    show_value(eval(compile(ast.Expression(statement.value), name, "eval"), names), show, written)  # noqa: S307
                else:
                    exec(compile(ast.Module([statement], []), name, "exec"), names)  # noqa: S102 (what cells are for)
        except BaseException as error:
            frames = error.__traceback__
            while frames is not None and frames.tb_frame.f_code.co_filename != name:
                frames = frames.tb_next  # not the cell's
            show("error", "".join(traceback.format_exception(error.with_traceback(frames))))
            return False
    return True
