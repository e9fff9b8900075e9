"""Keras on its NumPy backend, without JAX: its operations and a model beside what its JAX backend gave."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from im2col.errors import ArgumentError
from im2col.integrations.keras import load_keras

from . import keras_predictions
from .kit.outcomes import missing, raises_exactly
from .kit.processes import HANG_SECONDS

RECORDED: dict[str, list[Any]] = json.loads(keras_predictions.PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def keras() -> Any:
    """Return Keras on its NumPy backend."""
    if find_spec("keras") is None:
        missing("keras is not installed")
    return load_keras()


def test_operations_give_what_jax_gives(keras: Any) -> None:
    """Exactly where results are integers; each window in which backends differ, both orders of the axes."""
    calls = keras_predictions.operations(keras)
    assert calls.keys() == RECORDED.keys() - {"model"}
    for name, call in calls.items():
        shape, *numbers = RECORDED[name]
        result = call()
        assert type(result) is np.ndarray
        assert (result.shape, result.dtype) == (tuple(shape), np.float32), name
        tolerance = 3e-7 if name.startswith("average_pool") else 0  # a sum of small integers, divided
        np.testing.assert_allclose(result.ravel(), numbers, rtol=tolerance, atol=0, err_msg=name)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
def test_a_model_predicts_what_it_predicts_with_jax(keras: Any) -> None:
    """Every layer that convolves or pools, in float32: within a few roundings."""
    shape, *numbers = RECORDED["model"]
    result = keras_predictions.model(keras).predict(keras_predictions.photographs(), verbose=0)
    assert result.shape == tuple(shape)
    np.testing.assert_allclose(result.ravel(), numbers, rtol=1e-4)


def test_short_floats_stay_what_they_are(keras: Any) -> None:
    """float16 and bfloat16, of small integers."""
    for dtype in ("float16", "bfloat16"):
        x, w = (keras.ops.cast(keras_predictions.integers(*shape), dtype) for shape in ((1, 5, 5, 2), (3, 3, 2, 4)))
        for name, operands in (
            ("conv", (x, w)),
            ("conv_transpose", (x, w.transpose(0, 1, 3, 2))),
            ("max_pool", (x,)),
            ("average_pool", (x * 4,)),
        ):
            more = () if "conv" in name else (2,)
            result = getattr(keras.ops, name)(*operands, *more)
            expected = getattr(keras.ops, name)(*(each.astype(np.float32) for each in operands), *more)
            assert keras.backend.standardize_dtype(result.dtype) == dtype
            np.testing.assert_array_equal(result.astype(np.float32), expected)


def test_transforms_of_complex_numbers(keras: Any) -> None:
    """That backend leaves these to JAX as well."""
    real, imaginary = keras_predictions.integers(3, 8), keras_predictions.integers(3, 8, seed=1)
    for name in ("fft", "fft2"):
        parts = getattr(keras.ops, name)((real, imaginary))
        expected = getattr(np.fft, name)(real + 1j * imaginary)
        np.testing.assert_array_equal(parts[0] + 1j * parts[1], expected)


def test_errors_are_this_librarys(keras: Any) -> None:
    """They name the operation and the rule, and are ValueErrors as Keras's are."""
    x = keras_predictions.integers(1, 4, 4, 3)
    with pytest.raises(ValueError, match=r"^conv: the kernel spans 5 pixels"):
        keras.ops.conv(x, keras_predictions.integers(5, 5, 3, 2))
    with pytest.raises(ValueError, match=r"^conv: .*groups"):
        keras.ops.conv(x, keras_predictions.integers(2, 2, 2, 2))
    with pytest.raises(ValueError, match=r"^conv: .*groups"):
        keras.ops.conv(x, np.ones((2, 2, 0, 2), np.float32))
    for function in (keras.ops.max_pool, keras.ops.average_pool):
        with pytest.raises(ValueError, match=r"inputs must have a batch, spatial axes and channels, got .* \(4, 3\)$"):
            function(x[0, 0], 2)
    for function in (keras.ops.conv, keras.ops.conv_transpose):
        with pytest.raises(ValueError, match=r"inputs must have a batch, spatial axes and channels, got .* \(4, 3\)$"):
            function(x[0, 0], keras_predictions.integers(2, 3, 3))
    with pytest.raises(ValueError, match=r"^average_pool: padding"):
        keras.ops.average_pool(x, 2, padding="causes")


def test_nothing_of_jax_is_left(keras: Any) -> None:
    """Its name stood for nothing while two modules loaded; in a process that cannot import it."""
    assert keras
    code = (
        "import sys\n"
        "class Nobody:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('jax', 'jaxlib'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Nobody())\n"
        "from im2col.integrations.keras import load_keras\n"
        "import os\n"
        "os.environ['KERAS_BACKEND'] = 'torch'\n"
        "keras = load_keras()\n"
        "assert os.environ['KERAS_BACKEND'] == 'torch' and keras.backend.backend() == 'numpy'\n"
        "assert not any('jax' in name.split('.') for name in sys.modules)\n"
        "assert type(sys.meta_path[0]) is Nobody and load_keras() is keras\n"
        "print(keras.ops.conv(keras.ops.ones((1, 3, 1)), keras.ops.ones((2, 1, 1))).ravel())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert done.stdout == "[2. 2.]\n", done.stderr


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be changed any more."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "keras"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras", ModuleType("keras"))
    message = "Keras has been imported with another backend than 'numpy'"
    with raises_exactly(ArgumentError, f"{message}; call load_keras() before anything imports Keras"):
        load_keras()


def test_without_keras_the_extra_is_named() -> None:
    """Loading it then says what to install."""
    code = "import sys; sys.modules['keras'] = None\nfrom im2col.integrations.keras import load_keras\nload_keras()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("im2col.errors.MissingExtraError: this needs Keras (")
    assert last.endswith("); install it with pip install 'im2col[keras]'")


def test_the_page_on_keras_runs(keras: Any) -> None:
    """Every example of docs/keras.md gives what it prints."""
    assert keras
    page = str(Path(__file__).parents[1] / "docs/keras.md")
    failed, tried = doctest.testfile(page, module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
    assert tried > 5
