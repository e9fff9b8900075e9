"""
A vessel in a noisy volume
==========================

Scanners give volumes: depth, height and width. The same calls take them, with kernels of three axes. Here a bent
tube lies in noise, of which a single slice shows little. After a Gaussian over 7×7×7 voxels it stands out.
"""

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv3d

depth, height, width = 48, 64, 64
z, y, x = np.mgrid[:depth, :height, :width]
middle_y, middle_x = 32 + 16 * np.sin(z / 9), 32 + 16 * np.cos(z / 9)
tube = ((y - middle_y) ** 2 + (x - middle_x) ** 2 < 3**2).astype(np.float32)
volume = tube + np.random.default_rng(0).normal(0, 1, tube.shape).astype(np.float32)

# %%
# The kernel is a product of three, one along each axis. So the volume can be convolved axis by axis, too: 21 weights
# instead of 343.

taps = np.exp(-0.5 * (np.arange(-3, 4, dtype=np.float32) / 1.5) ** 2)
taps /= taps.sum()
kernel = taps[:, np.newaxis, np.newaxis] * taps[:, np.newaxis] * taps
smooth = conv3d(volume, kernel, padding="same")

apart = volume
for axis in range(3):
    shape = [7 if a == axis else 1 for a in range(3)]
    apart = conv3d(apart, taps.reshape(shape), padding="same")
assert np.allclose(smooth, apart, atol=1e-5)


# A threshold that finds half of the tube finds other voxels, too: a hundredth of them after the filter.
def false_alarms(values: np.ndarray) -> int:
    return int((values[tube == 0] > np.median(values[tube == 1])).sum())


assert false_alarms(smooth) < false_alarms(volume) / 100

fig, axes = plt.subplots(2, 3, figsize=(7.5, 4.6), layout="compressed")
for n, (title, array) in enumerate({"tube": tube, "noisy": volume, "filtered": smooth}.items()):
    for ax, name, image in zip(axes[:, n], ("one slice", "all slices"), (array[20], array.max(axis=0)), strict=True):
        ax.imshow(image, cmap="bone")
        ax.set_title(f"{title}, {name}")
        ax.axis("off")
plt.show()
