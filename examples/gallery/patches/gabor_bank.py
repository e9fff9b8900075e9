"""
A bank of Gabor filters
=======================

A wave under a bell: such a kernel answers to stripes of one width and one direction. A bank has one for each of
several directions, and they are the filters of one layer. The answers tell, for each pixel, which way the fur lies.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d

grey = plt.imread(str(files("im2col") / "data/chelsea.jpg")).mean(axis=-1)
directions = np.arange(6) * np.pi / 6
y, x = np.mgrid[-8:9, -8:9]

# %%
# A complex weight is two real ones: its magnitude does not depend on where, within the window, a stripe lies.

bank = []
for angle in directions:
    along = x * np.cos(angle) + y * np.sin(angle)
    kernel = np.exp(-(x**2 + y**2) / (2 * 3**2)) * np.exp(2j * np.pi * along / 6)
    bank.append(kernel - kernel.mean())  # even areas give 0
w = np.array(bank)[:, np.newaxis]  # (6 filters, 1 channel, 17, 17), complex
answers = np.abs(conv2d(grey[np.newaxis], w, padding="same", padding_mode="reflect"))
best = answers.argmax(axis=0)

# Stripes of a known direction are answered by the filter of that direction.
for n, angle in enumerate(directions):
    stripes = np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / 6)
    assert np.abs(conv2d(stripes[np.newaxis], w)).argmax() == n

fig = plt.figure(figsize=(7.5, 4.4), layout="constrained")
top, bottom = fig.subfigures(2, 1, height_ratios=(1, 2.4))
for ax, kernel, angle in zip(top.subplots(1, 6), bank, directions, strict=True):
    ax.imshow(kernel.real, cmap="RdBu_r", vmin=-1, vmax=1)
    ax.set_title(f"{np.degrees(angle):.0f}°")
    ax.axis("off")
left, right = bottom.subplots(1, 2)
left.imshow(grey, cmap="gray")
left.set_title("photograph")
hue = plt.get_cmap("hsv")(best / 6)[..., :3]
right.imshow(hue * np.clip(answers.max(axis=0) / 600, 0, 1)[..., np.newaxis])
right.set_title("strongest direction, as a colour")
for ax in (left, right):
    ax.axis("off")
plt.show()
