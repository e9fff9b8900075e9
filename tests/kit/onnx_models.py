"""Models of one operator of ONNX, run by the standard's evaluator and by ONNX Runtime."""

from __future__ import annotations

import unittest
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .outcomes import require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

Onnx = dict[str, Any]
"""Attributes of an operator, as its documentation spells them."""


def model_of(
    operator: str,
    inputs: Mapping[str, Array | None],
    attributes: Onnx,
    dtypes: Sequence[np.dtype[Any]],
    opset: int,
    name: str = "layer",
) -> Any:
    """Return a model of one operator.

    Parameters
    ----------
    operator : str
    inputs : mapping of str to ndarray
        In the operator's order; None for one that is left out, which others follow.
    attributes : mapping
    dtypes : sequence of dtype
        Of the results.
    opset : int
    name : str
        The node's.
    """
    onnx = require("onnx")
    make, kind = onnx.helper, onnx.helper.np_dtype_to_tensor_dtype
    given = [(key, array) for key, array in inputs.items() if array is not None]
    values = [make.make_tensor_value_info(key, kind(array.dtype), array.shape) for key, array in given]
    results = [f"y{number}" for number in range(len(dtypes))]
    outputs = [make.make_tensor_value_info(y, kind(dtype), None) for y, dtype in zip(results, dtypes, strict=True)]
    names = [key if array is not None else "" for key, array in inputs.items()]
    node = make.make_node(operator, names, results, name=name, **attributes)
    graph = make.make_graph([node], "layer", values, outputs)
    return make.make_model(graph, opset_imports=[make.make_opsetid("", opset)], ir_version=8 if opset < 22 else 10)


def by_evaluator(model: Any, inputs: Mapping[str, Array | None], operators: Sequence[type] = ()) -> list[Array]:
    """Return what the standard's own evaluator gives, by its operators or by others."""
    reference = require("onnx.reference")
    feeds = {key: array for key, array in inputs.items() if array is not None}
    results: list[Array] = reference.ReferenceEvaluator(model, new_ops=list(operators)).run(None, feeds)
    return results


def by_onnxruntime(model: Any, inputs: Mapping[str, Array | None]) -> list[Array]:
    """Return what the runtime gives."""
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {key: array for key, array in inputs.items() if array is not None}
    results: list[Array] = session.run(None, feeds)
    return results


def parsed(text: str, opset: int = 17, /, **values: Array) -> Any:
    """Return the model of a graph in ONNX's text, such as ``net (float[N] x) => (float[N] y) { y = Relu (x) }``.

    Parameters
    ----------
    text : str
    opset : int
    **values : ndarray
        Initialisers by name.
    """
    onnx = require("onnx")
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]>\n{text}')
    model.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in values.items())
    return model


def assert_backend_suite(
    prepared: Callable[[Any], Callable[[Sequence[Any]], list[Any]]], wanted: Callable[[str, Any], bool]
) -> int:
    """Run the wanted cases of onnx's own backend suite, as written and expanded; return how many passed, which are all.

    Parameters
    ----------
    prepared : callable
        ``prepared(model)(inputs)`` returns the outputs; old models name their weights as inputs, behind those given.
    wanted : callable
        ``wanted(name, model)`` says whether a case runs.
    """
    onnx = require("onnx")
    from onnx.backend.base import Backend, BackendRep
    from onnx.backend.test import BackendTest
    from onnx.backend.test.loader import load_model_tests

    class Prepared(BackendRep):  # type: ignore[misc]  # a library without types
        def __init__(self, model: Any) -> None:
            self.call = prepared(model)

        def run(self, inputs: Any, **_: Any) -> Any:
            return self.call(inputs)

    class Ours(Backend):  # type: ignore[misc]  # a library without types
        @classmethod
        def prepare(cls, model: Any, device: str = "CPU", **_: Any) -> Any:
            assert device == "CPU"
            return Prepared(model)

        @classmethod
        def supports_device(cls, device: str) -> bool:
            return device == "CPU"

        @classmethod
        def is_compatible(cls, *_: Any, **__: Any) -> bool:
            return True

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the cases, which make their numbers when they are loaded
        suite, names = BackendTest(Ours), set()
        for kind in ("node", "simple", "pytorch-converted", "pytorch-operator"):
            for case in load_model_tests(kind=kind):
                if wanted(case.name, case.model or onnx.load(f"{case.model_dir}/model.onnx")):
                    names.add(case.name)
                    suite.include(f"^{case.name}_cpu$")
        result = unittest.TestResult()
        suite.test_suite.run(result)
    assert [(str(test), trace[-500:]) for test, trace in (*result.failures, *result.errors)] == []
    assert result.testsRun - len(result.skipped) == len(names)
    return len(names)
