"""
Mean and deviation around each pixel
====================================

A window of equal weights gives the mean of the pixels under it. The mean of their squares, less the square of their
mean, is their variance. So two convolutions tell, at every pixel, how bright and how restless its surroundings are.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d, patches

grey = plt.imread(str(files("im2col") / "data/chelsea.jpg")).mean(axis=-1)
size = 15
box = np.full((size, size), 1 / size**2)

mean = conv2d(grey, box, padding="same", padding_mode="reflect")
mean_of_squares = conv2d(grey**2, box, padding="same", padding_mode="reflect")
deviation = np.sqrt(np.maximum(mean_of_squares - mean**2, 0))

# Windows themselves, as a view of the image: NumPy's own mean and deviation of each.
windows = patches(grey, size)
inside = slice(size // 2, -(size // 2))
assert np.allclose(mean[inside, inside], windows.mean(axis=(-2, -1)))
assert np.allclose(deviation[inside, inside], windows.std(axis=(-2, -1)))

# %%
# A pixel less the mean, divided by the deviation, has the same contrast everywhere: in the light and in the shade,
# in the fur and beside it.

even = (grey - mean) / (deviation + 4)

fig, axes = plt.subplots(2, 2, figsize=(7.5, 5.4), layout="compressed")
panels = {"photograph": grey, "local mean": mean, "local deviation": deviation, "even contrast": even}
for ax, (title, image) in zip(axes.flat, panels.items(), strict=True):
    ax.imshow(image, cmap="magma" if title == "local deviation" else "gray")
    ax.set_title(title)
    ax.axis("off")
plt.show()
