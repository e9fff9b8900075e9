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


class Written(io.TextIOBase):
    """A stream that shows what is written to it.

    Parameters
    ----------
    show : callable
        Takes a kind, such as "text", and what is to be shown.
    """

    def __init__(self, show: Callable[[str, str], object]) -> None:
        self._show = show

    def write(self, text: str) -> int:
        """Show a text."""
        self._show("text", text)
        return len(text)


def show_value(value: Any, show: Callable[[str, str], object]) -> None:
    """Show the value of an expression: as HTML, as a picture, or as its representation; nothing for None.

    Parameters
    ----------
    value : object
    show : callable
        Takes a kind, "text" or "html", and what is to be shown.
    """
    if value is None:
        return
    kind = type(value)
    if hasattr(kind, "_repr_html_"):
        show("html", value._repr_html_())
    elif hasattr(kind, "_repr_png_"):
        png = b64encode(value._repr_png_()).decode()
        show("html", f'<img src="data:image/png;base64,{png}" alt="{escape(repr(value))}">')
    else:
        show("text", f"{value!r}\n")


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
                    show_value(eval(compile(ast.Expression(statement.value), name, "eval"), names), show)  # noqa: S307
                else:
                    exec(compile(ast.Module([statement], []), name, "exec"), names)  # noqa: S102 (what cells are for)
        except BaseException as error:
            frames = error.__traceback__
            while frames is not None and frames.tb_frame.f_code.co_filename != name:
                frames = frames.tb_next  # not the cell's
            show("error", "".join(traceback.format_exception(error.with_traceback(frames))))
            return False
    return True
