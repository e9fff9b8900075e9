"""
Smooth, but not across edges
============================

A convolution has the same weights everywhere, so a blur that removes noise softens edges, too. A *bilateral* filter
lowers the weight of pixels that differ from the one in the middle. That is no convolution, but it works on the same
windows, and ``patches`` shows them all at once.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d, patches

clean = plt.imread(str(files("im2col") / "data/chelsea.jpg"))[80:200, 130:290].mean(axis=-1) / 255
noisy = clean + np.random.default_rng(0).normal(0, 0.06, clean.shape)

# %%
# For every pixel a window of 7×7: an array of four axes. Padding needs one copy of the image, the windows none.

reach = 3
y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
near = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
windows = patches(noisy, 2 * reach + 1, padding=reach, padding_mode="reflect")
alike = np.exp(-((windows - noisy[..., np.newaxis, np.newaxis]) ** 2) / (2 * 0.15**2))
weights = near * alike
bilateral = (weights * windows).sum(axis=(-2, -1)) / weights.sum(axis=(-2, -1))

gaussian = conv2d(noisy, near / near.sum(), padding=reach, padding_mode="reflect")
# Were all pixels alike, it would be the Gaussian blur.
assert np.allclose((near * windows).sum(axis=(-2, -1)) / near.sum(), gaussian)


def error(image: np.ndarray) -> float:
    return float(np.sqrt(np.mean((image - clean) ** 2)))


assert error(bilateral) < error(gaussian) < error(noisy)

fig, axes = plt.subplots(2, 2, figsize=(7.5, 6), layout="compressed")
panels = {"photograph": clean, "with noise": noisy, "Gaussian": gaussian, "bilateral": bilateral}
for ax, (title, image) in zip(axes.flat, panels.items(), strict=True):
    ax.imshow(image, cmap="gray", vmin=0, vmax=1)
    ax.set_title(title if image is clean else f"{title}, error {error(image):.3f}")
    ax.axis("off")
plt.show()
