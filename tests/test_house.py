"""The house: which way imports run, what importing costs, what is public and how it is documented."""

from __future__ import annotations

import ast
import graphlib
import inspect
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

import pytest

import im2col
from im2col import errors

from .kit.outcomes import missing, require
from .kit.processes import HANG_SECONDS
from .kit.rooms import ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE = Path(inspect.getfile(im2col)).parent
REPOSITORY = Path(__file__).parents[1]
TESTS = Path(__file__).parent

SLOW_TO_LOAD = {
    *(
        "concurrent",
        "logging",
        "hashlib",
        "tempfile",
        "pathlib",
        "urllib",
        "ipaddress",
        "pkgutil",
        "ctypes",
        "importlib.metadata",
        "platform",
    ),
    *("im2col.engine.builder", "im2col.engine.cache", "im2col.engine.gather_kernels", "im2col.engine.scatter_kernels"),
}
"""What takes longer to import than a room of the house, and waits for the first call that needs it."""

NOT_LOADED = {
    "llvmlite",
    "threadpoolctl",
    *("anywidget", "traitlets", "IPython"),
    *("typer", "click", "rich", "PIL", "tifffile", "imagecodecs", "resvg_py", "scipy"),
    *("torch", "jax", "onnx", "dask", "xarray", "pandas", "ml_dtypes", "skimage", "sklearn", "hypothesis", "pytest"),
}
"""What ``import im2col`` leaves alone: the engine's libraries, until a call needs them, every extra, and what
tests and benchmarks compare with."""

SOURCES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
PUBLIC = [name for name in im2col.__all__ if isinstance(getattr(im2col, name), FunctionType)]


def room_of(path: Path) -> str:
    """Return the name under which a source file stands in ORDER."""
    return path.parts[0].removesuffix(".py")


def imports_of(source: str, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield what a source file imports of its own top package, anywhere in it, as dotted names without the first.

    Parameters
    ----------
    source : str
        The text of a module.
    package : tuple of str
        The package it stands in, from the top one on.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            names = [(*base, alias.name) for alias in node.names]
        else:
            continue
        yield from (name[1:] for name in names if name[0] == package[0])


def allowed(path: Path, imported: tuple[str, ...]) -> bool:
    """Say whether the module at `path` may import `imported`."""
    room, target = room_of(path), imported[0] if imported else "__init__"
    if room in {"__init__", "__main__"}:
        return target in ORDER
    if target not in ORDER:
        return False
    if room == "engine":
        return target in {"engine", "errors", "importing", "memory", "version"}
    if room == target:
        return len(path.parts) > 1  # within a folder
    return ORDER.index(target) < ORDER.index(room)


@pytest.mark.every
@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_imports_only_run_up_the_list(path: Path) -> None:
    """Every import, in functions and for type checkers too, is of what stands before the module in ORDER."""
    assert room_of(path) in {*ORDER, "__init__", "__main__"}, "give the module a place in ORDER"
    found = imports_of((PACKAGE / path).read_text(), ("im2col", *path.parts[:-1]))
    assert [".".join(name) for name in found if not allowed(path, name)] == []


@pytest.mark.every
@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.relative_to(TESTS).as_posix())
def test_no_file_of_the_tests_imports_a_test(path: Path) -> None:
    """What several test files share stands in `tests/kit`, and the kit needs nothing but itself and the library."""
    package = ("tests", *path.relative_to(TESTS).parts[:-1])
    found = imports_of(path.read_text(), package)
    wrong = [name for name in found if name[0].startswith("test_") or ("kit" in package and name[0] != "kit")]
    assert wrong == []


@pytest.mark.parametrize(
    ("path", "line", "good"),
    [
        ("matrix/fold.py", "from ..spec.border import fold_padding", True),
        ("matrix/fold.py", "from ..engine import scatter", True),
        ("matrix/fold.py", "from .frame import Frame", True),
        ("matrix/fold.py", "from ..layers.plan import Plan", False),
        ("matrix/fold.py", "from .. import layers", False),
        ("matrix/fold.py", "import im2col.layers.plan", False),
        ("matrix/fold.py", "from im2col import pictures", False),
        ("matrix/fold.py", "def f():\n    from ..layers.plan import Plan", False),
        ("matrix/fold.py", "if TYPE_CHECKING:\n    from ..layers.plan import Plan", False),
        ("matrix/fold.py", "import numpy.fft", True),
        ("engine/gather.py", "from ..errors import EngineWarning", True),
        ("engine/gather.py", "from .builder import Builder", True),
        ("engine/gather.py", "from . import builder", True),
        ("engine/gather.py", "from ..spec.geometry import Geometry", False),
        ("engine/gather.py", "from .. import spec", False),
        ("algorithms/explicit.py", "from .contract import Suitability", True),
        ("algorithms/explicit.py", "from ..matrix.frame import patch_view", True),
        ("algorithms/explicit.py", "from ..layers.plan import Plan", False),
        ("demo.py", "from .layers.plan import Plan", True),
        ("demo.py", "from .nowhere import thing", False),
    ],
)
def test_the_import_rule_notices_what_it_must(path: str, line: str, good: bool) -> None:
    """Planted imports, allowed and forbidden."""
    (found,) = imports_of(line, ("im2col", *Path(path).parts[:-1])) if line != "import numpy.fft" else [("errors",)]
    assert allowed(Path(path), found) is good


def import_graph(sources: Mapping[Path, str]) -> dict[Path, set[Path]]:
    """Return which files each file of a package imports, in functions and for type checkers too.

    Parameters
    ----------
    sources : mapping of Path to str
        The text of each file, by its path in the package. A name that is imported stands for the longest part of it
        that is a file: ``from .pkg import name`` for pkg/name.py, or else pkg/__init__.py, or else pkg.py.
    """

    def file_of(name: tuple[str, ...]) -> Path:
        path = Path(*name)
        candidates = ([path.with_suffix(".py")] if name else []) + [path / "__init__.py"]
        return next((file for file in candidates if file in sources), None) or file_of(name[:-1])

    return {
        path: {file_of(name) for name in imports_of(source, ("im2col", *path.parts[:-1]))}
        for path, source in sources.items()
    }


def cycle_of(graph: Mapping[Path, set[Path]]) -> list[str]:
    """Return files of which each imports the next, from one to itself again; none where there is no such cycle."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as found:
        return [path.as_posix() for path in reversed(found.args[1])]
    return []


def test_a_kernel_is_made_of_what_its_key_covers() -> None:
    """What a file with kernels imports, at any remove, lies in folders that the cache's key covers, or makes no IR."""
    sources = {path: (PACKAGE / path).read_text() for path in SOURCES}
    graph = import_graph(sources)
    makers = [path for path, source in sources.items() if re.search(r"(?<![\w.])Kernel\(", source)]
    makers = [path for path in makers if path.parts[0] == "engine" or Path("engine/compiler.py") in graph[path]]
    assert len(makers) >= 20
    for maker in makers:
        reached, waiting = set[Path](), {maker}
        while waiting:
            reached |= waiting
            waiting = {imported for path in waiting for imported in graph[path]} - reached
        rooms = {room_of(path) for path in reached} - {"engine", "spec", room_of(maker)}
        assert rooms <= {"errors", "importing", "memory", "version"}, maker


def test_no_file_imports_itself_by_way_of_others() -> None:
    """The files of the package have an order in which each imports only what stands before it."""
    assert cycle_of(import_graph({path: (PACKAGE / path).read_text() for path in SOURCES})) == []


@pytest.mark.parametrize(
    ("sources", "cycle"),
    [
        ({"a.py": "from .b import f", "b.py": "from .c import f", "c.py": "import numpy"}, []),
        ({"a.py": "from .b import f", "b.py": "from .a import g"}, ["a.py", "b.py"]),
        ({"a.py": "from . import b", "b.py": "import im2col.a"}, ["a.py", "b.py"]),
        ({"a.py": "from .a import f"}, ["a.py"]),
        ({"a.py": "from .b import f", "b.py": "if TYPE_CHECKING:\n    from .a import T"}, ["a.py", "b.py"]),
        ({"a.py": "from .b import f", "b.py": "def f():\n    from .a import g"}, ["a.py", "b.py"]),
        (
            {
                "a.py": "from .p import b",
                "p/__init__.py": "",
                "p/b.py": "from .c import f",
                "p/c.py": "from ..a import g",
            },
            ["a.py", "p/b.py", "p/c.py"],
        ),
        ({"a.py": "from .p import f", "p/__init__.py": "from ..a import g"}, ["a.py", "p/__init__.py"]),
        ({"a.py": "from .p import b", "p/__init__.py": "from ..a import g", "p/b.py": ""}, []),
        ({"__init__.py": "from .a import f", "a.py": "from . import f"}, ["__init__.py", "a.py"]),
        ({"__init__.py": "from .a import f", "a.py": "import im2col"}, ["__init__.py", "a.py"]),
    ],
)
def test_the_search_for_cycles_notices_what_it_must(sources: dict[str, str], cycle: list[str]) -> None:
    """Planted cycles, which may be told from any of their files on, and packages without one."""
    found = cycle_of(import_graph({Path("__init__.py"): "", **{Path(name): text for name, text in sources.items()}}))
    assert found[:1] == found[-1:]
    assert sorted(found[1:]) == cycle


def test_the_reference_shares_no_index_code() -> None:
    """The judge of the algorithms has no index map but its own."""
    source = (PACKAGE / "algorithms/reference.py").read_text()
    found = {name[:2] for name in imports_of(source, ("im2col", "algorithms"))}
    assert {name[0] for name in found}.isdisjoint({"engine", "matrix"})
    assert found.isdisjoint({("spec", "geometry"), ("spec", "padding")})
    assert ("spec", "arrays") in found


def test_importing_loads_neither_the_engine_nor_an_extra() -> None:
    """Nor does loading every name: of their modules there is none then, and no thread has been started."""
    code = (
        "import sys, threading; from im2col import *; "
        "print(threading.active_count(), *{m.split('.')[0] for m in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    threads, *loaded = done.stdout.split()
    assert "numpy" in loaded
    assert NOT_LOADED.intersection(loaded) == set()
    assert threads == "1"


def test_importing_loads_nothing_slow() -> None:
    """Beyond what NumPy has loaded, every name needs the house and the few modules that all of it needs."""
    code = "import sys, numpy; before = set(sys.modules); from im2col import *; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    loaded = done.stdout.split()
    assert "im2col.matrix.transform" in loaded
    assert SLOW_TO_LOAD.intersection(loaded) == set()
    assert not any(name.startswith("im2col.algorithms.") for name in loaded if name != "im2col.algorithms.contract")


def test_importing_loads_no_room() -> None:
    """What a name needs is loaded with it; there is no other name, and all of them are told."""
    code = (
        "import sys, im2col; print(*(m for m in sys.modules if m.startswith('im2col.')))\n"
        "print(set(im2col.__all__) <= set(dir(im2col)), hasattr(im2col, 'pool'), 'im2col.spec' in sys.modules)\n"
        "im2col.Geometry; print('im2col.spec.geometry' in sys.modules, 'im2col.layers' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    assert done.stdout.splitlines() == ["im2col.importing im2col.version", "True False False", "True False"]


def test_type_checkers_find_names_where_they_are_loaded_from() -> None:
    """The imports that only they read are those of the table."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (unseen,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = {node.module: tuple(alias.name for alias in node.names) for node in unseen.body}  # type: ignore[attr-defined]  # all are imports
    assert imports == im2col._HOMES


FIRST_FIGURE = """
import sys
from pathlib import Path
import numpy as np
from im2col import *
import im2col  # the package again, and not its function

package, found = Path(im2col.__file__).parent, set()

def notice(frame, event, argument):
    if event == "call":
        found.add(frame.f_code.co_filename)

sys.setprofile(notice)
illustrate(np.ones((1, 4, 4)), np.ones((1, 1, 2, 2))).save(sys.argv[1])
sys.setprofile(None)
ours = sorted(str(Path(name).relative_to(package)) for name in found if Path(name).is_relative_to(package))
print("llvmlite" in sys.modules, *ours)
"""


def test_a_first_figure_is_a_short_journey(tmp_path: Path) -> None:
    """Drawing a small layer runs code of at most 40 files, modules that are imported for it included, and no engine."""
    command = [sys.executable, "-c", FIRST_FIGURE, str(tmp_path / "figure.svg")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    engine, *run = done.stdout.split()
    assert engine == "False"
    assert Path("pictures/svg.py") in map(Path, run)
    assert len(run) <= 40, run


def test_all_is_complete_and_sorted() -> None:
    """`__all__` names every public attribute that is no module, in the order of str."""
    public = {n for n, v in vars(im2col).items() if not n.startswith("_") and not isinstance(v, ModuleType)}
    assert im2col.__all__ == sorted(public)


def test_the_version_is_written_once() -> None:
    """pyproject.toml reads it from the package, which knows it without being installed."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"] == {"path": "src/im2col/version.py"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", im2col.__version__)


def test_no_module_has_the_name_of_a_public_object() -> None:
    """``im2col.plan`` is a function, and no import of a module can change that."""
    modules = {info.name.removeprefix("im2col.") for info in pkgutil.walk_packages(im2col.__path__, "im2col.")}
    assert "engine.threads" in modules
    assert modules.isdisjoint(im2col.__all__)


def test_the_package_is_typed() -> None:
    """Type checkers read the annotations where py.typed lies beside the package."""
    assert (PACKAGE / "py.typed").is_file()


def sections(documentation: str) -> dict[str, str]:
    """Return the sections of a NumPy docstring, by their titles."""
    parts = re.split(r"^(\w[\w ]*)\n-+\n", documentation, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.every
@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_are_documented(name: str) -> None:
    """What it does in one line, every parameter, the result, the errors, and an example that the tests run."""
    function = getattr(im2col, name)
    documentation = inspect.getdoc(function) or ""
    summary, _, _ = documentation.partition("\n\n")
    assert "\n" not in summary
    assert summary.endswith((".", ":"))
    found = sections(documentation)
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            assert re.search(rf"^(.*, )?{parameter.name}\b", found["Parameters"], re.MULTILINE), parameter.name
    if signature.return_annotation not in {None, "None"}:
        assert found["Returns"].strip()
    if signature.parameters:
        assert "Error" in found["Raises"]
    assert ">>> " in found["Examples"]


def test_the_operation_is_named_once() -> None:
    """Only public functions know their names: nothing below them is told, and no record carries one.

    A function may take an `operation` of the user's, out of `OPERATIONS`, or an `Operation`; an error is where the name
    is kept.
    """
    chosen = {"layers/costs.py": {"cost", "_cost"}, "cli/commands.py": {"cost_command", "plan_command"}}
    chosen["cli/planning.py"] = {"plan_of"}
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
            if isinstance(node, ast.FunctionDef) and node.name not in chosen.get(path.as_posix(), ()):
                parameters = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                named = [each for each in parameters if each.arg == "operation" and not is_record(each.annotation)]
                found |= {f"{path}: {node.name}" for _ in named}
            elif isinstance(node, ast.ClassDef):
                found |= {
                    f"{path}: {node.name}"
                    for line in node.body
                    if isinstance(line, ast.AnnAssign)
                    and ast.unparse(line.target) == "operation"
                    and not is_record(line.annotation)
                }
    assert found == {"errors.py: __init__", "errors.py: Im2colError", "errors.py: name_operation"}


def is_record(annotation: ast.expr | None) -> bool:
    """Whether an annotation is of the record `Operation`, and not of a name."""
    return annotation is not None and "Operation" in ast.unparse(annotation)


def test_the_docstring_draws_the_tree_of_errors() -> None:
    """Every class of the module stands in its drawing, with the built-in exception beside it."""
    classes = {n: c for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, BaseException)}
    drawn = re.findall(r"([A-Z]\w+(?:Error|Warning)) +(?:\((\w+)\))?", errors.__doc__ or "")
    assert [name for name, _ in drawn].count("LayoutError") == 1
    for name, builtin in drawn:
        assert not builtin or builtin in {base.__name__ for base in classes[name].__mro__}
    assert {name for name, _ in drawn} | {"Im2colError"} == set(classes)
    assert set(classes) <= set(im2col.__all__)
    for name, error in classes.items():
        assert issubclass(error, errors.Im2colError) or name.endswith("Warning")
        assert error.__doc__


def test_no_file_is_over_400_lines() -> None:
    """What is longer is two rooms."""
    lengths = {str(path.relative_to(PACKAGE)): path.read_text("utf-8").count("\n") for path in PACKAGE.rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_no_file_names_a_place_on_its_authors_machine() -> None:
    """Absolute paths of work and home folders do not belong in a repository."""
    git = shutil.which("git")
    if git is None or not (REPOSITORY / ".git").exists():
        missing("this is no checkout of the repository")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    place = re.compile(r"(?<![\w.~-])/(?:work|root|home/\w+|Users/\w+)/")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = REPOSITORY / name
        if path.is_file() and (line := place.search(path.read_bytes().decode("utf-8", "replace"))):
            found.append(f"{name}: {line[0]}")
    assert found == []


def test_a_missing_part_is_a_skip_or_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """`require` skips where a package is missing, and fails where everything is required."""
    monkeypatch.delenv("IM2COL_REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"\Ano_such_package is not installed\Z"):
        require("no_such_package")
    monkeypatch.setenv("IM2COL_REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match=r"\Ano_such_package is not installed, and IM2COL_REQUIRE_ALL is"):
        require("no_such_package")
    assert require("json").loads("[1]") == [1]
