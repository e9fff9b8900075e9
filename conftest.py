"""Where the tests, and the examples in docstrings, keep what they compile: kernels, and bytecode."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest

# Asserts of what test files share tell as much as those of the tests themselves.
pytest.register_assert_rewrite("tests.kit")

from tests.kit import kept  # noqa: E402

# These are parts of other libraries, and cannot be imported without them.
_PARTS = {
    "integrations/dask": "dask",
    "integrations/jax": "jax",
    "integrations/keras.py": "keras",
    "integrations/onnx/evaluator.py": "onnx",
    "integrations/onnx/network": "onnx",
    "integrations/onnx/qonnx.py": "onnx",
    "integrations/onnx/signature.py": "onnx",
    "integrations/torch": "torch",
    "integrations/xarray": "xarray",
    "pictures/notebook/explorer.py": "anywidget",
}
collect_ignore = [f"src/im2col/{part}" for part, name in _PARTS.items() if importlib.util.find_spec(name) is None]
# Importing one of these runs it, and they need matplotlib: tests/test_gallery.py runs them.
collect_ignore.append("examples/gallery")

# Bytecode is kept whatever the environment says: workers, and the processes that tests start, would compile it anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
kept.keep_kernels()
if "PYTEST_XDIST_WORKER" not in os.environ:
    kept.remove_old()


@pytest.fixture(autouse=True)
def _own_cache(request: pytest.FixtureRequest) -> None:
    """Give the example that empties the cache one of its own."""
    if isinstance(request.node, pytest.DoctestItem) and "clear_cache" in request.node.name:
        folder = request.getfixturevalue("tmp_path")
        request.getfixturevalue("monkeypatch").setenv("IM2COL_CACHE_DIR", str(folder))
