"""The languages: one dictionary each, a JSON file of the same keys, which the page reads too."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import ArgumentError, shown
from ...spec.arguments import word

if TYPE_CHECKING:
    from collections.abc import Mapping


class Text(NamedTuple):
    """A sentence of the dictionary: its key, and what stands in its braces."""

    key: str
    values: Mapping[str, Any] = {}

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data; values that are texts too become objects of the same kind."""
        values = {name: v.to_json() if isinstance(v, Text) else v for name, v in self.values.items()}
        return {"key": self.key, "values": values}


@cache
def languages() -> tuple[str, ...]:
    """Return the names of the dictionaries: "en", "zh", and what else stands in this folder."""
    return tuple(
        sorted(entry.name.removesuffix(".json") for entry in files(__name__).iterdir() if entry.name.endswith(".json"))
    )


def dictionary(lang: str) -> Mapping[str, str]:
    """Return a language's dictionary.

    Raises
    ------
    ArgumentError
        If there is none.
    """
    name = word(lang)
    if name is None or name not in languages():
        raise ArgumentError(f"lang must be one of {languages()}, got {shown(lang)}")
    return _read(name)


@cache
def _read(lang: str) -> Mapping[str, str]:
    found: dict[str, str] = json.loads((files(__name__) / f"{lang}.json").read_text("utf-8"))
    return found


def say(words: Mapping[str, str], text: Text | None) -> str:
    """Return a text in a language; values that are themselves texts are said first.

    Parameters
    ----------
    words : mapping of str to str
        A dictionary.
    text : Text or None
        None says nothing.
    """
    if text is None:
        return ""
    return words[text.key].format(**{name: _value(words, value) for name, value in text.values.items()})


def _value(words: Mapping[str, str], value: Any) -> Any:
    return say(words, value) if isinstance(value, Text) else f"{value:,}" if isinstance(value, int) else value
