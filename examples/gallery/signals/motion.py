"""
Which way things move
=====================

A video is a volume whose first axis is time, and a thing that moves is a slanted line in it. Differences along time and
along both axes of the frames are three kernels of 3×3×3, and three filters of one layer. Where brightness travels
unchanged, they tell the speed.
"""

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv3d

frames, height, width = 9, 64, 96
t, y, x = np.mgrid[:frames, :height, :width].astype(float)
discs = ((20, 25, 1.0, 0.0), (44, 60, -0.5, 0.75), (20, 70, 0.0, -1.0))  # row, column; their speeds, pixels a frame
video = sum(np.exp(-((y - row - v * (t - 4)) ** 2 + (x - col - u * (t - 4)) ** 2) / 60) for row, col, v, u in discs)

# %%
# A kernel smooths along two axes and takes the difference along the third.

smooth, difference = np.array((1, 2, 1)) / 4, np.array((-1, 0, 1)) / 2
kernels = []
for axis in range(3):
    d, h, w = (difference if a == axis else smooth for a in range(3))
    kernels.append(d[:, np.newaxis, np.newaxis] * h[:, np.newaxis] * w)
in_time, down, right = conv3d(video[np.newaxis], np.array(kernels)[:, np.newaxis], padding=(0, 1, 1))[:, 3]

# %%
# The speed (v, u) of a pixel solves ``down·v + right·u = −in_time``, in the sense of least squares over a window of
# 11×11 pixels: after Lucas and Kanade. The sums over windows are convolutions, too.

products = np.stack([down * down, down * right, right * right, down * in_time, right * in_time])
ones = np.ones((5, 1, 1, 11, 11))
dd, dr, rr, dt, rt = conv3d(products[:, np.newaxis], ones, groups=5, padding=(0, 5, 5))[:, 0]
determinant = dd * rr - dr**2
determinant[determinant < 1e-3 * determinant.max()] = np.nan  # nothing to be seen there
v = (dr * rt - rr * dt) / determinant
u = (dr * dt - dd * rt) / determinant

for row, col, speed_down, speed_right in discs:
    assert np.allclose((v[row, col], u[row, col]), (speed_down, speed_right), atol=0.1)

fig, axes = plt.subplots(1, 2, figsize=(7.5, 2.8), layout="compressed")
axes[0].imshow(video[0] - video[-1], cmap="RdBu_r", vmin=-1, vmax=1)
axes[0].set_title("first frame (red), last frame (blue)")
axes[1].imshow(video[4], cmap="gray")
every = np.s_[2::6, 2::6]
axes[1].quiver(x[0][every], y[0][every], u[every], v[every], color="orange", angles="xy", scale=18, width=0.006)
axes[1].set_title("middle frame, and how it moves")
for ax in axes:
    ax.axis("off")
plt.show()
