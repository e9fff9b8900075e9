"""
The spectrogram of a sound
==========================

A filter that is a short wave answers where a sound has that pitch. One filter for each pitch, each as a cosine and a
sine, and a stride: a spectrogram is one convolution along time, the *short-time Fourier transform*.
"""

import matplotlib.pyplot as plt
import numpy as np

from im2col import conv1d

rate, window, hop = 8000, 256, 64  # samples a second, and samples
time = np.arange(2 * rate) / rate
rising = np.sin(2 * np.pi * (300 * time + 600 * time**2))  # from 300 to 2700 Hz
beeps = np.sin(2 * np.pi * 3200 * time) * (time * 4 % 1 < 0.3)
sound = rising + 0.5 * beeps + 0.05 * np.random.default_rng(0).normal(size=time.size)

# %%
# The filters: complex waves under a Hann window. In NumPy's terms they are rows of the Fourier matrix.

pitches = np.arange(window // 2 + 1)
samples = np.arange(window)
hann = np.hanning(window)
w = hann * np.exp(-2j * np.pi * pitches[:, np.newaxis] * samples / window)
spectrum = conv1d(sound[np.newaxis], w[:, np.newaxis], stride=hop)  # (129 pitches, 247 times)

# One column of it is NumPy's transform of one piece.
piece = sound[100 * hop : 100 * hop + window]
assert np.allclose(spectrum[:, 100], np.fft.rfft(hann * piece))
# In the middle of the sound, the strongest pitch is that of the rising tone, to half a step of the pitches.
centre = (100 * hop + window / 2) / rate
strongest = np.abs(spectrum[:, 100]).argmax() * rate / window
assert abs(strongest - (300 + 1200 * centre)) < rate / window / 2

fig, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
decibels = 20 * np.log10(np.abs(spectrum) + 1e-3)
shown = ax.imshow(decibels, origin="lower", aspect="auto", extent=(0, 2, 0, rate / 2), cmap="magma", vmin=-10)
ax.set(title="a rising tone, and beeps", xlabel="time, s", ylabel="pitch, Hz")
fig.colorbar(shown, label="dB")
plt.show()
