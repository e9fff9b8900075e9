// @ts-check
// What cells show, and which rows and columns are shown: the twin of panel_builder.py.

import { letter, short } from "./labels.js";
import { combinations, prod, unravel } from "./geometry.js";
import { Plane, axis, sentence } from "./scene.js";
import { factorsOf } from "./separable.js";
import { tilesOf } from "./winograd.js";

/** Rows or columns of a table that are shown whole. */
export const LONGEST_AXIS = 48;
/** Positions or tiles that read a selected pixel and are kept in sight. */
const MOST_READERS = 9;
/** Channels, slices, images or filters that are shown whole. */
export const MOST_PLANES = 8;
/** Products that a formula lists whole. */
export const MOST_TERMS = 12;

/** Makes the planes of one scene: of a layer, a selection that elision must not hide, and "values" or "letters". */
export class Builder {
  constructor(layer, selection, labels = "values") {
    this.layer = layer;
    this.selection = selection;
    this.labels = labels;
  }

  /** Return a plane whose cells have these coordinates; `headers` names those that number its rows and columns. */
  plane(what, place, label, rows, columns, coordinates, mode = "digits", headers = ["", ""]) {
    const numbered = ({ shown }, name) => (name && mode !== "block" ? shown.map((i) => String(i + 1)) : []);
    const row_headers = numbered(rows, headers[0]);
    const column_headers = numbered(columns, headers[1]);
    return new Plane(this, { place, what, label, rows, columns, mode, coordinates, row_headers, column_headers });
  }

  /** The layer's tiles, in chapters that are drawn only where it has some. */
  get tiles() {
    return tilesOf(this.layer);
  }

  /** The kernel's factors, in chapters that are drawn only where it has some. */
  get factors() {
    return factorsOf(this.layer);
  }

  // Values and labels of a cell, by its coordinates.

  /** Return all that a cell shows. */
  cell(what, at) {
    return {
      text: this.text(what, at),
      value: this.isBlank(what, at) ? 0 : this.value(what, at),
      channel: this.channel(at),
      padding: this.isPadding(what, at),
      blank: this.isBlank(what, at),
    };
  }

  /** Return the pixel that a cell shows, null where it shows none. */
  pixelOf(what, at) {
    if ("pixel" in at) return at.pixel;
    if (what.startsWith("entry")) return this.layer.positionPixel(at.position) + this.layer.tapPixel(at.tap);
    if (what === "tile-entry") return this.tiles.pixel(at.tile, at.element);
    return what === "factor-entry" ? this.factors.pixel(at.place, at.down) : null;
  }

  /** Return whether a cell lies in the padding, or, of a tile, beyond what there is. */
  isPadding(what, at) {
    if (what === "tile-result") return this.tiles.position(at.tile, at.result) < 0;
    const pixel = this.pixelOf(what, at);
    return pixel !== null && (pixel < 0 || this.layer.isPadding(pixel));
  }

  /** Return a cell's number. */
  value(what, at) {
    const { layer } = this;
    if (what.startsWith("tile-") && what !== "tile-pixel") return this.tiles.value(what, at);
    if (what.startsWith("factor-")) return this.factors.value(what, at);
    switch (what) {
      case "pixel":
      case "tile-pixel":
      case "entry":
        return layer.pixel(at.image, this.pixelOf(what, at));
      case "weight":
        return layer.weight(at.tap, at.filter);
      case "output":
        return layer.output(at.image, at.filter, at.position);
      case "partial":
        return layer.partial(at.image, at.filter, at.channel, at.position);
      case "stop":
        return at.position + 1;
      case "position-offset":
        return layer.positionAddress(at.position);
      case "tap-offset":
        return layer.tapAddress(at.tap);
      case "entry-address":
        return layer.positionAddress(at.position) + layer.tapAddress(at.tap);
      case "address":
        return layer.address(at.pixel);
      case "count":
        return layer.count(layer.coordinates(at.pixel));
      default: // "sum" and "mean"
        return layer.folded(what, at.image, at.pixel);
    }
  }

  /** Return whether a cell holds nothing: a weight of a channel that its filter does not read. */
  isBlank(what, at) {
    return what === "weight" && !this.layer.reads(at.filter, at.tap);
  }

  /** Return the number of the input channel that a cell belongs to, -1 for none. */
  channel(at) {
    const { layer } = this;
    if ("pixel" in at) return layer.channelNumbers[Math.floor(at.pixel / layer.channelPixels)];
    if ("tap" in at) return layer.channelNumbers[layer.tapChannel(at.tap)];
    return "channel" in at ? layer.channelNumbers[at.channel] : -1;
  }

  /** Return a cell's label. */
  text(what, at) {
    if (this.isBlank(what, at)) return "";
    return (this.labels === "letters" && this.letter(what, at)) || short(this.value(what, at));
  }

  /** Return a cell's letter, or "" where it shows a number all the same. */
  letter(what, at) {
    const { layer } = this;
    const g = layer.geometry;
    const pixel = this.pixelOf(what, at);
    if (pixel !== null && pixel >= 0 && !["address", "entry-address", "count"].includes(what)) {
      const [channel, ...padded] = unravel(pixel, layer.paddedShape);
      const axes = padded.map((at, i) => layer.axisSources[i][at]); // a copy in the padding has its pixel's letter
      const found = [channel, ...axes];
      const isEmpty = (what === "sum" || what === "mean") && !layer.count(found);
      if (isEmpty || !layer.isInside(found)) return "";
      const name = letter("x", [at.image, layer.channelNumbers[channel], ...axes], [layer.batch, layer.channels, ...g.spatialShape]);
      return what === "sum" ? `${layer.count(found)}·${name}` : name;
    }
    if (what === "weight") {
      const channel = layer.tapChannel(at.tap) - layer.firstChannel(at.filter);
      const axes = unravel(layer.tapKernel(at.tap), g.kernelSize);
      return letter("w", [at.filter, channel, ...axes], [layer.filters, layer.groupChannels, ...g.kernelSize]);
    }
    if (what === "output") {
      const axes = unravel(at.position, g.outputShape);
      return letter("y", [at.image, at.filter, ...axes], [layer.batch, layer.filters, ...g.outputShape]);
    }
    if (what === "partial") {
      const index = [at.image, at.filter, at.channel, ...unravel(at.position, g.outputShape)];
      return letter("z", index, [layer.batch, layer.filters, layer.channels, ...g.outputShape]);
    }
    return "";
  }

  // Axes.

  /** Return the positions as an axis of a table. */
  positions(unit, limit = LONGEST_AXIS) {
    return axis(this.layer.positions, unit, limit, [this.selection.position, ...this.readers()]);
  }

  /** Return the positions that read the selected pixel, if they are few. */
  readers() {
    const { pixel } = this.selection;
    return pixel === null ? [] : few(this.layer.readers(pixel), this.layer.geometry.outputShape);
  }

  /** Return all taps as an axis of a table, in sight those whose products the formula lists. */
  taps(unit) {
    return axis(this.layer.taps, unit, LONGEST_AXIS, [this.selection.tap, ...this.listed()]);
  }

  /** Return the taps of the selected filter's group that the formula lists; of one group, they are the axis's ends. */
  listed() {
    const { filter } = this.selection;
    if (filter === null || this.layer.groups === 1) return [];
    const read = [...Array(this.layer.taps).keys()].filter((tap) => this.layer.reads(filter, tap));
    return axis(read.length, "terms", MOST_TERMS).shown.map((i) => read[i]);
  }

  /** Return one channel's taps as an axis of a table. */
  kernelTaps(unit, chosen) {
    return axis(this.layer.geometry.taps, unit, LONGEST_AXIS, [chosen]);
  }

  /** Return the filters as an axis. */
  filterAxis(unit, limit) {
    return axis(this.layer.filters, unit, limit, [this.selection.filter]);
  }

  /** Return the channels as an axis of planes. */
  channelAxis() {
    return axis(this.layer.channels, "channels", MOST_PLANES, [this.chosenChannel()]);
  }

  /** Return the channel of the selected pixel or tap, or the first that the selected filter reads. */
  chosenChannel() {
    const { pixel, tap, filter } = this.selection;
    if (pixel !== null) return Math.floor(pixel / this.layer.channelPixels);
    if (tap !== null) return this.layer.tapChannel(tap);
    return filter === null ? null : this.layer.firstChannel(filter);
  }

  /** Return the words of a plane's label: those parts of which there are several. */
  label(numbers) {
    const { batch, channels, filters, channelNumbers, filterNumbers } = this.layer;
    const counts = {
      image: batch,
      channel: Math.max(channels, 1 + Math.max(...channelNumbers)),
      filter: Math.max(filters, 1 + Math.max(...filterNumbers)),
    };
    const names = { channel: channelNumbers, filter: filterNumbers };
    return Object.entries(numbers)
      .filter(([name]) => (counts[name] ?? 2) > 1)
      .map(([name, i]) => sentence(`plane.${name}`, { number: (names[name] ? names[name][i] : i) + 1 }));
  }

  /** Return the last coordinates of the selected window's pixels, or of the selected pixel, in the padded image. */
  windowPixels() {
    const { layer, selection } = this;
    const width = layer.paddedShape.at(-1);
    if (selection.position === null) return selection.pixel === null ? [] : [selection.pixel % width];
    const start = layer.positionPixel(selection.position);
    const step = layer.tapOrder === "channel-first" ? 1 : layer.channels; // the taps of the first channel
    return Array.from({ length: layer.geometry.taps }, (_, kernel) => (start + layer.tapPixel(kernel * step)) % width);
  }
}

/** Return positions or tiles by their numbers, of which each axis's are given; none where they are many. */
export function few(readers, shape) {
  const axes = readers.map((found) => [...new Set(found)]);
  const count = prod(axes.map((found) => found.length));
  if (count === 0 || count > MOST_READERS) return [];
  return combinations(axes).map((at) => at.reduce((number, a, i) => number * shape[i] + a, 0));
}
