"""
Smaller without moiré
=====================

To keep every fourth pixel is to look through a sieve: whatever changes faster than the sieve shows up as a pattern
that is not there. A blur before it takes away what the small image cannot hold. With ``stride=4`` the blur is computed
only where it is kept.
"""

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d

# Rings that get finer towards the border, a zone plate: at the border they are four pixels wide.
n, step = 384, 4
y, x = np.mgrid[:n, :n] - n / 2
image = 0.5 + 0.5 * np.cos(np.pi * (x**2 + y**2) / (2 * n))

# %%
# The weights are a Gaussian about as wide as the step.

taps = np.arange(-8, 9)
gaussian = np.exp(-0.5 * (taps / (0.6 * step)) ** 2)
gaussian /= gaussian.sum()
kernel = np.outer(gaussian, gaussian)

sieved = image[::step, ::step]
smooth = conv2d(image, kernel, stride=step, padding=8, padding_mode="edge")

# The stride leaves out work and changes nothing.
assert np.allclose(smooth, conv2d(image, kernel, padding=8, padding_mode="edge")[::step, ::step])
# Near the left border no rings are left, and they are as fine as the sieve there: it shows coarse ones.
middle = n // step // 2
assert smooth[middle, 2:10].std() < 0.02
assert sieved[middle, 2:10].std() > 0.3

fig, axes = plt.subplots(1, 3, figsize=(7.5, 3.1), layout="compressed")
panels = {"image": image, "every fourth pixel": sieved, "blurred, stride 4": smooth}
for ax, (title, result) in zip(axes, panels.items(), strict=True):
    ax.imshow(result, cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"{title}\n{result.shape[1]}×{result.shape[0]}")
    ax.axis("off")
plt.show()
