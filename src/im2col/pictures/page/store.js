// @ts-check
// The state of the page: what is drawn, what is selected, and how it looks.
//
// Three selections lie over each other: the cursor (an output cell, which the scrubber and the arrows move), what the
// pointer or the focus is on, and what was pinned.

import { Geometry, prod } from "./geometry.js";
import { makeLayer } from "./layer.js";
import { IMAGE_PRESETS, KERNEL_PRESETS, presetImage, presetWeights } from "./presets.js";
import { NOTHING } from "./scene.js";

/** How many cells of image, output or weights may be asked for on the page. */
const MOST_CELLS = 1 << 22;
/** The largest number that may be asked for, unless Python brought a larger one. */
export const LARGEST = 512;

/** The state, and those who are told when it changes. */
export class Store {
  constructor(data) {
    this.words = data.languages;
    this.chapters = data.chapters;
    this.start = { description: data.layer, image: data.image, weights: data.weights };
    this.given = this.start;
    this.lang = data.lang;
    this.chapter = data.chapter;
    this.channel = data.channel;
    this.labels = data.labels;
    this.colours = "channels";
    this.theme = "auto";
    this.part = "whole";
    this.shape = shapeOf(data.layer);
    this.imagePreset = "given";
    this.kernelPreset = "given";
    this.layer = makeLayer(data.layer, data.image, data.weights);
    const { image, position, filter } = data.selection;
    this.cursor = { image, position: position ?? 0, filter: filter ?? 0 };
    this.hover = null;
    this.pinned = null;
    this.listeners = [];
  }

  /** Call back with what has changed: "layer", "chapter", "look", "selection" or "language". */
  listen(listener) {
    this.listeners.push(listener);
  }

  tell(change) {
    for (const listener of this.listeners) listener(change);
  }

  /** The words of the page's language. */
  get dictionary() {
    return this.words[this.lang];
  }

  /** Whether one channel and one kernel are drawn. */
  get isOne() {
    return this.chapters[this.chapter].scope === "channel";
  }

  /** What is highlighted, in the numbers of the whole layer's filters. */
  get selection() {
    return { ...NOTHING, ...(this.pinned ?? this.hover ?? this.cursor) };
  }

  setChapter(name) {
    if (name === this.chapter || !Object.hasOwn(this.chapters, name)) return;
    const wasOne = this.isOne;
    this.chapter = name;
    // Pixels and taps have other numbers where another number of channels is drawn.
    if (wasOne !== this.isOne) this.forgetTap();
    this.hover = null;
    this.tell("chapter");
  }

  /** Keep of what is pinned only what has the same number in another order, or among other channels. */
  forgetTap() {
    if (this.pinned) this.pinned = this.pinned.position === null ? null : { ...this.pinned, tap: null };
  }

  setLook(look) {
    Object.assign(this, look);
    this.tell("lang" in look ? "language" : "look");
  }

  setOrder(orientation, tapOrder) {
    this.layer = this.layer.arranged(orientation, tapOrder);
    Object.assign(this.shape, { orientation, tapOrder });
    this.forgetTap(); // taps have other numbers now
    this.hover = null;
    this.tell("chapter");
  }

  /** Move the cursor, as far as there is something. */
  moveTo({ image = this.cursor.image, position = this.cursor.position, filter = this.cursor.filter }) {
    const within = (value, count) => Math.max(0, Math.min(count - 1, value));
    this.cursor = {
      image: within(image, this.layer.batch),
      position: within(position, this.layer.positions),
      filter: within(filter, this.layer.filters),
    };
    this.pinned = this.hover = null;
    this.tell("selection");
  }

  point(selection) {
    if (same(selection, this.hover)) return;
    this.hover = selection;
    if (!this.pinned) this.tell("selection");
  }

  pin(selection) {
    this.pinned = same(selection, this.pinned) ? null : selection;
    if (selection?.position !== null && selection?.filter !== null) {
      this.cursor = { image: selection.image, position: selection.position, filter: selection.filter };
    }
    this.tell("selection");
  }

  /** Select what a notebook says: move the cursor to an output cell, pin anything else, or let go of what is pinned. */
  select(selection) {
    const { image, position, tap, filter, pixel } = selection;
    if (same(selection, { ...NOTHING, ...(this.pinned ?? this.cursor) })) return;
    if (tap === null && pixel === null && position !== null) this.moveTo({ image, position, filter: filter ?? undefined });
    else if (position === null && tap === null && pixel === null) this.clear();
    else this.pinWithin(selection);
  }

  /** Pin what somebody else says, if there is such a thing. */
  pinWithin(selection) {
    const { image, position, tap, filter, pixel } = selection;
    const { layer } = this;
    const isInside = (value, count) => value === null || value < count;
    const channels = this.isOne ? 1 : layer.channels;
    const fits =
      image < layer.batch &&
      isInside(position, layer.positions) &&
      isInside(tap, channels * layer.geometry.taps) &&
      isInside(filter, layer.filters) &&
      isInside(pixel, channels * layer.channelPixels);
    if (fits) this.pin(selection);
  }

  /** Let go of what is pinned, before something else is pointed at. */
  unpin() {
    this.pinned = this.hover = null;
  }

  clear() {
    this.pinned = this.hover = null;
    this.tell("selection");
  }

  /** Whether a shape can be drawn. */
  allows(shape) {
    const { spatial, kernel, stride, padding, dilation, channels, filters, groups } = shape;
    const geometry = new Geometry(spatial, kernel, stride, padding, dilation);
    const counts = [channels, filters, groups, ...spatial];
    const every = [...counts, ...kernel, ...stride, ...dilation, ...padding.flat()];
    const largest = Math.max(LARGEST, ...imageShape(shapeOf(this.start.description)), this.start.description.filters);
    return (
      every.every((n) => n <= largest) &&
      counts.every((n) => Number.isInteger(n) && n >= 1) &&
      channels % groups === 0 &&
      filters % groups === 0 &&
      geometry.isValid &&
      shape.batch * channels * prod(geometry.paddedShape) <= MOST_CELLS &&
      shape.batch * filters * geometry.positions <= MOST_CELLS &&
      filters * channels * geometry.taps <= MOST_CELLS
    );
  }

  /** Draw another shape: the image and the weights stay where theirs is the same. */
  setShape(change) {
    const shape = { ...this.shape, ...change };
    if (!this.allows(shape)) return false;
    const before = this.shape;
    this.shape = shape;
    const imageStays = sameNumbers(imageShape(before), imageShape(shape));
    const weightsStay = sameNumbers(weightsShape(before), weightsShape(shape));
    if (!imageStays && this.imagePreset === "given") this.imagePreset = "digits";
    if (!weightsStay && this.kernelPreset === "given") this.kernelPreset = "digits";
    const image = imageStays ? this.layer.image : presetImage(this.imagePreset, imageShape(shape));
    const weights = weightsStay ? this.layer.weights : presetWeights(this.kernelPreset, weightsShape(shape));
    this.setArrays(image, weights);
    return true;
  }

  /** Fill the image anew; "given" is what was brought or edited, in its own shape. */
  setImagePreset(name) {
    const { description, image } = this.given;
    const fits = sameNumbers(imageShape(shapeOf(description)), imageShape(this.shape));
    if (!IMAGE_PRESETS.includes(name)) return;
    if (name === "given" && !fits) {
      this.take(this.given);
      return;
    }
    this.imagePreset = name;
    this.setArrays(name === "given" ? image : presetImage(name, imageShape(this.shape)), this.layer.weights);
  }

  /** Fill the weights anew. */
  setKernelPreset(name) {
    const { description, weights } = this.given;
    const fits = sameNumbers(weightsShape(shapeOf(description)), weightsShape(this.shape));
    if (!KERNEL_PRESETS.includes(name)) return;
    if (name === "given" && !fits) {
      this.take(this.given);
      return;
    }
    this.kernelPreset = name;
    this.setArrays(this.layer.image, name === "given" ? weights : presetWeights(name, weightsShape(this.shape)));
  }

  /** Go back to what Python, or a dropped file, brought. */
  startAgain() {
    this.take(this.start);
  }

  take(data) {
    const { orientation, tapOrder } = this.shape;
    this.given = data;
    this.shape = { ...shapeOf(data.description), orientation, tapOrder };
    this.imagePreset = this.kernelPreset = "given";
    this.setArrays(data.image, data.weights);
  }

  /** Take an image of (channels, height, width) in, if the window fits it; weights for other channels are made anew. */
  bring(image, channels, height, width) {
    const isFlat = this.shape.spatial.length === 2;
    const fits = isFlat && this.shape.channels === channels && this.shape.groups === 1;
    const pairs = [[0, 0], [0, 0]];
    const window = isFlat ? {} : { kernel: [3, 3], stride: [1, 1], padding: pairs, dilation: [1, 1], memory: "CHW" };
    const shape = { ...this.shape, ...window, batch: 1, channels, spatial: [height, width], groups: 1 };
    if (!this.allows(shape)) return false;
    const weights = fits ? this.layer.weights : presetWeights("digits", weightsShape(shape));
    this.start = { description: this.descriptionOf(shape), image, weights };
    this.startAgain();
    return true;
  }

  /** Change one number of the image (by its pixel) or of the weights (by tap and filter), in the layer that is drawn. */
  edit(layer, at, value) {
    const image = this.layer.image.slice();
    const weights = this.layer.weights.slice();
    const isImage = "pixel" in at;
    const channelOf = (channel) => layer.channelNumbers[channel];
    if (isImage) {
      const [channel, ...axes] = layer.coordinates(at.pixel);
      const inside = axes.reduce((offset, a, i) => offset * layer.geometry.spatialShape[i] + a, 0);
      const plane = this.layer.geometry.spatialShape.reduce((a, b) => a * b, 1);
      image[(at.image * this.layer.channels + channelOf(channel)) * plane + inside] = value;
      this.imagePreset = "given";
    } else {
      const filter = layer.filterNumbers[at.filter];
      const channel = channelOf(layer.tapChannel(at.tap)) - this.layer.firstChannel(filter);
      const kernel = filter * this.layer.groupChannels + channel;
      weights[kernel * layer.geometry.taps + layer.tapKernel(at.tap)] = value;
      this.kernelPreset = "given";
    }
    // What was not edited stays what was brought, if that still fits.
    const before = shapeOf(this.given.description);
    const isSame = (shapeOfArray) => sameNumbers(shapeOfArray(before), shapeOfArray(this.shape));
    this.given = {
      description: this.descriptionOf(this.shape),
      image: isImage || !isSame(imageShape) ? image : this.given.image,
      weights: isImage && isSame(weightsShape) ? this.given.weights : weights,
    };
    this.setArrays(image, weights);
  }

  descriptionOf(shape) {
    return {
      batch: shape.batch,
      channels: shape.channels,
      filters: shape.filters,
      groups: shape.groups,
      spatial_shape: shape.spatial,
      kernel_size: shape.kernel,
      stride: shape.stride,
      padding: shape.padding,
      dilation: shape.dilation,
      padding_mode: shape.paddingMode,
      padding_value: shape.paddingValue,
      orientation: shape.orientation,
      tap_order: shape.tapOrder,
      memory: shape.memory,
    };
  }

  setArrays(image, weights) {
    this.layer = makeLayer(this.descriptionOf(this.shape), image, weights);
    this.channel = Math.min(this.channel, this.layer.channels - 1);
    this.hover = this.pinned = null;
    const { image: n, position, filter } = this.cursor;
    this.cursor = {
      image: Math.min(n, this.layer.batch - 1),
      position: Math.min(position, this.layer.positions - 1),
      filter: Math.min(filter, this.layer.filters - 1),
    };
    this.tell("layer");
  }
}

/** Return a layer's description in the page's own words. */
export function shapeOf(d) {
  return {
    batch: d.batch,
    channels: d.channels,
    filters: d.filters,
    groups: d.groups,
    spatial: d.spatial_shape,
    kernel: d.kernel_size,
    stride: d.stride,
    padding: d.padding,
    dilation: d.dilation,
    paddingMode: d.padding_mode,
    paddingValue: d.padding_value,
    orientation: d.orientation,
    tapOrder: d.tap_order,
    memory: d.memory,
  };
}

/** Return the shape of the image's array. */
export function imageShape(shape) {
  return [shape.batch, shape.channels, ...shape.spatial];
}

/** Return the shape of the weights' array. */
export function weightsShape(shape) {
  return [shape.filters, shape.channels / shape.groups, ...shape.kernel];
}

function same(a, b) {
  return a === b || (a !== null && b !== null && Object.keys(NOTHING).every((key) => a[key] === b[key]));
}

function sameNumbers(a, b) {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}
