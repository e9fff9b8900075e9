// @ts-check
// Which pixel goes where: the twin of spec/geometry.py, and of spec/padded.py's source_index.

/** Return the product of numbers, 1 of none. */
export function prod(numbers) {
  return numbers.reduce((product, n) => product * n, 1);
}

/** Return the strides, in elements, of a contiguous array. */
export function stridesOf(shape) {
  return shape.map((_, i) => prod(shape.slice(i + 1)));
}

/** Return the coordinates of an element by its number in row-major order. */
export function unravel(index, shape) {
  const found = new Array(shape.length);
  for (let i = shape.length - 1; i >= 0; i--) {
    found[i] = index % shape[i];
    index = Math.floor(index / shape[i]);
  }
  return found;
}

/** Return every way to take one of each list, the last list fastest. */
export function combinations(lists) {
  return lists.reduce((found, list) => found.flatMap((one) => list.map((item) => [...one, item])), [[]]);
}

/** Return the offset of an element of a strided array by its number in row-major order. */
export function offsetOf(index, shape, strides) {
  let offset = 0;
  for (let i = shape.length - 1; i > 0; i--) {
    offset += (index % shape[i]) * strides[i];
    index = Math.floor(index / shape[i]);
  }
  return offset + index * strides[0];
}

/** Return which pixel each element of a padded axis shows (np.pad's five modes); -1 where it shows the constant. */
export function sourceIndex(n, before, after, mode) {
  return Int32Array.from({ length: before + n + after }, (_, i) => sourceOfElement(i - before, n, mode));
}

function sourceOfElement(at, n, mode) {
  if (at >= 0 && at < n) return at;
  if (mode === "constant") return -1;
  if (mode === "edge" || n === 1) return at < 0 ? 0 : n - 1;
  if (mode === "wrap") return modulo(at, n);
  // To and fro: "symmetric" repeats the ends, "reflect" does not.
  const period = mode === "symmetric" ? 2 * n : 2 * n - 2;
  const there = modulo(at, period);
  return there < n ? there : (mode === "symmetric" ? period - 1 : period) - there;
}

function modulo(a, n) {
  return ((a % n) + n) % n;
}

/** A window sliding over an image: from sizes to output shape and index map; `padding` is a pair for each axis. */
export class Geometry {
  constructor(spatialShape, kernelSize, stride, padding, dilation) {
    this.spatialShape = spatialShape;
    this.kernelSize = kernelSize;
    this.stride = stride;
    this.padding = padding;
    this.dilation = dilation;
    this.ndim = spatialShape.length;
    /** Pixels from a window's first tap to its last. */
    this.span = kernelSize.map((k, i) => dilation[i] * (k - 1) + 1);
    this.paddedShape = spatialShape.map((n, i) => n + padding[i][0] + padding[i][1]);
    /** How often the window stops along each axis. */
    this.outputShape = this.paddedShape.map((n, i) => Math.floor((n - this.span[i]) / stride[i]) + 1);
    this.positions = prod(this.outputShape);
    this.taps = prod(kernelSize);
    this.isPadded = padding.some(([before, after]) => before > 0 || after > 0);
  }

  /** Whether such a window exists: its numbers are in their ranges, and it spans no more than the padded image. */
  get isValid() {
    const { spatialShape, kernelSize, stride, padding, dilation } = this;
    const atLeast = (minimum, numbers) => numbers.every((n) => Number.isInteger(n) && n >= minimum);
    return (
      this.ndim > 0 &&
      [kernelSize, stride, padding, dilation].every((values) => values.length === this.ndim) &&
      atLeast(0, [...spatialShape, ...padding.flat()]) &&
      atLeast(1, [...kernelSize, ...stride, ...dilation]) &&
      this.span.every((span, i) => span <= this.paddedShape[i])
    );
  }

  /** Return the steps of the output's axes through the padded image's memory. */
  positionStrides(pixelStrides) {
    return pixelStrides.map((p, i) => p * this.stride[i]);
  }

  /** Return the steps of the kernel's axes through the padded image's memory. */
  tapStrides(pixelStrides) {
    return pixelStrides.map((p, i) => p * this.dilation[i]);
  }
}
