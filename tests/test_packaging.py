"""What installs the library, and what installs the tools of those who work on it, agree with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import im2col

from .kit.outcomes import require

REPOSITORY = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
GROUPS: dict[str, list[str | dict[str, str]]] = PROJECT["dependency-groups"]


def test_groups_are_named_once() -> None:
    """Whatever installs or includes a group means one that there is, each is wanted, and none is an extra too."""
    callers = [REPOSITORY / "Makefile", *(REPOSITORY / ".ci").iterdir(), *(REPOSITORY / ".github/workflows").iterdir()]
    named = {name for path in callers for name in re.findall(r"--group (\S+)", path.read_text())}
    included = {each["include-group"] for group in GROUPS.values() for each in group if isinstance(each, dict)}
    assert named | included == set(GROUPS)
    assert {"test", "docs", "bench"} <= named
    assert not set(GROUPS) & set(PROJECT["project"]["optional-dependencies"])


@pytest.mark.parametrize("name", GROUPS)
def test_groups_ask_for_extras_that_there_are(name: str) -> None:
    """What a group has of the library itself is an extra of it, for pip only warns of others."""
    own = [each for each in GROUPS[name] if isinstance(each, str) and each.startswith("im2col")]
    extras = {extra for each in own for extra in each.removeprefix("im2col[").removesuffix("]").split(",")}
    assert extras <= set(PROJECT["project"]["optional-dependencies"])


def test_the_recipe_for_conda_asks_for_the_same() -> None:
    """The same version, Python, libraries and build backend, with the same lower bounds, licences and command."""
    requirement = require("packaging.requirements").Requirement
    recipe = require("yaml").safe_load((REPOSITORY / "conda/recipe.yaml").read_text())
    project, needs, build = PROJECT["project"], recipe["requirements"], recipe["build"]
    own = [requirement(each) for each in project["dependencies"]]
    assert recipe["context"]["version"] == im2col.__version__
    assert f">={recipe['context']['python_min']}" == project["requires-python"]
    assert needs["run"][0] == "python >=${{ python_min }}"
    assert needs["run"][1:] == [f"{each.name} {each.specifier}" for each in own]
    backend = [requirement(each) for each in PROJECT["build-system"]["requires"]]
    assert needs["host"][1:-1] == [f"{each.name} {each.specifier}" for each in backend]
    assert build["python"]["entry_points"] == [f"{name} = {entry}" for name, entry in project["scripts"].items()]
    assert recipe["about"]["license"] == project["license"]
    assert recipe["about"]["license_file"] == project["license-files"]
