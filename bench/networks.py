"""Whole networks beside ONNX Runtime: the time of a call, and of its convolutions, both profiled in the same run."""

from __future__ import annotations

import importlib.util
import json
import math
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from im2col.engine.threads import threads_for
from im2col.integrations.onnx import load

from .contestants import WrongResultError
from .options import matches
from .processes import usable_cpus
from .tables import machine, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

HELP = "Compare whole networks with ONNX Runtime: calls, and the convolutions in them."
LEGEND = (
    "Milliseconds of the fastest call, in turns; of one thread, those that the processor gave it. Convolutions' are "
    "those of each node's fastest run, as both profile themselves; the runtime's changes of layout are none of them."
)
TOLERANCE = 1e-4
LIGHT = "onnx/backend/test/data/light/light_"
OCR = "rapidocr_onnxruntime/models/ch_"


class Model(NamedTuple):
    """A model of an installed package, and the shape of its input."""

    name: str
    file: str
    shape: tuple[int, ...]

    @property
    def path(self) -> Path | None:
        """Its file; None where the package is not installed."""
        package, _, rest = self.file.partition("/")
        found = importlib.util.find_spec(package)
        places = found.submodule_search_locations if found else None
        return Path(places[0]) / rest if places else None


MODELS = (
    Model("detector", f"{OCR}PP-OCRv4_det_infer.onnx", (1, 3, 640, 640)),
    Model("detector-960", f"{OCR}PP-OCRv4_det_infer.onnx", (1, 3, 960, 960)),
    Model("reader", f"{OCR}PP-OCRv4_rec_infer.onnx", (1, 3, 48, 320)),
    Model("classifier", f"{OCR}ppocr_mobile_v2.0_cls_infer.onnx", (1, 3, 48, 192)),
    Model("listener", "basic_pitch/saved_models/icassp_2022/nmp.onnx", (1, 43844, 1)),
    *(
        Model(name, f"{LIGHT}{name}.onnx", (1, 3, 224, 224))
        for name in (
            "bvlc_alexnet",
            "densenet121",
            "inception_v1",
            "inception_v2",
            "resnet50",
            "shufflenet",
            "squeezenet",
            "vgg19",
            "zfnet512",
        )
    ),
)
_CONVOLUTIONS = ("Conv", "FusedConv", "ConvTranspose")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    parser.add_argument("--models", default="*", help="only those whose name matches, such as 'det*,resnet50'")
    parser.add_argument("--threads", type=int, default=1, help="how many may work")
    parser.add_argument("--runs", type=int, default=15, help="calls of each")


def run(options: argparse.Namespace) -> None:
    """Check, measure and print.

    Parameters
    ----------
    options : argparse.Namespace
        As `add_arguments` declares them.

    Raises
    ------
    WrongResultError
        If a result differs from the runtime's.
    """
    if not 1 <= options.threads <= len(usable_cpus()):
        raise SystemExit(f"this process may use 1 to {len(usable_cpus())} CPUs")
    chosen = [model for model in MODELS if matches(options.models, model.name) and model.path is not None]
    if not chosen:
        raise SystemExit(f"no model that is installed matches {options.models!r}")
    import onnxruntime

    print(f"{machine()}, threads {options.threads}\nonnxruntime {onnxruntime.__version__}\n{LEGEND}\n")
    header = ["network", "im2col", "ONNX Runtime", "times", "convolutions", "ONNX Runtime", "times"]
    rows = []
    for model in chosen:
        whole, layers = measure(model, options.threads, options.runs)
        numbers = [f"{1e3 * seconds:.2f}" for seconds in (*whole, *layers)]
        rows.append([model.name, *numbers[:2], _times(whole), *numbers[2:], _times(layers)])
    print(table(header, rows))


def _times(seconds: tuple[float, float]) -> str:
    """Return how many times as fast the first is."""
    return f"{seconds[1] / seconds[0]:.2f}"


def measure(model: Model, threads: int, runs: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the seconds of a call, ours and the runtime's, and those of the convolutions in it.

    Parameters
    ----------
    model : Model
    threads, runs : int

    Raises
    ------
    WrongResultError
        If a result differs from the runtime's.
    """
    with threads_for(threads):
        network = load(str(model.path))
        x = np.random.default_rng(0).standard_normal(model.shape).astype(np.float32)
        feeds = {network.inputs[0].name: x}
        session = _session(model, threads, "")
        for mine, theirs in zip(network.run(feeds).values(), session.run(None, feeds), strict=True):
            if not np.allclose(mine, theirs, rtol=TOLERANCE, atol=TOLERANCE):
                raise WrongResultError(f"{model.name}: the result differs from the runtime's")
        whole = _fastest([lambda: network.run(feeds), lambda: session.run(None, feeds)], runs, threads)
        with tempfile.TemporaryDirectory() as folder:
            profiled = _session(model, threads, f"{folder}/profile")
            best: dict[int, float] = {}
            for _ in range(runs):
                found = network.profile(feeds, runs=1)
                best |= {n: min(step.seconds, best.get(n, math.inf)) for n, step in enumerate(found.steps)}
                profiled.run(None, feeds)
            theirs = _of_runtime(Path(profiled.end_profiling()))
    ours = sum(best[n] for n, step in enumerate(found.steps) if step.operator in _CONVOLUTIONS)
    return whole, (ours, theirs)


def _session(model: Model, threads: int, profile: str) -> Any:
    """Return the runtime's; with a profile if there is the beginning of a file's name for it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    # Between two of its steps its threads may watch for work, but not through our turn.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])


def _fastest(calls: list[Callable[[], object]], runs: int, threads: int) -> tuple[float, float]:
    """Return the seconds of the fastest call of each, in turns; of one thread, those that the processor gave it."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    best = [math.inf] * len(calls)
    for _ in range(runs):
        for number, call in enumerate(calls):
            start = clock()
            call()
            best[number] = min(best[number], clock() - start)
    return best[0], best[1]


def _of_runtime(file: Path) -> float:
    """Return the seconds of the convolutions in a profile of the runtime: of each node's fastest run."""
    best: dict[str, float] = {}
    for event in json.loads(file.read_text("utf-8")):
        if event.get("args", {}).get("op_name") in _CONVOLUTIONS and event["name"].endswith("_kernel_time"):
            best[event["name"]] = min(best.get(event["name"], math.inf), event["dur"] / 1e6)
    return sum(best.values())
