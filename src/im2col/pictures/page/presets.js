// @ts-check
// Images and kernels to choose from, for any shape; the same numbers each time.

import { prod, unravel } from "./geometry.js";

/** Names of the images; "given" is what Python, or a dropped file, brought. */
export const IMAGE_PRESETS = ["given", "digits", "ramp", "dot", "edge"];
/** Names of the kernels. */
export const KERNEL_PRESETS = ["given", "digits", "identity", "box", "sharpen", "sobel", "laplace"];

/** Return an image of (channels, *spatial), for each of a batch. */
export function presetImage(name, shape) {
  const [, channels, ...spatial] = shape;
  const inside = prod(spatial);
  return Float64Array.from({ length: prod(shape) }, (_, i) => {
    const channel = Math.floor(i / inside) % channels;
    const at = unravel(i % inside, spatial);
    if (name === "ramp") return i % inside;
    if (name === "dot") return at.every((a, axis) => a === Math.floor(spatial[axis] / 2)) ? 1 + channel : 0;
    if (name === "edge") return at.at(-1) * 2 >= spatial.at(-1) ? 9 : 0;
    return mixed(i, 1) % 10;
  });
}

/** Return filters of (n, channels, *kernel). */
export function presetWeights(name, shape) {
  const kernel = shape.slice(2);
  const taps = prod(kernel);
  return Float64Array.from({ length: prod(shape) }, (_, i) => {
    const at = unravel(i % taps, kernel);
    const centre = at.every((a, axis) => a === Math.floor(kernel[axis] / 2));
    const near = at.reduce((sum, a, axis) => sum + Math.abs(a - Math.floor(kernel[axis] / 2)), 0) === 1;
    switch (name) {
      case "identity":
        return centre ? 1 : 0;
      case "box":
        return 1;
      case "sharpen":
        return centre ? 1 + 2 * kernel.length : near ? -1 : 0;
      case "laplace":
        return centre ? taps - 1 : -1;
      case "sobel": {
        const last = kernel.length - 1;
        const side = Math.sign(at[last] - (kernel[last] - 1) / 2);
        return side * at.slice(0, last).reduce((w, a, axis) => w * (a === (kernel[axis] - 1) / 2 ? 2 : 1), 1);
      }
      default:
        return (mixed(i, 7) % 5) - 2;
    }
  });
}

/** Return a number that looks drawn by chance, the same for the same arguments. */
function mixed(i, seed) {
  let h = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(seed, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}
