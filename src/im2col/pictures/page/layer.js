// @ts-check
// What is drawn: one convolution's arrays and its index map, the twin of pictured_layer.py.
//
// Where Python holds a table (position_pixels, tap_pixels, maps, …) a method here computes one entry of it when it is
// shown: the column matrix of a photo never exists.

import { Geometry, offsetOf, prod, sourceIndex, stridesOf, unravel } from "./geometry.js";

/** One convolution, with all that a picture of it shows. */
export class Layer {
  /** Take the fields of PicturedLayer, the arrays flat, and what another layer of these arrays has computed. */
  constructor(fields, kept = new Map()) {
    this.image = fields.image;
    this.weights = fields.weights;
    this.batch = fields.batch;
    this.channels = fields.channels;
    this.filters = fields.filters;
    this.geometry = fields.geometry;
    this.groups = fields.groups;
    this.paddingMode = fields.paddingMode;
    this.paddingValue = fields.paddingValue;
    this.orientation = fields.orientation;
    this.tapOrder = fields.tapOrder;
    this.memory = fields.memory;
    this.channelNumbers = fields.channelNumbers;
    this.filterNumbers = fields.filterNumbers;
    this.groupChannels = this.channels / this.groups;
    this.positions = this.geometry.positions;
    this.taps = this.channels * this.geometry.taps;
    /** Of one padded image: (C, *spatial). */
    this.paddedShape = [this.channels, ...this.geometry.paddedShape];
    this.channelPixels = prod(this.geometry.paddedShape);
    this.kept = kept;
    this.three = undefined;
    const strides = stridesOf(this.paddedShape);
    this.positionStrides = this.geometry.positionStrides(strides.slice(1));
    this.tapStrides = this.geometry.tapStrides(strides.slice(1));
  }

  /** Return what was computed under this name, computing it first where it was not. */
  keep(name, compute) {
    if (!this.kept.has(name)) this.kept.set(name, compute());
    return this.kept.get(name);
  }

  /** Return the same layer, its matrix arranged in another way; what was computed is shared. */
  arranged(orientation, tapOrder) {
    if (orientation === this.orientation && tapOrder === this.tapOrder) return this;
    return new Layer({ ...this, orientation, tapOrder }, this.kept);
  }

  /** Return the layer of one channel and one kernel: the article's first steps. */
  one(channel, filter) {
    const first = this.firstChannel(filter);
    if (channel < first || channel >= first + this.groupChannels) channel = first;
    const made = this.keep(`one ${channel} ${filter}`, () => {
      const { taps, spatialShape } = this.geometry;
      const kernel = (filter * this.groupChannels + channel - first) * taps;
      return new Layer({
        ...this,
        channels: 1,
        filters: 1,
        groups: 1,
        image: this.keep(`channel ${channel}`, () => channelOf(this, channel, prod(spatialShape))),
        weights: this.weights.subarray(kernel, kernel + taps),
        channelNumbers: [this.channelNumbers[channel]],
        filterNumbers: [this.filterNumbers[filter]],
      });
    });
    return made.arranged(this.orientation, this.tapOrder);
  }

  /** Return the first channel that a filter reads. */
  firstChannel(filter) {
    return Math.floor(filter / (this.filters / this.groups)) * this.groupChannels;
  }

  // The index map, in pixels.

  /** Return the first pixel of a position's window, in the first channel. */
  positionPixel(position) {
    return offsetOf(position, this.geometry.outputShape, this.positionStrides);
  }

  /** Return how far a tap's pixel lies from there. */
  tapPixel(tap) {
    const inside = offsetOf(this.tapKernel(tap), this.geometry.kernelSize, this.tapStrides);
    return this.tapChannel(tap) * this.channelPixels + inside;
  }

  /** Return the channel of a tap. */
  tapChannel(tap) {
    return this.tapOrder === "channel-first" ? Math.floor(tap / this.geometry.taps) : tap % this.channels;
  }

  /** Return a tap's number in the window of its channel. */
  tapKernel(tap) {
    return this.tapOrder === "channel-first" ? tap % this.geometry.taps : Math.floor(tap / this.channels);
  }

  /** Steps through memory, in elements, of a padded image's channels and spatial axes. */
  get addressStrides() {
    return this.keep("address strides", () => {
      const order = [...(this.memory.includes("C") ? this.memory : `C${this.memory}`)];
      const axes = order.filter((axis) => axis !== "C");
      const sizes = order.map((axis) => (axis === "C" ? this.channels : this.geometry.paddedShape[axes.indexOf(axis)]));
      const strides = stridesOf(sizes);
      return ["C", ...axes].map((axis) => strides[order.indexOf(axis)]);
    });
  }

  /** Return where a position starts in memory: a row offset of the implicit GEMM. */
  positionAddress(position) {
    const [, ...strides] = this.addressStrides;
    return offsetOf(position, this.geometry.outputShape, this.geometry.positionStrides(strides));
  }

  /** Return how far a tap lies from there: a column offset. */
  tapAddress(tap) {
    const [channel, ...strides] = this.addressStrides;
    const inside = offsetOf(this.tapKernel(tap), this.geometry.kernelSize, this.geometry.tapStrides(strides));
    return this.tapChannel(tap) * channel + inside;
  }

  /** Return the address of a pixel. */
  address(pixel) {
    return offsetOf(pixel, this.paddedShape, this.addressStrides);
  }

  /** Return the channel and the coordinates of a pixel; they count from the image without its padding. */
  coordinates(pixel) {
    const [channel, ...axes] = unravel(pixel, this.paddedShape);
    return [channel, ...axes.map((at, i) => at - this.geometry.padding[i][0])];
  }

  /** Return whether a pixel lies in the padding. */
  isPadding(pixel) {
    return this.geometry.isPadded && !this.isInside(this.coordinates(pixel));
  }

  /** Return whether coordinates, as `coordinates` gives them, lie in the image itself. */
  isInside([, ...axes]) {
    return axes.every((at, i) => at >= 0 && at < this.geometry.spatialShape[i]);
  }

  /** For each axis, which pixel each padded coordinate shows; where it shows the constant, a number of its own. */
  get axisSources() {
    return this.keep("axis sources", () => {
      const { spatialShape, padding } = this.geometry;
      return spatialShape.map((n, i) => sourceIndex(n, ...padding[i], this.paddingMode).map((at, j) => (at < 0 ? n + j : at)));
    });
  }

  /** Return, for each axis, the padded coordinates of a pixel and of its copies in the padding. */
  copiesOf(pixel) {
    const [, ...axes] = unravel(pixel, this.paddedShape);
    return this.axisSources.map((source, i) => [...source.keys()].filter((at) => source[at] === source[axes[i]]));
  }

  /** Return, for each axis, the stops at which a tap reads a pixel or a copy of it: as often as it does. */
  readers(pixel) {
    const { kernelSize, stride, dilation, outputShape } = this.geometry;
    return this.copiesOf(pixel).map((copies, i) => {
      const stops = Array.from({ length: kernelSize[i] }, (_, tap) => copies.map((at) => (at - tap * dilation[i]) / stride[i]));
      return stops.flat().filter((stop) => Number.isInteger(stop) && stop >= 0 && stop < outputShape[i]);
    });
  }

  /** Return whether a filter reads a tap. */
  reads(filter, tap) {
    const channel = this.tapChannel(tap) - this.firstChannel(filter);
    return channel >= 0 && channel < this.groupChannels;
  }

  // The arrays, by those numbers.

  /** Kernel, stride, dilation, image and output as three axes, and which pixel each padded element shows. */
  get inThree() {
    this.three ??= inThreeAxes(this.geometry, this.paddingMode);
    return this.three;
  }

  /** Return the value of a pixel of a padded image. */
  pixel(image, pixel) {
    const { sources, padded, image: shape } = this.inThree;
    const channel = Math.floor(pixel / this.channelPixels);
    const inside = pixel % this.channelPixels;
    const row = Math.floor(inside / padded[2]);
    const z = sources[0][Math.floor(row / padded[1])];
    const y = sources[1][row % padded[1]];
    const x = sources[2][inside % padded[2]];
    if (z < 0 || y < 0 || x < 0) return this.paddingValue;
    return this.image[(((image * this.channels + channel) * shape[0] + z) * shape[1] + y) * shape[2] + x];
  }

  /** Return a weight by tap and filter, 0 where the filter does not read the channel. */
  weight(tap, filter) {
    if (!this.reads(filter, tap)) return 0;
    const kernel = filter * this.groupChannels + this.tapChannel(tap) - this.firstChannel(filter);
    return this.weights[kernel * this.geometry.taps + this.tapKernel(tap)];
  }

  /** Return one element of the layer's result. */
  output(image, filter, position) {
    const first = this.firstChannel(filter);
    let sum = 0;
    for (let c = first; c < first + this.groupChannels; c++) sum += this.partial(image, filter, c, position);
    return sum;
  }

  /** Return what a channel adds to one element of a filter's map. */
  partial(image, filter, channel, position) {
    const { kernel, stride, dilation, image: shape, output, sources } = this.inThree;
    const row = Math.floor(position / output[2]);
    const z = Math.floor(row / output[1]) * stride[0];
    const y = (row % output[1]) * stride[1];
    const x = (position % output[2]) * stride[2];
    const start = (image * this.channels + channel) * shape[0];
    let weight = (filter * this.groupChannels + channel - this.firstChannel(filter)) * this.geometry.taps;
    let sum = 0;
    for (let i = 0; i < kernel[0]; i++) {
      const slice = sources[0][z + i * dilation[0]];
      for (let j = 0; j < kernel[1]; j++) {
        const line = sources[1][y + j * dilation[1]];
        for (let k = 0; k < kernel[2]; k++) {
          const at = sources[2][x + k * dilation[2]];
          const padding = slice < 0 || line < 0 || at < 0;
          const value = padding ? this.paddingValue : this.image[((start + slice) * shape[1] + line) * shape[2] + at];
          sum += value * this.weights[weight++];
        }
      }
    }
    return sum;
  }

  /** Return how often a pixel of the image, by its coordinates, is copied into the matrix. */
  count([, ...axes]) {
    const counts = this.keep("counts", () => this.geometry.spatialShape.map((_, axis) => countsOf(this, axis)));
    return prod(axes.map((at, i) => counts[i][at]));
  }

  /** Return one element of `col2im` of the column matrix: all copies of a pixel are alike. */
  folded(reduce, image, pixel) {
    const count = this.count(this.coordinates(pixel));
    return count ? this.pixel(image, pixel) * (reduce === "sum" ? count : 1) : 0;
  }
}

function inThreeAxes(g, mode) {
  const fill = (values, one) => [...Array(3 - g.ndim).fill(one), ...values];
  return {
    kernel: fill(g.kernelSize, 1),
    stride: fill(g.stride, 1),
    dilation: fill(g.dilation, 1),
    image: fill(g.spatialShape, 1),
    output: fill(g.outputShape, 1),
    padded: fill(g.paddedShape, 1),
    sources: fill(g.spatialShape.map((n, i) => sourceIndex(n, ...g.padding[i], mode)), Int32Array.of(0)),
  };
}

function channelOf(layer, channel, size) {
  const found = new Float64Array(layer.batch * size);
  for (let image = 0; image < layer.batch; image++) {
    const start = (image * layer.channels + channel) * size;
    found.set(layer.image.subarray(start, start + size), image * size);
  }
  return found;
}

function countsOf(layer, axis) {
  const { spatialShape, kernelSize, stride, padding, dilation, outputShape } = layer.geometry;
  const source = sourceIndex(spatialShape[axis], ...padding[axis], layer.paddingMode);
  const counts = new Int32Array(spatialShape[axis]);
  for (let stop = 0; stop < outputShape[axis]; stop++) {
    for (let tap = 0; tap < kernelSize[axis]; tap++) {
      const pixel = source[stop * stride[axis] + tap * dilation[axis]];
      if (pixel >= 0) counts[pixel]++;
    }
  }
  return counts;
}

/** Return the layer of a page's data: its description, and its arrays in C order. */
export function makeLayer(description, image, weights) {
  const d = description;
  return new Layer({
    image,
    weights,
    batch: d.batch,
    channels: d.channels,
    filters: d.filters,
    geometry: new Geometry(d.spatial_shape, d.kernel_size, d.stride, d.padding, d.dilation),
    groups: d.groups,
    paddingMode: d.padding_mode,
    paddingValue: d.padding_value ?? 0,
    orientation: d.orientation,
    tapOrder: d.tap_order,
    memory: d.memory,
    channelNumbers: Array.from({ length: d.channels }, (_, i) => i),
    filterNumbers: Array.from({ length: d.filters }, (_, i) => i),
  });
}
