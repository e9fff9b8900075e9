"""
Printed digits, read by templates
=================================

Before networks, print was read by comparison: each digit of the font is a filter of one layer, and where a filter
answers most, its digit stands. This works for one font in one size; for photographs of text, networks do better.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from im2col import conv2d, max_pool

font = ImageFont.truetype(findfont("DejaVu Sans Mono"), 22)  # the font that matplotlib brings


def printed(text: str, width: int, height: int, at: tuple[int, int]) -> np.ndarray:
    page = Image.new("L", (width, height))
    ImageDraw.Draw(page).text(at, text, fill=255, font=font)
    return np.asarray(page, float) / 255


lines = ("3141592653", "2718281828", "1618033988")
page = np.concatenate([printed(line, 160, 42, (11, 14)) for line in lines])
page = page + np.random.default_rng(0).normal(0, 0.25, page.shape)

# %%
# Each template has mean 0 and length 1: for a window, the greatest answer is the best correlation.

templates = np.stack([printed(digit, 13, 22, (0, 0)) for digit in "0123456789"])
templates -= templates.mean(axis=(1, 2), keepdims=True)
templates /= np.linalg.norm(templates, axis=(1, 2), keepdims=True)
answers = conv2d(page[np.newaxis], templates[:, np.newaxis])  # (10 digits, height, width)
best = answers.max(axis=0)

# %%
# A digit stands where the best answer is great, and the greatest of its surroundings.

peaks = (best == max_pool(best, (17, 11), stride=1, padding=(8, 5))) & (best > 0.55 * best.max())
rows, columns = np.nonzero(peaks)
found: dict[int, str] = {}
for column, row in sorted(zip(columns.tolist(), rows.tolist(), strict=True)):
    line = row // 42
    found[line] = found.get(line, "") + str(answers[:, row, column].argmax())
print(*(found[line] for line in sorted(found)), sep="\n")
assert tuple(found[line] for line in sorted(found)) == lines

fig, axes = plt.subplots(1, 2, figsize=(7.5, 3), layout="compressed")
axes[0].imshow(page, cmap="gray_r")
axes[0].set_title("a noisy page")
axes[1].imshow(best, cmap="magma", extent=(-0.5, best.shape[1] - 0.5, best.shape[0] - 0.5, -0.5))
for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
    digit = answers[:, row, column].argmax()
    axes[1].text(column, row - 4, digit, color="white", ha="center", va="bottom", weight="bold")
axes[1].set_title("the best answer, and what was read")
for ax in axes:
    ax.axis("off")
plt.show()
