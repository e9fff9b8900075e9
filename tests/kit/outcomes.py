"""Whole-message errors, and parts that may be missing."""

from __future__ import annotations

import importlib
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def missing(what: str) -> NoReturn:
    """Skip the running test because a part is missing; fail it where IM2COL_REQUIRE_ALL is set."""
    if os.environ.get("IM2COL_REQUIRE_ALL"):
        pytest.fail(f"{what}, and IM2COL_REQUIRE_ALL is set")
    pytest.skip(what)


def require(name: str) -> Any:
    """Return an optional package, such as ``require("torch")``; see `missing` for when it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(f"{name} is not installed")


@contextmanager
def raises_exactly(error: type[Exception], message: str) -> Iterator[None]:
    """Assert that the block raises `error` itself, no subclass of it, with the whole of `message`."""
    with pytest.raises(error, match=rf"\A{re.escape(message)}\Z") as caught:
        yield
    assert type(caught.value) is error


def unknown_mode(mode: str) -> str:
    """Return the message for a padding mode that there is not."""
    return (
        f"padding_mode must be one of ('constant', 'edge', 'reflect', 'symmetric', 'wrap'), got {mode!r}; torch's "
        "'circular' is 'wrap', 'replicate' is 'edge', 'zeros' is 'constant'; scipy.ndimage's 'reflect' is 'symmetric', "
        "'mirror' is 'reflect', 'nearest' is 'edge'"
    )
