"""Plans: prepared once, run many times; values that cannot change, and that tell what was chosen and why."""

from __future__ import annotations

import copy
import gc
import pickle
import re
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import (
    ArgumentError,
    DTypeError,
    GeometryError,
    OutputError,
    Plan,
    ShapeError,
    conv,
    conv2d,
    plan,
    plan_transpose,
    set_threads,
)
from im2col.algorithms import registry
from im2col.algorithms.contract import Offer, at_most
from im2col.engine import compiler
from im2col.engine.host import usable_cpus
from im2col.engine.target import host
from im2col.spec.problem import make_problem

from .kit.convolutions import OF_ANY_WINDOW, W, X, check_refused
from .kit.outcomes import raises_exactly
from .kit.strategies import BFLOAT16, MEMORY_ORDERS, numbers
from .kit.targets import forget_choices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from im2col.algorithms.contract import Runner
    from im2col.engine.target import Target
    from im2col.spec.problem import Problem

FLOAT = np.dtype(float)
IMAGE, FILTERS = numbers((2, 4, 7, 6), FLOAT, 0), numbers((6, 2, 3, 2), FLOAT, 1)
NAMES = tuple(registry())
OPTIONS: dict[str, Any] = {"groups": 2, "stride": 2, "padding": "same", "activation": "relu", "threads": 2}


# Running.


@pytest.mark.parametrize("algorithm", ["auto", *OF_ANY_WINDOW])
def test_a_plan_is_conv(algorithm: str) -> None:
    """A plan called again and again gives what conv gives, in a new array or in `out`."""
    bias = numbers((6,), FLOAT, 2)
    prepared = plan(IMAGE.shape, FILTERS, bias, algorithm=algorithm, **OPTIONS)
    for factor in (1, 2):
        expected = conv(factor * IMAGE, FILTERS, bias, **OPTIONS)
        np.testing.assert_array_equal(prepared(factor * IMAGE), expected)
        out = np.full(expected.shape, np.nan)
        assert prepared(factor * IMAGE, out=out) is out
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("order", MEMORY_ORDERS)
def test_a_plan_takes_any_memory_order(order: str) -> None:
    """A plan is made for a shape and a dtype, not for a memory order or a byte order."""
    prepared = plan(IMAGE.shape, FILTERS, **OPTIONS)
    np.testing.assert_array_equal(prepared(MEMORY_ORDERS[order](IMAGE)), conv(IMAGE, FILTERS, **OPTIONS))


def test_a_plan_takes_what_an_array_can_be_made_of() -> None:
    """Nested lists of the right dtype work too; the image's dtype may differ from the weight's."""
    prepared = plan([2, 3], np.ones((1, 1, 1, 2), np.float32), x_dtype="int64")  # type: ignore[arg-type]
    np.testing.assert_array_equal(prepared([[1, 2, 3], [4, 5, 6]]), [[3, 5], [9, 11]])
    assert prepared([[1, 2, 3], [4, 5, 6]]).dtype == np.float64


@pytest.mark.parametrize("algorithm", OF_ANY_WINDOW)
def test_a_plan_keeps_its_own_weights(algorithm: str) -> None:
    """What is done to the weight and the bias afterwards changes nothing."""
    w, bias = FILTERS.copy(), np.ones(6)
    prepared = plan(IMAGE.shape, w, bias, algorithm=algorithm, **OPTIONS)
    expected = prepared(IMAGE)
    w[...], bias[...] = 0, 0
    np.testing.assert_array_equal(prepared(IMAGE), expected)
    np.testing.assert_array_equal(copy.copy(prepared)(IMAGE), expected)
    assert prepared == plan(IMAGE.shape, FILTERS, np.ones(6), algorithm=algorithm, **OPTIONS)


@pytest.mark.parametrize("algorithm", OF_ANY_WINDOW)
def test_a_plan_runs_in_several_threads_at_once(algorithm: str) -> None:
    """Calls of one plan that overlap do not disturb each other."""
    prepared = plan(IMAGE.shape, FILTERS, algorithm=algorithm, **OPTIONS)
    expected = [conv(IMAGE + i, FILTERS, **OPTIONS) for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for i, result in enumerate(pool.map(lambda i: prepared(IMAGE + i % 4), range(24))):
            np.testing.assert_array_equal(result, expected[i % 4])


def test_a_plan_knows_its_cost() -> None:
    """Work and traffic of one call, counted from the arrays."""
    prepared = plan(IMAGE.shape, FILTERS, groups=2)
    result = prepared(IMAGE)
    assert prepared.flops == 2 * result.size * FILTERS[0].size
    assert prepared.bytes_moved == IMAGE.nbytes + FILTERS.nbytes + result.nbytes


# What is remembered between calls.


class Recorder:
    """An algorithm that computes nothing and remembers what it was asked and given."""

    name = "recorder"
    best_rank = at_most(1000)

    def compiles(self, problem: Problem) -> bool:
        """Run none of the engine's kernels."""
        return problem is None

    def __init__(self) -> None:
        self.asked = 0
        self.weights: list[list[float]] = []
        self.given: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def offer(self, problem: Problem, target: Target | None, threads: int) -> Offer[Runner]:
        """Be better than all others."""
        assert target is None, "it does not compile"
        self.asked += 1
        prepare = partial(self.prepare, problem, threads)
        return Offer(1000, f"{problem.batch} counts", problem.batch + threads, prepare)

    def prepare(
        self,
        problem: Problem,
        threads: int,
        w: NDArray[Any],
        bias: NDArray[Any] | None,
        scales: NDArray[Any] | None,
    ) -> Runner:
        """Return a function that keeps its arguments."""
        assert (bias is not None, threads, scales) == (problem.has_bias, 2, None)
        self.weights.append(w.ravel().tolist())
        return lambda x, out: self.given.append((x, out))


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Return the only algorithm that there is."""
    only = Recorder()
    monkeypatch.setattr("im2col.algorithms.registry", lambda: {only.name: only})
    forget_choices()
    yield only
    forget_choices()


def test_a_choice_is_made_once(recorder: Recorder) -> None:
    """The same arguments are checked once, however the arrays' values differ; other arguments are others."""
    for factor in (1, 2):
        conv2d(factor * X, factor * W[:1, :, :1, :1], padding=1, threads=2)
    assert recorder.asked == 1
    assert recorder.weights == [[1, 1], [2, 2]]
    others: list[dict[str, Any]] = [{"padding": 2}, {"bias": [1.0, 2.0, 3.0]}, {"dtype": np.complex64}, {"flip": True}]
    for count, other in enumerate(others, 2):
        for _ in range(2):
            conv2d(X, W, threads=2, **other)
        assert recorder.asked == count
    for _ in range(2):  # weights that are prepared once are another question
        plan(X.shape, W, threads=2, flip=True)
        assert recorder.asked == count + 1
    with pytest.raises(GeometryError, match=r"\Aconv2d: padding must be an integer "):
        conv2d(X, W, padding=1.0, threads=2)  # type: ignore[arg-type]


def test_a_choice_is_made_again_when_the_engine_fails(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an algorithm can do may depend on the engine."""
    conv2d(X, W, threads=2)
    monkeypatch.setitem(compiler._state, "failure", "RuntimeError: no such CPU")
    conv2d(X, W, threads=2)
    assert recorder.asked == 2


class Failing(Recorder):
    """An algorithm that fails over the first kernel that it compiles, as the engine may."""

    name = "failing"
    failed = False

    def offer(self, problem: Problem, target: Target | None, threads: int) -> Offer[Runner]:
        """Be the best until it has failed."""
        return Offer(0, "it has failed") if self.failed else super().offer(problem, target, threads)

    def prepare(self, *_: Any) -> Any:
        """Fail."""
        self.failed = True
        compiler._state["failure"] = "it has failed"
        raise compiler.EngineError(self.name)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Failing]:
    """Return the best of three algorithms; the other ones work."""
    found = {"failing": Failing(), **{name: registry()[name] for name in ("explicit", "reference")}}
    monkeypatch.setattr("im2col.algorithms.registry", lambda: found)
    forget_choices()
    monkeypatch.setattr(compiler, "_state", {})
    yield found["failing"]  # type: ignore[misc]  # it is the first of them
    forget_choices()


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("run", [conv2d, lambda x, w: plan(x.shape, w)(x)], ids=["conv2d", "plan"])
def test_a_plan_survives_an_engine_that_fails_over_its_kernels(run: Callable[..., NDArray[Any]]) -> None:
    """What fails only when it prepares is replaced by the next best."""
    np.testing.assert_array_equal(run(X, W), np.full((1, 3, 3, 3), 18))


def test_a_plan_tells_what_really_runs(failing: Failing) -> None:
    """The replacement is all of the plan; and who has named the algorithm is told why it cannot run."""
    prepared, expected = plan(X.shape, W), plan(X.shape, W, algorithm="explicit")
    assert (prepared.algorithm, prepared.workspace_bytes) == ("explicit", expected.workspace_bytes)
    failing.failed = False
    message = "plan: algorithm 'failing' cannot solve this: it has failed; use algorithm='auto'"
    with raises_exactly(ArgumentError, message):
        plan(X.shape, W, algorithm="failing")


def test_a_transposed_plan_tells_what_really_runs(failing: Failing) -> None:
    """All phases are chosen anew, and the plan says so."""
    w = np.arange(18.0).reshape(1, 2, 3, 3)
    prepared = plan_transpose((1, 1, 4, 4), w, stride=2)
    assert failing.failed
    assert prepared.algorithm == "explicit"
    image = np.arange(16.0).reshape(1, 1, 4, 4)
    np.testing.assert_array_equal(
        prepared(image), plan_transpose((1, 1, 4, 4), w, stride=2, algorithm="reference")(image)
    )


@pytest.mark.parametrize("algorithm", OF_ANY_WINDOW)
def test_no_array_outlives_its_call(algorithm: str) -> None:
    """What is remembered of a call holds neither the image nor the weight, the bias or the result."""
    arrays = [X.copy(), W.copy(), np.ones(3), np.empty((1, 3, 3, 3))]
    references = [weakref.ref(array) for array in arrays]
    result = conv2d(*arrays[:3], out=arrays[3], algorithm=algorithm)
    np.testing.assert_array_equal(result, 19)
    del arrays, result
    gc.collect()
    assert [reference() for reference in references] == [None] * 4


@pytest.mark.parametrize("algorithm", OF_ANY_WINDOW)
def test_weights_are_never_remembered(algorithm: str) -> None:
    """A second call sees what has been done to the weight and the bias since the first."""
    w, bias = W.copy(), np.ones(3)
    for factor in (1, 2, -3):
        w[...], bias[...] = factor, factor
        np.testing.assert_array_equal(conv2d(X, w, bias, algorithm=algorithm), np.full((1, 3, 3, 3), 19 * factor))


def test_arrays_with_canonical_axes_are_passed_as_they_are(recorder: Recorder) -> None:
    """An algorithm gets the user's own arrays where no axis has to move, and views of them elsewhere."""
    image, out = np.ones((2, 3, 5, 5)), np.empty((2, 1, 3, 3))
    plan(image.shape, np.ones((1, 3, 3, 3)), threads=2)(image, out)
    assert recorder.given[-1][0] is image
    assert recorder.given[-1][1] is out
    plan((2, 3, 5, 5), np.ones((1, 5, 3, 3)), layout="NHWC", threads=2)(image, last := np.empty((2, 1, 3, 1)))
    x, y = recorder.given[-1]
    assert (x.shape, y.shape) == ((2, 5, 3, 5), (2, 1, 1, 3))
    assert np.shares_memory(x, image)
    assert np.shares_memory(y, last)


# Values.


def made(**changes: Any) -> Plan:
    """Return a plan, with some of its arguments changed."""
    arguments: dict[str, Any] = {"x_shape": (1, 2, 5, 5), "w": W, "bias": [1, 2, 3], "threads": 1} | changes
    return plan(**arguments)


def test_plans_made_from_the_same_are_equal() -> None:
    """However the arguments are spelled, equal plans are one key."""
    one = made(padding=1, padding_mode="edge")
    other = made(padding=((1, 1), (1, 1)), padding_mode="edge", layout="NCHW", x_dtype="f8", bias=np.array([1, 2, 3.0]))
    assert one == other
    assert len({one, other}) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"w": 2 * W},
        {"w": W[:, :, ::-1] + np.arange(3)},
        {"bias": [1, 2, 4]},
        {"bias": None},
        {"x_shape": (2, 2, 5, 5)},
        {"x_dtype": "f4"},
        {"dtype": "f4"},
        {"stride": 2},
        {"flip": True},
        {"padding": 1},
        {"activation": "relu"},
        {"activation": ("leaky_relu", 0.5)},
        {"threads": 2},
        {"algorithm": "reference"},
        {"algorithm": "explicit"},
        {"workspace_limit": 10_000},
    ],
    ids=lambda change: next(iter(change)),
)
def test_plans_made_from_something_else_differ(change: dict[str, Any]) -> None:
    """Any other weight, or option, makes another plan."""
    assert made() != made(**change)
    assert made(**change) == made(**change)


def test_plans_differ_from_everything_else() -> None:
    """A plan is equal to no other kind of object."""
    assert made() != "a plan"
    assert made().__eq__("a plan") is NotImplemented


@pytest.mark.parametrize("algorithm", ["auto", *OF_ANY_WINDOW])
@pytest.mark.parametrize("w_dtype", [np.dtype(float), np.dtype(np.int8), BFLOAT16], ids=str)
def test_plans_travel(w_dtype: np.dtype[Any], algorithm: str) -> None:
    """A pickled plan, and a copied one, is equal to the first, prints the same and computes the same."""
    w, x = W.astype(w_dtype), X.astype(w_dtype)
    one = made(w=w, algorithm=algorithm, padding=1, padding_value=1, activation="relu")
    for other in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):  # noqa: S301 (our own)
        assert (other, hash(other), str(other), repr(other)) == (one, hash(one), str(one), repr(one))
        np.testing.assert_array_equal(other(x), one(x))


def test_plans_cannot_be_changed() -> None:
    """Neither a figure nor anything new can be set, nor deleted."""
    prepared = made()
    message = "a plan cannot be changed: 'algorithm' cannot be set; make another plan"
    with raises_exactly(AttributeError, message):
        prepared.algorithm = "fast"
    with raises_exactly(AttributeError, "a plan cannot be changed: 'threads' cannot be deleted"):
        del prepared.threads
    with pytest.raises(AttributeError, match=r"\Aa plan cannot be changed: "):
        prepared.note = "mine"
    assert prepared.algorithm == "implicit"


# What it says.


def test_repr() -> None:
    """One line: shapes, algorithm, threads."""
    assert repr(made()) == "<im2col.Plan (1, 2, 5, 5) → (1, 3, 3, 3), implicit, threads 1>"


def test_a_plan_explains_itself() -> None:
    """Stage by stage: the window, the layer, dtypes, the matrix, the cost, and each algorithm's verdict."""
    prepared = plan(
        (2, 7, 6, 4),
        FILTERS.astype(np.int8),
        np.ones(6, int),
        x_dtype="uint8",
        layout="NHWC",
        groups=2,
        stride=2,
        padding=((0, 1), 2),
        padding_mode="edge",
        activation="relu",
        threads=3,
    )
    *lines, explicit, fft, implicit, reference, separable, winograd = str(prepared).splitlines()
    assert lines == [
        "plan NHWC (2, 7, 6, 4) → (2, 3, 5, 6)",
        "  window     kernel (3, 2), stride (2, 2), dilation (1, 1), padding ((0, 1), (2, 2)) (edge)",
        "  layer      4 channels, 6 filters, groups 2, then bias, relu",
        "  dtypes     uint8 × int8 → int32, sums in int32",
        "  matrix     15 positions × 12 taps a group",
        "  cost       4.32e-06 GFLOP, 1.1 KiB moved at least",
        f"  workspace  {prepared.workspace_bytes / 1024:.1f} KiB (limit for matrix blocks 64.0 MiB)",
        "  threads    3",
    ]
    assert explicit == "    explicit   the column matrix in 1 block, then BLAS"
    assert implicit == f"  → implicit   {prepared._operation.choices[0].offer.reason}"
    assert reference == "    reference  plain loops over 2160 products: the definition, never fast"
    assert separable.startswith("    separable  cannot: passes sum float32 or float64 alone")
    for name, said in (("fft", fft), ("winograd", winograd)):
        assert said.startswith(f"    {name:<10} cannot: tiles are made of float32 or float64 alone")


def test_a_plain_plan_says_only_what_matters() -> None:
    """No padding, no bias, no activation: no words about them; one block is one block."""
    lines = str(plan((5, 5), np.ones((1, 1, 3, 3), np.float16), threads=1, algorithm="reference")).splitlines()
    assert lines[1:4] == [
        "  window     kernel (3, 3), stride (1, 1), dilation (1, 1)",
        "  layer      1 channels, 1 filters, groups 1",
        "  dtypes     float16 × float16 → float16, sums in float32",
    ]
    assert lines[-6] == "    explicit   the column matrix in 1 block, then BLAS"
    assert lines[-3] == "  → reference  plain loops over 81 products: the definition, never fast"


@pytest.mark.parametrize("name", NAMES)
def test_a_verdict_is_a_clause_for_people(name: str) -> None:
    """No algorithm shows the insides of an object, nor more than a line."""
    reason = registry()[name].offer(make_problem(X.shape, W.shape, FLOAT, FLOAT), host(), 1).reason
    assert re.fullmatch(r"[a-z0-9][^\n]{10,}", reason)
    assert not re.search(r"[A-Z]\w*\(|\w=", reason)


def test_a_plan_shows_its_kernels(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The IR and the assembly are those that IM2COL_PRINT shows when the kernels are compiled: each kernel once."""
    monkeypatch.setattr(compiler, "_loaded", {})
    monkeypatch.setenv("IM2COL_PRINT", "ir,asm")
    prepared = plan((1, 3, 19, 21), np.ones((21, 3, 3, 3), np.float32), padding=1, threads=1)
    printed = capsys.readouterr().err
    kernels = prepared.ir().count("define void @")
    assert kernels == prepared.assembly().count(".globl") >= 1
    for text in (prepared.ir(), prepared.assembly()):
        assert all(line in printed for line in text.splitlines())
    assert prepared.ir() == prepared.ir()


@pytest.mark.parametrize("algorithm", ["explicit", "reference"])
@pytest.mark.parametrize("operation", ["ir", "assembly"])
def test_only_compiled_plans_have_kernels(operation: str, algorithm: str) -> None:
    """What runs through NumPy has nothing to show, and says which algorithm has."""
    message = (
        f"Plan.{operation}: this plan runs algorithm {algorithm!r}, which has no kernels to show; make it with "
        "algorithm='implicit'"
    )
    with raises_exactly(ArgumentError, message):
        getattr(made(algorithm=algorithm), operation)()


def test_a_complex_plan_names_no_way_out_that_is_refused() -> None:
    """No algorithm has kernels for complex numbers."""
    message = (
        "Plan.ir: this plan runs algorithm 'explicit', which has no kernels to show; the engine has none for complex "
        "numbers"
    )
    with raises_exactly(ArgumentError, message):
        plan(X.shape, W.astype(complex)).ir()


# Threads.


@pytest.fixture
def fresh_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start without a setting for threads, and leave none."""
    monkeypatch.delenv("IM2COL_NUM_THREADS", raising=False)
    set_threads(None)
    yield
    set_threads(None)


@pytest.mark.usefixtures("fresh_threads")
def test_threads_come_from_the_nearest_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call's own argument, then set_threads, then IM2COL_NUM_THREADS, then the CPUs that may be used."""
    assert made(threads=None).threads == usable_cpus()
    monkeypatch.setenv("IM2COL_NUM_THREADS", "")
    assert made(threads=None).threads == usable_cpus()
    monkeypatch.setenv("IM2COL_NUM_THREADS", "5")
    assert made(threads=None).threads == 5
    set_threads(4)
    assert made(threads=None).threads == 4
    assert made(threads=np.int64(3)).threads == 3
    set_threads(None)
    assert made(threads=None).threads == 5


@pytest.mark.usefixtures("fresh_threads")
@pytest.mark.parametrize("value", ["0", "-1", "two", "2.5"])
def test_bad_thread_variables_are_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is no positive integer is an error of the call that reads it, which says where it comes from."""
    monkeypatch.setenv("IM2COL_NUM_THREADS", value)
    shown = "0" if value == "0" else repr(value)
    message = f"plan: the environment variable IM2COL_NUM_THREADS must be a positive integer, got {shown}"
    with raises_exactly(ArgumentError, message):
        made(threads=None)
    assert made(threads=1).threads == 1


@pytest.mark.usefixtures("fresh_threads")
@pytest.mark.parametrize("value", [0, -3, 1.5, "2", True, np.array([2, 3]), np.array(2.0)], ids=repr)
def test_bad_threads_are_refused(value: Any) -> None:
    """Whatever is no positive integer is refused, and the setting stays as it was."""
    set_threads(2)
    with raises_exactly(ArgumentError, f"set_threads: threads must be a positive integer or None, got {value!r}"):
        set_threads(value)
    assert made(threads=None).threads == 2


# Errors.

_FROZEN = np.full((1, 3, 3, 3), 7.0)
_FROZEN.flags.writeable = False

WRONG: list[tuple[type[Exception], str, dict[str, Any]]] = [
    (ShapeError, "conv2d: bias has shape (2,) but 3 output maps need one value each, (3,)", {"bias": [1.0, 2.0]}),
    (
        DTypeError,
        "conv2d: bias of complex128 cannot be added to sums of float64; convert the bias, or pass dtype='complex128'",
        {"bias": np.ones(3) * 1j},
    ),
    (
        DTypeError,
        "conv2d: bias of float64 cannot be added to sums of int32; convert the bias, or pass dtype='float64'",
        {"x": X.astype(np.int8), "w": W.astype(np.int8), "bias": np.ones(3)},
    ),
    (
        ArgumentError,
        f"conv2d: algorithm must be 'auto' or one of {NAMES}, got 'fast'",
        {"algorithm": "fast"},
    ),
    (
        ArgumentError,
        "conv2d: algorithm 'explicit' cannot solve this: one position of the column matrix with its sums takes 168 B, "
        "more than workspace_limit=167; use algorithm='auto'",
        {"algorithm": "explicit", "workspace_limit": 167},
    ),
    (ArgumentError, "conv2d: threads must be a positive integer or None, got 0", {"threads": 0}),
    (ArgumentError, "conv2d: threads must be a positive integer or None, got True", {"threads": True}),
    (ArgumentError, "conv2d: threads must be a positive integer or None, got 1.5", {"threads": 1.5}),
    # out, which has no sentinel to watch where it is no array.
    (OutputError, "conv2d: out is a list; pass an ndarray", {"out": [1.0]}),
    (
        OutputError,
        "conv2d: out has shape (3, 3, 3) but the result has (1, 3, 3, 3); pass np.empty((1, 3, 3, 3), 'float64')",
        {"out": np.full((3, 3, 3), 7.0)},
    ),
    (
        OutputError,
        "conv2d: out has dtype float32 but the result has float64; pass np.empty((1, 3, 3, 3), 'float64')",
        {"out": np.full((1, 3, 3, 3), 7, np.float32)},
    ),
    (OutputError, "conv2d: out is read-only; pass a writeable array", {"out": _FROZEN}),
    (
        OutputError,
        "conv2d: out has elements that share memory; pass np.empty of the result's shape",
        {"out": np.lib.stride_tricks.as_strided(np.full(7, 7.0), (1, 3, 3, 3), (8, 8, 8, 8))},
    ),
]


@pytest.mark.parametrize(
    ("error", "message", "wrong"), WRONG, ids=[f"{i} {list(w)[-1]}" for i, (*_, w) in enumerate(WRONG)]
)
def test_errors_come_before_anything_is_written(error: type[Exception], message: str, wrong: dict[str, Any]) -> None:
    """Each wrong argument has its whole message, and `out` still holds what it held."""
    check_refused(error, message, wrong)


@pytest.mark.parametrize("which", ["x", "w"])
def test_out_must_not_share_memory_with_an_input(which: str) -> None:
    """An `out` that lies in the image or in the weight is refused, and the input keeps its values."""
    arrays: dict[str, Any] = {"x": X.copy(), "w": W.copy()}
    out = arrays[which].reshape(-1)[-27:].reshape(1, 3, 3, 3)
    message = "conv: out shares memory with an input, which would be overwritten while it is read; pass another array"
    with raises_exactly(OutputError, message):
        conv(**arrays, out=out)
    np.testing.assert_array_equal(arrays[which], 1)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            X[0],
            ShapeError,
            "plan: x has shape (2, 5, 5) but the plan was made for (1, 2, 5, 5); make a plan for each shape",
        ),
        (
            X.astype(np.float32),
            DTypeError,
            "plan: x has dtype float32 but the plan was made for float64; convert x, or make the plan with "
            "x_dtype='float32'",
        ),
        (
            X.astype(str),
            DTypeError,
            "plan: x has dtype <U32, which is not a number; convert it first, as in np.asarray(x, float)",
        ),
    ],
)
def test_a_plan_refuses_other_images(x: NDArray[Any], error: type[Exception], message: str) -> None:
    """A plan takes the shape and the dtype that it was made for; `out` is untouched."""
    out = np.full((1, 3, 3, 3), 7.0)
    with raises_exactly(error, message):
        made()(x, out)
    np.testing.assert_array_equal(out, 7)


def test_a_plan_refuses_other_outputs() -> None:
    """The errors of `out` name the plan."""
    message = "plan: out has shape (3, 3) but the result has (1, 3, 3, 3); pass np.empty((1, 3, 3, 3), 'float64')"
    with raises_exactly(OutputError, message):
        made()(X, np.empty((3, 3)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"x_dtype": "f5"}, DTypeError, "plan: x_dtype='f5' is not a dtype; pass one such as np.float32"),
        ({"x_dtype": "U3"}, DTypeError, "plan: x_dtype=<U3 is not a number; pass one such as np.float32"),
        (
            {"algorithm": None},
            ArgumentError,
            f"plan: algorithm must be 'auto' or one of {NAMES}, got None",
        ),
        (
            {"algorithm": ["auto"]},
            ArgumentError,
            f"plan: algorithm must be 'auto' or one of {NAMES}, got ['auto']",
        ),
        (
            {"w": np.ones((3, 3))},
            ShapeError,
            "plan: w must be (filters, channels/groups, *kernel), got shape (3, 3); a plain kernel goes with conv1d, "
            "conv2d or conv3d, or as w[None, None]",
        ),
    ],
)
def test_plans_that_cannot_be_made(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """What is wrong with the arguments is said when the plan is made, in its name."""
    with raises_exactly(error, message):
        made(**options)


@pytest.mark.parametrize("name", ["strides", "out", "has_bias"])
def test_unknown_keywords_name_the_plan(name: str) -> None:
    """A keyword that a plan does not have is refused in its name."""
    with pytest.raises(TypeError, match=rf"\Aplan\(\) got an unexpected keyword argument '{name}'\Z"):
        made(**{name: None})
