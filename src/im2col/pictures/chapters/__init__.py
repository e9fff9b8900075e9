"""The chapters: one JSON file each, a list of panels and of the signs between them, which the page reads too.

``number`` orders them, ``scope`` says whether one channel and one kernel are drawn or the whole layer, ``parts`` names
panels of `panels.py`.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNS = ("→", "∗", "×", "=", "+", "÷", "Σ")


class Chapter(NamedTuple):
    """One step of the story.

    Parameters
    ----------
    number : int
        Its place, from 1.
    scope : {"channel", "layer"}
    parts : tuple of str
        Names of panels, and signs.
    """

    number: int
    scope: Literal["channel", "layer"]
    parts: tuple[str, ...]


@cache
def chapters() -> Mapping[str, Chapter]:
    """Return the chapters by name, in their order."""
    found = {}
    for entry in files(__name__).iterdir():
        if entry.name.endswith(".json"):
            written = json.loads(entry.read_text("utf-8"))
            chapter = Chapter(written["number"], written["scope"], tuple(written["parts"]))
            found[entry.name.removesuffix(".json")] = chapter
    return MappingProxyType(dict(sorted(found.items(), key=lambda item: item[1].number)))
