"""
Noise removed, patch by patch
=============================

Noise spreads over all directions of the space of patches, a photograph only over some. So each patch is turned into
components, the small ones are set to zero, and the patch is turned back. ``col2im`` puts the patches together again:
where they overlap, it takes the mean.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

from im2col import col2im, im2col

clean = plt.imread(str(files("im2col") / "data/chelsea.jpg"))[60:220, 100:320].mean(axis=-1)
deviation = 20.0
noisy = clean + np.random.default_rng(0).normal(0, deviation, clean.shape)

# %%
# What is less than 2.7 deviations of the noise is taken for noise.

size = 8
columns = im2col(noisy, size)
mean = columns.mean(axis=0)
_, components = np.linalg.eigh(np.cov(columns, rowvar=False))
parts = (columns - mean) @ components
kept = np.where(np.abs(parts) > 2.7 * deviation, parts, 0)
denoised = col2im(kept @ components.T + mean, noisy.shape, size, reduce="mean")

# With all parts kept, what comes back is the image: the mean of what overlaps is an inverse.
assert np.allclose(col2im(parts @ components.T + mean, noisy.shape, size, reduce="mean"), noisy)


def decibels(image: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((image - clean) ** 2)))


assert decibels(denoised) > decibels(noisy) + 6

fig, axes = plt.subplots(1, 3, figsize=(8, 2.5), layout="compressed")
panels = {"photograph": clean, f"with noise, {decibels(noisy):.1f} dB": noisy}
panels[f"denoised, {decibels(denoised):.1f} dB"] = denoised
for ax, (title, image) in zip(axes, panels.items(), strict=True):
    ax.imshow(image, cmap="gray", vmin=0, vmax=255)
    ax.set_title(title)
    ax.axis("off")
plt.show()

# %%
# Of the 64 parts of a patch, few are left.

print(f"{100 * np.count_nonzero(kept) / kept.size:.1f} % of the parts are kept")
