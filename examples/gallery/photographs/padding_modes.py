"""
What lies beyond the border
===========================

A window at the border reaches beyond the image, and something must stand there. The five padding modes are those of
``np.pad``. Here the photograph is shown with what each makes up, and with the blur that comes of it.
"""

from importlib.resources import files
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d

grey = plt.imread(str(files("im2col") / "data/chelsea.jpg"))[85:185:2, 125:225:2].mean(axis=-1)
size = 13
reach = size // 2
kernel = np.full((size, size), 1 / size**2)
modes: Any = ("constant", "edge", "reflect", "symmetric", "wrap")

fig, axes = plt.subplots(2, len(modes), figsize=(7.5, 3.5), layout="compressed")
for (seen, made), mode in zip(axes.T, modes, strict=True):
    padded = np.pad(grey, reach, mode=mode)
    blurred = conv2d(grey, kernel, padding=reach, padding_mode=mode)
    # Padded beforehand or by the convolution: the same.
    assert np.allclose(blurred, conv2d(padded, kernel))
    seen.imshow(padded, cmap="gray", vmin=0, vmax=220)
    seen.plot(
        np.array((0, 1, 1, 0, 0)) * grey.shape[1] + reach - 0.5,
        np.array((0, 0, 1, 1, 0)) * grey.shape[0] + reach - 0.5,
        color="orange",
    )
    seen.set_title(f"{mode}\n{padded.shape[0]}×{padded.shape[1]}")
    made.imshow(blurred, cmap="gray", vmin=0, vmax=220)
    made.set_title(f"blurred\n{blurred.shape[0]}×{blurred.shape[1]}")
    for ax in (seen, made):
        ax.axis("off")
    assert blurred.shape == grey.shape
plt.show()

# %%
# Zeros darken the border. ``"wrap"`` shows the other end of the image, which is right for what goes round: angles,
# longitudes, a torus.
