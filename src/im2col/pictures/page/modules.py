"""One file out of the page's JavaScript modules, without a bundler: concatenation in the order of their imports.

The modules keep to one form each: ``import { a, b } from "./x.js";`` on a line of its own, ``export`` only before a
declaration, everything at the top level of a module in its first column, and no top-level name twice in the folder.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_IMPORT = re.compile(r'import \{ ((?:\w+, )*\w+) \} from "\./([\w-]+\.js)";')
_DECLARATION = re.compile(r"(export )?(?:async )?(?:function\*?|class|const|let) (\w+)\b")
_UNKNOWN = re.compile(r"""\s*(?:import|export)[\s{*"'].*|var\s.*|(?:const|let)\s*[\[{].*|.*(?<![\w.])import\s*\(.*""")


def inline_modules(folder: Traversable, *entries: str) -> str:
    """Return JavaScript modules as one script, each after those that it imports.

    Parameters
    ----------
    folder : path-like
        Where the modules are.
    *entries : str
        Names of the modules that are wanted, with what they import; all in the folder if none is given.

    Returns
    -------
    str
        Their text without import lines and the word ``export``. It is the same whatever order the folder lists them in.

    Raises
    ------
    ValueError
        If an import or an export is of an unknown form, names what its module does not export, or runs in a circle, or
        a top-level name is declared twice.
    """
    names = sorted(entries or (entry.name for entry in folder.iterdir() if entry.name.endswith(".js")))
    modules: dict[str, _Module] = {}
    for name in names:
        _collect(folder, name, modules, ())
    declared: dict[str, str] = {}
    for name, module in modules.items():
        for declaration in module.declarations:
            if declaration in declared:
                raise ValueError(f"{name}: {declaration} is declared in {declared[declaration]} too")
            declared[declaration] = name
    return "\n".join(module.body for module in modules.values())


class _Module:
    """A module taken apart."""

    def __init__(self, name: str, text: str) -> None:
        self.imports: dict[str, list[str]] = {}
        self.declarations: list[str] = []
        self.exports: set[str] = set()
        body = []
        for line in text.splitlines():
            if found := _IMPORT.fullmatch(line):
                self.imports.setdefault(found[2], []).extend(found[1].split(", "))
                continue
            if found := _DECLARATION.match(line):
                self.declarations.append(found[2])
                if found[1]:
                    self.exports.add(found[2])
                body.append(line.removeprefix("export "))
                continue
            if _UNKNOWN.fullmatch(line):
                raise ValueError(f"{name}: {line!r} is no form of import, export or declaration that is known here")
            if line != "// @ts-check":
                body.append(line)
        self.body = "\n".join(body).strip() + "\n"


def _collect(folder: Traversable, name: str, modules: dict[str, _Module], above: tuple[str, ...]) -> None:
    """Add a module behind those that it imports."""
    if name in above:
        raise ValueError(f"{name} imports itself, by way of {', '.join(above[above.index(name) :])}")
    if name in modules:
        return
    module = _Module(name, (folder / name).read_text("utf-8"))
    for imported, wanted in sorted(module.imports.items()):
        _collect(folder, imported, modules, (*above, name))
        if absent := sorted(set(wanted) - modules[imported].exports):
            raise ValueError(f"{name} imports {', '.join(absent)}, which {imported} does not export")
    modules[name] = module
