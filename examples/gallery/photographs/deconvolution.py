"""
A blurred photograph, made sharp again
======================================

While the shutter is open, the camera moves. That is a convolution, so it is linear, and SciPy's solvers can look for
the scene that gives this picture. ``conv_operator`` hands them the convolution and its adjoint.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse.linalg import lsqr

from im2col import conv_operator

scene = plt.imread(str(files("im2col") / "data/chelsea.jpg"))[60:200, 110:250].astype(np.float32)

# %%
# Each pixel of the picture is the mean of eleven pixels of a slanted line, and the picture is smaller than the scene:
# no padding is made up.

line = np.zeros((5, 11), np.float32)
line[np.round(np.linspace(4, 0, 11)).astype(int), np.arange(11)] = 1 / 11
w = np.stack([line[np.newaxis]] * 3)
blur = conv_operator(w, scene.shape, groups=3, layout="HWC")
picture = (blur @ scene.ravel()).round()  # to 8 bits, as a file holds it

# %%
# The solver starts from the picture itself. ``damp`` holds it near there where the picture says little.

shape = (scene.shape[0] - 4, scene.shape[1] - 10, 3)
start = np.pad(picture.reshape(shape), ((2, 2), (5, 5), (0, 0)), mode="edge")
restored = lsqr(blur, picture, damp=0.02, iter_lim=60, x0=start.ravel())[0].reshape(scene.shape)


def decibels(image: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((image.clip(0, 255) - scene) ** 2)))


assert decibels(restored) > decibels(start) + 5

fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.9), layout="compressed")
panels = {
    "scene": scene,
    f"picture, {decibels(start):.0f} dB": start,
    f"restored, {decibels(restored):.0f} dB": restored,
}
for ax, (title, image) in zip(axes, panels.items(), strict=True):
    ax.imshow(image.clip(0, 255).astype(np.uint8))
    ax.set_title(title)
    ax.axis("off")
plt.show()
