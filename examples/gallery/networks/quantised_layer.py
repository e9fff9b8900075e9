"""
A layer in eight bits
=====================

Networks on small devices count in bytes: a byte q stands for the number scale · (q − zero point). ``quantized_conv``
multiplies bytes, sums in 32 bits, and rounds the result to bytes again. How far is it from the layer in floating point?
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d, quantized_conv

photo = plt.imread(str(files("im2col") / "data/chelsea.jpg")).transpose(2, 0, 1) / 255
w = np.random.default_rng(0).normal(0, 0.2, (16, 3, 5, 5))
exact = conv2d(photo, w, padding=2)

# %%
# A scale for the image, one for the result, and one for each filter, so that each makes the most of its bytes.

x_scale = 1 / 255
w_scale = np.abs(w).max(axis=(1, 2, 3)) / 127
y_scale = (exact.max() - exact.min()) / 255
y_zero = int(np.round(-exact.min() / y_scale))
x_bytes = np.round(photo / x_scale).astype(np.uint8)
w_bytes = np.round(w / w_scale[:, np.newaxis, np.newaxis, np.newaxis]).astype(np.int8)
y_bytes = quantized_conv(
    x_bytes, w_bytes, x_scale=x_scale, w_scale=w_scale, y_scale=y_scale, y_zero_point=y_zero, padding=2
)
quantised = y_scale * (y_bytes.astype(float) - y_zero)
difference = quantised - exact

# The bytes are the sums of products, which float64 holds without rounding, scaled and rounded.
sums = conv2d(x_bytes.astype(float), w_bytes.astype(float), padding=2)
scaled = sums * (x_scale * w_scale / y_scale)[:, np.newaxis, np.newaxis] + y_zero
assert np.abs(y_bytes - np.clip(scaled, 0, 255)).max() < 0.501
# Rounding is at most half a step of the result; the weights' own rounding adds to it.
assert np.sqrt(np.mean(difference**2)) < y_scale

fig, axes = plt.subplots(1, 3, figsize=(8, 2.6), layout="constrained")
for ax, (title, maps) in zip(axes, {"float64": exact, "uint8": quantised}.items(), strict=False):
    ax.imshow(maps[5], cmap="gray", vmin=exact[5].min(), vmax=exact[5].max())
    ax.set_title(f"a map, {title}")
    ax.axis("off")
axes[2].hist(difference.ravel() / y_scale, bins=61, range=(-2, 2), color="tab:blue")
axes[2].set(title="difference", xlabel="steps of the result", yticks=[])
axes[2].set_box_aspect(photo.shape[1] / photo.shape[2])
plt.show()
