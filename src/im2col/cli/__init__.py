"""The entry point of the command line: it runs a command and turns every error into one line."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

from ..errors import Im2colError
from ..version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BAD_INPUT, BROKEN_PIPE, INTERRUPTED = 2, 1, 130


class _Ended(BaseException):
    """The process was asked to end; what is on its way out is tidied up."""

    def __init__(self, number: int) -> None:
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``im2col``.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the program's name; ``sys.argv[1:]`` if left out. None at all, ``help`` and ``-h`` show the help.

    Returns
    -------
    int
        The exit status: 0; 1 where `demo` finds a wrong result, and where nobody reads the output any more; 2 for bad
        input, after one line on standard error; 130 after Ctrl-C; 143 and 129 after the signals TERM and HUP.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no × shows a ?
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _say(message)
        try:
            with _signals():
                status = _run(sys.argv[1:] if arguments is None else list(arguments))
            print(end="", flush=True)  # also where standard output is closed, and None
        except BrokenPipeError:
            _discard_output()
            return BROKEN_PIPE
        except OSError as cause:
            _discard_output()
            return _fail(cause.strerror or cause)
        except MemoryError as cause:
            return _fail(cause if isinstance(cause, Im2colError) else "out of memory; use a smaller image or kernel")
        except Im2colError as cause:
            return _fail(cause)
        except KeyboardInterrupt:
            status = INTERRUPTED
        except _Ended as cause:
            _say("ended by a signal")
            return 128 + cause.number
    if status == INTERRUPTED:
        _say("interrupted")
    return status


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:  # which needs no library
        print(f"im2col {__version__}")
        return 0
    if not arguments or arguments[0] == "help":
        arguments = [*arguments[1:], "--help"]
    try:
        import typer
    except ImportError:
        return _fail("the command line needs typer and rich; install them with pip install 'im2col[cli]'")
    from .commands import app

    # What typer raises on wrong usage has no public name but that of its subclass.
    usage_error: Any = typer.BadParameter.__mro__[1]
    try:
        status = typer.main.get_command(app).main(arguments, prog_name="im2col", standalone_mode=False)
    except usage_error as cause:
        context = getattr(cause, "ctx", None)
        command = context.command_path if context else "im2col"
        return _fail(f"{cause.format_message().rstrip('.')}; try {command} --help")
    except typer.Abort as cause:
        raise KeyboardInterrupt from cause
    return status or 0


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Let the signals that end a process raise `_Ended` first, so that no part of a file stays."""

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one would break the tidying off
        raise _Ended(number)

    changed = []
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, end)
                changed.append(number)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _say(message: object) -> None:
    """Print one line on standard error, whatever the message holds; an error of a command begins with its name."""
    own = isinstance(message, Im2colError) and message.operation
    print(f"im2col{' ' if own else ': '}{' '.join(str(message).split())}", file=sys.stderr)


def _fail(message: object) -> int:
    _say(message)
    return BAD_INPUT


def _discard_output() -> None:
    """Send what is still in standard output's buffer nowhere: Python would try to write it once more on its way out."""
    with contextlib.suppress(OSError, AttributeError):  # None, where it is closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
