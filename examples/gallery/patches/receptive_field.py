"""
How far a network sees
======================

A pixel that three layers of 3×3 have made depends on 7×7 pixels of the image. If the second layer spreads its taps to
every second pixel, and the third to every fourth, the same number of weights sees 15×15. The gradient of one output
pixel shows which pixels of the image it depends on, and how much.
"""

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d, conv_input_gradient

size, middle = 33, 16
w = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], float)[np.newaxis, np.newaxis] / 16


def seen(dilations: tuple[int, ...]) -> np.ndarray:
    """Return how much the output's middle pixel changes with each pixel of the image."""
    grad = np.zeros((1, size, size))
    grad[0, middle, middle] = 1
    for dilation in reversed(dilations):
        grad = conv_input_gradient(grad, w, grad.shape, padding="same", dilation=dilation)
    return grad.reshape(size, size)


networks = ((1, 1, 1), (1, 2, 4), (1, 2, 8))
fields = [seen(dilations) for dilations in networks]

# A layer of 3×3 sees one dilation further on each side.
for dilations, field in zip(networks, fields, strict=True):
    reach = sum(dilations)
    rows, columns = np.nonzero(field)
    assert rows.min() == columns.min() == middle - reach
    assert rows.max() == columns.max() == middle + reach
# The gradient is right: one changed pixel of the image changes the output by as much.
image = np.zeros((1, size, size))
image[0, 13, 18] = 1
for dilation in networks[1]:
    image = conv2d(image, w, padding="same", dilation=dilation)
assert np.isclose(image[0, middle, middle], fields[1][13, 18])

# %%
# With dilations that grow too fast there are gaps: between the taps nothing is seen.

fig, axes = plt.subplots(1, 3, figsize=(7.5, 3), layout="compressed")
for ax, dilations, field in zip(axes, networks, fields, strict=True):
    ax.imshow(np.where(field > 0, field / field.max(), np.nan) ** 0.5, cmap="viridis", vmin=0)
    side = 2 * sum(dilations) + 1
    ax.set_title(f"dilations {', '.join(map(str, dilations))}\nsees {side}×{side}")
    ax.set(xticks=[], yticks=[])
plt.show()
