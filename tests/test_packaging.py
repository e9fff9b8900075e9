"""What installs the library, and what installs the tools of those who work on it, agree with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

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
