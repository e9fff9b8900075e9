"""
The roofline of a network
=========================

A machine does so many operations a second, and moves so many bytes. Which of the two limits a layer follows from its
*arithmetic intensity*: operations for each byte that must move. ``cost`` has the figures of each layer, without running
any.
"""

import matplotlib.pyplot as plt
import numpy as np

from im2col import cost

# ResNet-like layers for one image: (channels, size), (filters, channels of a group, kernel), stride, groups.
layers = {
    "first 7×7": ((3, 224, 224), (64, 3, 7, 7), 2, 1),
    "early 3×3": ((64, 56, 56), (64, 64, 3, 3), 1, 1),
    "middle 3×3": ((256, 14, 14), (256, 256, 3, 3), 1, 1),
    "late 3×3": ((512, 7, 7), (512, 512, 3, 3), 1, 1),
    "1×1": ((256, 56, 56), (64, 256, 1, 1), 1, 1),
    "depthwise 3×3": ((128, 56, 56), (128, 1, 3, 3), 1, 128),
}
costs = {
    name: cost(x_shape, w_shape, stride=stride, padding=w_shape[-1] // 2, groups=groups)
    for name, (x_shape, w_shape, stride, groups) in layers.items()
}

# What the first layer costs, by hand: 2 · 64·112·112 sums of 3·7·7 products; float32 in and out, each once.
first = costs["first 7×7"]
assert first.flops == 2 * 64 * 112**2 * 3 * 7**2
assert first.bytes_moved == 4 * (3 * 224**2 + 64 * 3 * 7**2 + 64 * 112**2)

# %%
# A machine of 150 GFLOP/s and 20 GB/s, as an example. Left of the ridge, at 7.5 operations a byte, memory is the limit;
# right of it, arithmetic.

peak, bandwidth = 150e9, 20e9
intensity = np.geomspace(0.5, 500, 200)
assert costs["depthwise 3×3"].arithmetic_intensity < peak / bandwidth < costs["early 3×3"].arithmetic_intensity

fig, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
ax.loglog(intensity, np.minimum(peak, intensity * bandwidth) / 1e9, color="black")
for n, (name, layer) in enumerate(costs.items()):
    reached = min(peak, layer.arithmetic_intensity * bandwidth)
    ax.plot(
        layer.arithmetic_intensity,
        reached / 1e9,
        "o",
        color=f"C{n}",
        label=f"{name}: {1e6 * layer.flops / reached:.0f} µs",
    )
ax.axvline(peak / bandwidth, color="grey", linestyle=":")
ax.set(title="how fast each layer can be", xlabel="operations a byte", ylabel="GFLOP/s")
ax.legend(title="no faster than")
ax.grid(alpha=0.3)
plt.show()
