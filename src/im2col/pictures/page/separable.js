// @ts-check
// A kernel of two axes as a column times a row, and the convolution in two passes: the twin of separable.py.

import { weighted } from "./winograd.js";

/** Return a kernel's factors; null where it has not several taps along each of two axes, or infinite ones. */
export function factorsOf(layer) {
  return layer.keep("factors", () => {
    const { kernelSize } = layer.geometry;
    const isFlat = kernelSize.length === 2 && kernelSize.every((k) => k > 1);
    return isFlat && layer.weights.every(Number.isFinite) ? new Factors(layer) : null;
  });
}

/** The first column and row of a kernel, and the two passes that they make; the first pass's results are at "places". */
class Factors {
  constructor(layer) {
    const { kernelSize, stride, dilation, outputShape, paddedShape } = layer.geometry;
    this.layer = layer;
    [this.high, this.wide] = kernelSize;
    this.stride = stride;
    this.dilation = dilation;
    this.width = outputShape[1];
    /** Rows and columns of what the first pass makes. */
    this.middle = [outputShape[0], paddedShape[1]];
    /** Columns, rows, what they leave and where the weight stands that chose them. */
    this.pairs = pairsOf(layer.weights, this.high, this.wide);
    this.rank = this.pairs[0].column.some((weight) => weight !== 0) ? this.pairs.length : 0;
    const passes = this.middle[0] * this.middle[1] * this.high + layer.positions * this.wide;
    /** Products for the whole output, of all pairs. */
    this.products = this.pairs.length * passes;
  }

  // Where the passes read.

  /** Return the pixel of the padded image that a place's column reads at a tap. */
  pixel(place, down) {
    const y = Math.floor(place / this.middle[1]);
    return (y * this.stride[0] + down * this.dilation[0]) * this.middle[1] + (place % this.middle[1]);
  }

  /** Return the place that a position's row reads at a tap. */
  place(position, across) {
    const x = position % this.width;
    return Math.floor(position / this.width) * this.middle[1] + x * this.stride[1] + across * this.dilation[1];
  }

  /** Return all places that a position's row reads. */
  places(position) {
    return Array.from({ length: this.wide }, (_, across) => this.place(position, across));
  }

  /** Return a position that reads a place. */
  reader(place) {
    const x = Math.floor((place % this.middle[1]) / this.stride[1]);
    return Math.floor(place / this.middle[1]) * this.width + Math.min(x, this.width - 1);
  }

  /** Return the tap of the kernel that an element of the column, or of the row, was taken from. */
  tapOf(down, across) {
    const { tap } = this.pairs[0];
    return (down ?? Math.floor(tap / this.wide)) * this.wide + (across ?? tap % this.wide);
  }

  /** Return how often the first pass reads a pixel or a copy of it. */
  copies(pixel) {
    return this.layer.readers(pixel)[0].length * this.layer.copiesOf(pixel)[1].length;
  }

  // What the passes make.

  /** Return what a cell shows, by its coordinates. */
  value(what, at) {
    const { column, row, rest } = this.pairs[0];
    switch (what) {
      case "factor-entry":
        return this.layer.pixel(at.image, this.pixel(at.place, at.down));
      case "factor-column":
        return column[at.down];
      case "factor-row":
        return row[at.across];
      case "factor-rest":
        return rest[Math.floor(at.tap / this.wide)][at.tap % this.wide];
      case "factor-middle":
        return this.middleAt(at.image, at.place);
      case "factor-middle-entry":
        return this.middleAt(at.image, this.place(at.position, at.across));
      default: // "factor-output"
        return weighted(this.places(at.position).map((place) => this.middleAt(at.image, place)), row);
    }
  }

  middleAt(image, place) {
    const { column } = this.pairs[0];
    return weighted(column.map((_, down) => this.layer.pixel(image, this.pixel(place, down))), column);
  }
}

/** Return pairs of a column and a row whose sum is the kernel, to within rounding; one of zeros where the kernel is 0. */
function pairsOf(weights, high, wide) {
  let rest = Array.from({ length: high }, (_, i) => [...weights.subarray(i * wide, (i + 1) * wide)]);
  const largest = Math.max(...rest.flat().map(Math.abs));
  const rounding = weights.every((weight) => Math.fround(weight) === weight) ? 2 ** -23 : 2 ** -52;
  const nothing = largest * ((high + wide) * rounding);
  const pairs = [];
  while (pairs.length < Math.min(high, wide)) {
    const sizes = rest.flat().map(Math.abs);
    const tap = sizes.indexOf(Math.max(...sizes));
    const [i, j] = [Math.floor(tap / wide), tap % wide];
    const pivot = rest[i][j];
    if (pairs.length && pivot === 0) break;
    const column = rest.map((line) => line[j]);
    const row = rest[i].map((weight) => weight / (pivot || 1));
    rest = rest.map((line, y) => line.map((weight, x) => weight - column[y] * row[x]));
    rest = rest.map((line) => line.map((weight) => (Math.abs(weight) <= nothing ? 0 : weight)));
    pairs.push({ column, row, rest, tap });
  }
  return pairs;
}
