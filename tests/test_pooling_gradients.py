"""The adjoints of pooling, and `max_unpool`: the adjoint identity, plain loops, torch; and what is refused."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from im2col import (
    DTypeError,
    OutputError,
    ShapeError,
    average_pool,
    average_pool_input_gradient,
    max_pool,
    max_pool_input_gradient,
    max_unpool,
)
from im2col.algorithms.pooling import scatter

from .kit.outcomes import raises_exactly
from .kit.pools import CASES, PoolCase, answers, image, in_layout, output_shape

Array = NDArray[Any]


def gradient(case: PoolCase, dtype: Any = "f8") -> Array:
    """Return small whole numbers for each position."""
    return np.random.default_rng(5).integers(-9, 10, output_shape(case)).astype(dtype)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.shape} by {case.kernel}")
def test_adjoints(case: PoolCase, last: bool) -> None:
    """⟨pool(x), g⟩ = ⟨x, pool'(g)⟩: exactly for maxima of whole pixels, for means within rounding."""
    x, layout = in_layout(image(case, "f8"), case, last=last)
    g, _ = in_layout(gradient(case), case, last=last)
    indices, _ = in_layout(answers(case)[1], case, last=last)
    back = max_pool_input_gradient(g, indices, x.shape, layout=layout)
    greatest = np.where(indices < 0, 0, in_layout(answers(case)[0].astype("f8"), case, last=last)[0])
    assert (greatest * g).sum() == (x * back).sum()
    for counted in (True, False):
        options: dict[str, Any] = {**case.options, "count_include_pad": counted, "layout": layout}
        mean = average_pool(x, **options)
        through = average_pool_input_gradient(g, x.shape, **options)
        assert (through.shape, through.dtype) == (x.shape, g.dtype)
        np.testing.assert_allclose(np.nansum(mean * g), (x * through).sum(), rtol=1e-11, atol=1e-9)


def test_means_go_back_to_the_pixels_of_their_windows_alone() -> None:
    """Each pixel gets a part of the windows that have it: an infinite gradient reaches no other."""
    g = np.zeros((1, 1, 4, 4))
    g[0, 0, 1, 2] = np.inf
    back = average_pool_input_gradient(g, (1, 1, 8, 8), 3, stride=2, padding=1)
    rows, columns = np.nonzero(back[0, 0])
    assert (set(rows.tolist()), set(columns.tolist())) == ({1, 2, 3}, {3, 4, 5})
    assert np.isposinf(back[0, 0, 1:4, 3:6]).all()


@pytest.mark.parametrize("engine", [True, False])
@pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f2", "f4", "c8", "c16", ">f4"])
def test_maxima_go_back_in_every_dtype(dtype: str, engine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers for one pixel are added up, small integers as `np.sum` does; `max_unpool` keeps the last one."""
    if not engine:
        monkeypatch.setattr(scatter, "load", lambda _: None)
    g, indices = np.ones((2, 3, 2, 2), dtype), np.array([[0, 5], [5, -1]])[None, None].repeat(2, 0).repeat(3, 1)
    back = max_pool_input_gradient(g, indices, (2, 3, 2, 3))
    expected = np.zeros((2, 3, 6), np.sum(g[:0]).dtype if g.dtype.kind in "bu" else g.dtype.newbyteorder("="))
    expected[..., 0], expected[..., 5] = 1, 2
    np.testing.assert_array_equal(back, expected.reshape(2, 3, 2, 3))
    assert back.dtype == expected.dtype
    values = np.arange(24).reshape(2, 3, 2, 2).astype(dtype)
    put = max_unpool(values, indices, (2, 3, 2, 3))
    assert put.dtype == values.dtype.newbyteorder("=")
    np.testing.assert_array_equal(put[..., 1, 2], values[..., 1, 0])
    np.testing.assert_array_equal(put[..., 0, 0], values[..., 0, 0])
    assert not put[..., 0, 1:].any()


def test_unpooled_maxima_are_pooled_again() -> None:
    """Windows that do not overlap: what was the greatest is so again, at its place; in any `out`."""
    x = np.random.default_rng(0).random((2, 3, 8, 10)) + 1
    for last in (False, True):
        case = PoolCase(x.shape, (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
        given, layout = in_layout(x, case, last=last)
        values, indices = max_pool(given, 2, layout=layout, return_indices=True)
        wide = np.full((4, *given.shape[1:]), np.nan)
        image_ = max_unpool(values, indices, given.shape, layout=layout, out=wide[::2])
        assert np.shares_memory(image_, wide)
        again = max_pool(image_, 2, layout=layout, return_indices=True)
        np.testing.assert_array_equal(again[0], values)
        np.testing.assert_array_equal(again[1], indices)
        back = max_pool_input_gradient(values, indices, given.shape, layout=layout)
        np.testing.assert_array_equal(back, image_)


def test_empty_arrays() -> None:
    """No image, no channel."""
    for shape in ((0, 3), (2, 0)):
        g, indices = np.ones((*shape, 2, 2)), np.zeros((*shape, 2, 2), int)
        assert max_pool_input_gradient(g, indices, (*shape, 4, 4)).shape == (*shape, 4, 4)
        assert average_pool_input_gradient(g, (*shape, 4, 4), 2).shape == (*shape, 4, 4)
        with pytest.raises(OutputError, match="out has shape"):
            average_pool_input_gradient(g, (*shape, 4, 4), 2, out=np.ones((*shape, 4, 5)))


def test_errors() -> None:
    """Whole messages: what is wrong, and the way out."""
    g, indices = np.ones((1, 2, 2, 2)), np.zeros((1, 2, 2, 2), int)
    with raises_exactly(
        DTypeError,
        "max_unpool: indices has dtype float64; pass integers, as max_pool(…, return_indices=True) gives",
    ):
        max_unpool(g, g, (1, 2, 4, 4))
    with raises_exactly(
        ShapeError,
        "max_pool_input_gradient: indices has shape (1, 2, 2) but grad has (1, 2, 2, 2); pass an index for each",
    ):
        max_pool_input_gradient(g, indices[..., 0], (1, 2, 4, 4))
    for wrong in (-2, 16):
        spoiled = indices.copy()
        spoiled[0, 1, 1, 0] = wrong
        with raises_exactly(
            ShapeError,
            f"max_unpool: an index is {wrong} but image_shape (1, 2, 4, 4) has 16 pixels a channel; pass the shape of "
            "the image that was pooled, and indices within its spatial axes",
        ):
            max_unpool(g, spoiled, (1, 2, 4, 4))
    with raises_exactly(
        ShapeError,
        "max_unpool: image_shape (2, 4, 4) has 3 entries but x has the axes 'NCHW'; give one for each",
    ):
        max_unpool(g, indices, (2, 4, 4))
    with raises_exactly(
        ShapeError,
        "average_pool_input_gradient: grad has shape (1, 2, 2, 2) but pooling an image of shape (1, 2, 6, 6) gives "
        "(1, 2, 3, 3); pass the gradient of its result, and what it used",
    ):
        average_pool_input_gradient(g, (1, 2, 6, 6), 2)
    with pytest.raises(OutputError, match="shares memory"):
        max_unpool(g, indices, g.shape, out=g)
    with pytest.raises(OutputError, match="out has shape"):
        average_pool_input_gradient(g, (1, 2, 4, 4), 2, out=g)


@pytest.mark.parametrize(("ceil_mode", "padding"), list(itertools.product((False, True), (0, 1))))
def test_torch(torch: Any, ceil_mode: bool, padding: int) -> None:
    """Gradients of maxima and means, and `max_unpool2d`."""
    pool = torch.nn.functional
    for kernel, stride in itertools.product((2, 3), (1, 2, 3)):
        x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 9, 12))).requires_grad_()
        options: dict[str, Any] = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        values, places = pool.max_pool2d(x, kernel, **options, return_indices=True)
        g = np.random.default_rng(1).standard_normal(values.shape)
        (expected,) = torch.autograd.grad(values, x, torch.from_numpy(g))
        result = max_pool_input_gradient(g, places.numpy(), x.shape)
        np.testing.assert_allclose(result, expected.numpy(), rtol=1e-12, atol=1e-12)
        for counted in (False, True):
            mean = pool.avg_pool2d(x, kernel, **options, count_include_pad=counted)
            (expected,) = torch.autograd.grad(mean, x, torch.from_numpy(g))
            result = average_pool_input_gradient(g, x.shape, kernel, **options, count_include_pad=counted)
            np.testing.assert_allclose(result, expected.numpy(), rtol=1e-12, atol=1e-12)
