"""A program that needs no engine, for processes and browsers without one."""

CORE = """
import pickle
import sys
import warnings
import numpy as np
import im2col
from im2col import ArgumentError, conv, plan

DTYPES = "f4 f8 f2 i1 u1 i2 u2 i4 i8 ? c8".split()
LAYERS = [  # image, filters, options
    ((2, 3, 9, 8), (4, 3, 3, 3), {"padding": 1}),
    ((2, 9, 8, 3), (4, 3, 3, 3), {"layout": "NHWC", "stride": 2}),
    ((1, 6, 11, 7), (6, 1, 3, 2), {"groups": 6, "padding": "same"}),
    ((1, 11, 7, 20), (20, 1, 3, 2), {"groups": 20, "layout": "NHWC", "padding_mode": "edge", "padding": 1}),
    ((4, 10, 10), (6, 2, 1, 1), {"groups": 2, "activation": "relu"}),
    ((40, 41), (1, 1, 5, 5), {"dilation": 2, "padding": 3, "padding_value": 1}),
    ((1, 2, 50), (3, 2, 4), {"padding": "causal"}),
    ((2, 4, 5, 6), (3, 2, 2, 2, 2), {"flip": True}),
    ((0, 3, 5, 5), (2, 3, 3, 3), {}),
]


def filled(shape, dtype, most):
    return (np.arange(np.prod(shape)) * 7 % 11 % most).astype(dtype).reshape(shape)


def views(a):
    # The same array, with other strides, with other bytes.
    yield a
    yield a.T.copy().T
    yield np.repeat(a, 2, axis=-1)[..., ::2]
    yield a.astype(a.dtype.newbyteorder())


def check(dtype, x_shape, w_shape, options):
    x, w = filled(x_shape, dtype, 5), filled(w_shape, dtype, 3)
    bias = None if dtype == "?" else np.arange(len(w)).astype(dtype)
    options = {k: v for k, v in options.items() if k != "activation" or dtype != "c8"}
    expected = conv(x, w, bias, algorithm="reference", **options)
    prepared = plan(x.shape, w, bias, x_dtype=dtype, **options)
    restored = pickle.loads(pickle.dumps(prepared))
    assert (restored, restored.algorithm) == (prepared, prepared.algorithm)
    for image in views(x):
        for out in (None, np.empty_like(expected), np.empty_like(expected.T).T):
            for result in (conv(image, w, bias, out=out, **options), prepared(image, out), restored(image, out)):
                assert result.dtype == expected.dtype
                assert np.array_equal(result, expected)


with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for i, dtype in enumerate(DTYPES):
        for layer in LAYERS[i % 3 :: 3]:
            check(dtype, *layer)
        for orientation in ("rows", "columns"):
            x = filled((2, 3, 9, 8), dtype, 5)
            options = {"padding": 1, "stride": 2, "orientation": orientation}
            matrix = im2col.im2col(x, 3, **options)
            padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
            order = (0, 2, 3, 1, 4, 5) if orientation == "rows" else (0, 1, 4, 5, 2, 3)
            assert (matrix == windows.transpose(order).reshape(matrix.shape)).all()
            if dtype != "?":
                back = im2col.col2im(matrix, x.shape, 3, **options)
                assert (back == x * im2col.overlap_count(x.shape, 3, padding=1, stride=2).astype(dtype)).all()
for each in caught:
    print(f"{type(each.message).__name__}: {each.message}")
print(im2col.show_config()["engine"])
try:
    print(im2col.plan((1, 5, 5), np.ones((1, 1, 3, 3)), algorithm="implicit").algorithm)
except ArgumentError as refusal:
    print(refusal)
"""
"""Layers of all kinds, and the column matrix of each dtype; prints what was warned of, and a refusal."""
