// @ts-check
// Winograd's tiles of a layer of one channel, and their numbers on the way to its output: the twin of winograd.py.

import { prod, stridesOf, unravel } from "./geometry.js";

const MADE = 2; // results along an axis of 3 taps
const TAPS = 3;
// F(2, 3), of the points 0, 1, −1 and infinity, as algorithms/winograd/cook_toom.py makes it.
const OF_PIXELS = [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]];
const OF_WEIGHTS = [[-1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]];
const OF_PRODUCTS = [[1, 1, 1, 0], [0, 1, -1, 1]];

/** Return the tiles of a layer of one channel and one kernel; null where its windows have none. */
export function tilesOf(layer) {
  return layer.keep("tiles", () => {
    const { kernelSize, stride, dilation } = layer.geometry;
    const isDense = [...stride, ...dilation].every((step) => step === 1);
    const isKnown = kernelSize.includes(TAPS) && kernelSize.every((k) => k === 1 || k === TAPS);
    return isDense && isKnown ? new Tiles(layer) : null;
  });
}

/** The tiles of a layer; tiles, their pixels ("elements"), points and results are numbered in row-major order. */
class Tiles {
  constructor(layer) {
    const { kernelSize, outputShape, paddedShape, positions } = layer.geometry;
    const mixed = kernelSize.map((k) => k === TAPS);
    const whole = (matrix) => mixed.map((is) => (is ? matrix : [[1]])).reduce(kron, [[1]]);
    this.layer = layer;
    this.outputShape = outputShape;
    this.paddedShape = paddedShape;
    /** Results of a tile along each axis, and so the stride of the tiles. */
    this.block = mixed.map((is) => (is ? MADE : 1));
    /** Pixels of a tile along each axis. */
    this.shape = kernelSize.map((k, i) => this.block[i] + k - 1);
    /** Tiles along each axis: those at the end may reach beyond the output. */
    this.counts = outputShape.map((n, i) => Math.ceil(n / this.block[i]));
    this.count = prod(this.counts);
    /** Pixels of a tile, and points. */
    this.size = prod(this.shape);
    this.results = prod(this.block);
    /** Products for the whole output, and how many results lie beyond it. */
    this.products = this.count * this.size;
    this.beyond = this.count * this.results - positions;
    this.ofPixels = whole(OF_PIXELS);
    this.ofWeights = whole(OF_WEIGHTS);
    this.ofProducts = whole(OF_PRODUCTS);
    const weights = Array.from({ length: layer.taps }, (_, tap) => layer.weight(tap, 0));
    /** The kernel's values at the points. */
    this.kernel = this.ofWeights.map((row) => weighted(weights, row));
  }

  // Where tiles lie.

  /** Return the pixel of the padded image that a tile's pixel is; -1 beyond its end. */
  pixel(tile, element) {
    return this.numberAt(tile, element, this.shape, this.paddedShape);
  }

  /** Return the position that a tile's result belongs to; -1 beyond the output. */
  position(tile, result) {
    return this.numberAt(tile, result, this.block, this.outputShape);
  }

  numberAt(tile, inner, inside, within) {
    const offsets = unravel(inner, inside);
    const at = unravel(tile, this.counts).map((first, i) => first * this.block[i] + offsets[i]);
    return at.every((a, i) => a < within[i]) ? numberOf(at, within) : -1;
  }

  /** Return the tile that a position's result belongs to. */
  tileOf(position) {
    const at = unravel(position, this.outputShape);
    return numberOf(at.map((a, i) => Math.floor(a / this.block[i])), this.counts);
  }

  /** Return, for each axis, the tiles that hold a pixel or a copy of it: as often as they do. */
  readers(pixel) {
    return this.layer.copiesOf(pixel).map((copies, i) => {
      const holds = (tile, at) => at >= tile * this.block[i] && at < tile * this.block[i] + this.shape[i];
      return Array.from({ length: this.counts[i] }, (_, tile) => copies.filter((at) => holds(tile, at)).map(() => tile)).flat();
    });
  }

  /** Return how often tiles hold a pixel or a copy of it. */
  copies(pixel) {
    return prod(this.readers(pixel).map((found) => found.length));
  }

  // The numbers on the way.

  /** Return what a cell shows, by its coordinates. */
  value(what, at) {
    switch (what) {
      case "tile-entry":
        return this.entry(at.image, at.tile, at.element);
      case "tile-value":
        return this.values(at.image, at.tile)[at.point];
      case "tile-kernel":
        return this.kernel[at.point];
      case "tile-product":
        return this.values(at.image, at.tile)[at.point] * this.kernel[at.point];
      case "tile-result":
        return weighted(this.values(at.image, at.tile).map((v, point) => v * this.kernel[point]), this.ofProducts[at.result]);
      case "tile-of-pixels":
        return this.ofPixels[at.point][at.element];
      case "tile-of-weights":
        return this.ofWeights[at.point][at.weight];
      default: // "tile-of-products"
        return this.ofProducts[at.result][at.point];
    }
  }

  /** Return a pixel of a tile, 0 beyond the image's end. */
  entry(image, tile, element) {
    const pixel = this.pixel(tile, element);
    return pixel < 0 ? 0 : this.layer.pixel(image, pixel);
  }

  /** Return a tile's values at the points. */
  values(image, tile) {
    return this.layer.keep(`tile ${image} ${tile}`, () => {
      const pixels = Array.from({ length: this.size }, (_, element) => this.entry(image, tile, element));
      return this.ofPixels.map((row) => weighted(pixels, row));
    });
  }
}

/** Return a sum, term after term; what weighs nothing is not looked at. */
export function weighted(values, weights) {
  return weights.reduce((sum, weight, i) => (weight === 0 ? sum : sum + values[i] * weight), 0);
}

function numberOf(at, shape) {
  const strides = stridesOf(shape);
  return at.reduce((number, a, i) => number + a * strides[i], 0);
}

function kron(a, b) {
  return a.flatMap((row) => b.map((other) => row.flatMap((x) => other.map((y) => x * y))));
}
