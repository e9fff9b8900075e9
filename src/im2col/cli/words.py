"""The words of the command line: examples, and messages that speak of options where functions speak of arguments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def example(line: str) -> str:
    """Return what a command's help ends with."""
    return f"Example: {line}"


def in_words_of_options(message: str, parameters: Iterable[Any]) -> str:
    """Return an error's message in which arguments of the library are options of a command.

    Parameters
    ----------
    message : str
        Such as ``padding_mode must be one of ...; pass layout='HWC'``.
    parameters : iterable
        Those of the command: typer's, which have a name and the options that set it.

    Returns
    -------
    str
        Such as ``--padding-mode must be one of ...; pass --layout HWC``.
    """
    message = message.replace("lower workspace_limit, or ", "")  # which no command has
    message = message.replace("pass force (--force)", "pass --force")
    message = message.replace("pass large=True (--large)", "pass --large")
    for parameter in parameters:
        if parameter.name == "weight_shape":
            message = message.replace("pass w of shape", "pass WEIGHT_SHAPE of")
        option = next((option for option in parameter.opts if option.startswith("--")), None)
        if option is None:
            continue
        name = re.escape(option[2:].replace("-", "_"))
        message = re.sub(rf"(?<![\w-]){name}=(?:'([^']*)'|([^\s;,]+))", rf"{option} \1\2", message)
        message = re.sub(rf"^{name} (must|has|counts|is)\b", rf"{option} \1", message)
        if "_" in name:
            message = re.sub(rf"(?<![\w/.-]){name}(?![\w/]|\.\w)", option, message)  # but not in a file's name
    return message
