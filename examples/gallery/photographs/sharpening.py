"""
Sharpening
==========

What a blur takes away from a photograph are its details. Added once more, they make it look sharper: an *unsharp
mask*. All of it is linear, so one kernel does it, and the strength is a number in that kernel.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv2d

photo = plt.imread(str(files("im2col") / "data/chelsea.jpg"))[84:164, 130:210].astype(np.float32)

# %%
# The blur has binomial weights. ``groups=3`` filters each colour by itself, and ``layout="HWC"`` takes the photograph
# as it is read, with the colours last.

binomial = np.outer((1, 4, 6, 4, 1), (1, 4, 6, 4, 1)).astype(np.float32) / 256
identity = np.zeros((5, 5), np.float32)
identity[2, 2] = 1


def filtered(kernel: np.ndarray) -> np.ndarray:
    w = np.stack([kernel[np.newaxis]] * 3)  # (filters, colours that each sees, height, width)
    return conv2d(photo, w, groups=3, layout="HWC", padding="same", padding_mode="edge")


strengths = (0, 1, 3)
results = [filtered(identity + strength * (identity - binomial)) for strength in strengths]

# One kernel or two steps: the same numbers.
assert np.allclose(results[1], photo + (photo - filtered(binomial)), atol=1e-3)
# The kernel's weights sum to 1, so the mean brightness stays.
assert abs(results[2].mean() - photo.mean()) < 0.5

# %%
# Too much of it, and bright seams run along the dark lines.

fig, axes = plt.subplots(1, len(strengths), figsize=(7.5, 2.9), layout="compressed")
for ax, strength, result in zip(axes, strengths, results, strict=True):
    ax.imshow(result.clip(0, 255).astype(np.uint8))
    ax.set_title("photograph" if strength == 0 else f"sharpened, strength {strength}")
    ax.axis("off")
plt.show()
