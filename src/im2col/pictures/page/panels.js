// @ts-check
// The panels that chapters are made of: the twin of panels.py. A new figure is a new list of them, in chapters/.

import { LONGEST_AXIS, MOST_PLANES, few } from "./builder.js";
import { prod } from "./geometry.js";
import { axis, sentence, wholeAxis } from "./scene.js";

const SHORTEST_AXIS = 6; // what is shown whole where there would be too many cells
const MOST_PATCHES = 12;
const MOST_STOPS = 24; // rows of a thin matrix that are shown whole
const MOST_DIGITS = 2_500; // cells of a panel that show digits
const MOST_HEAT = 100_000; // cells of a plane that show colours

/** Return a panel by its name in the chapters; `b` is the scene's Builder. */
export function makePanel(b, kind) {
  return PANELS[kind](b);
}

const times = (sizes) => sentence("size", { shape: sizes.join(" × ") });

const several = (...sizes) => sizes.filter((n) => n > 1);

// --- pictures: one plane for each channel (or filter), image and slice

/** Return a panel of pictures; `steps(line, image, slice)` and `label(line)` are a plane's coordinates and its name. */
function picturesPanel(b, kind, what, lines, shape, steps, label, offset = 0) {
  const depth = shape.length === 3 ? shape[0] : 1;
  const [height, width] = [1, ...shape].slice(-2);
  const unit = depth > 1 ? "slices" : "images";
  const own = steps(0, 0, 0);
  const batch = own.image ? b.layer.batch : 1;
  const images = axis(batch * depth, unit, MOST_PLANES, [b.selection.image * depth]);
  const cells = height * width;
  let columns = wholeAxis(width, "columns");
  let mode = "digits";
  if (shape.length === 1) {
    const chosen = own.pixel ? b.windowPixels().map((p) => p - offset) : [b.selection.position];
    columns = axis(width, "columns", LONGEST_AXIS, chosen.filter((p) => p !== null && p >= 0 && p < width));
  } else if (cells * lines.shown.length * images.shown.length > MOST_DIGITS) {
    mode = cells <= MOST_HEAT ? "heat" : "block";
  }
  const rows = wholeAxis(height, "rows");
  const planes = lines.shown.flatMap((line) =>
    images.shown.map((column) => {
      const image = Math.floor(column / depth);
      const slice = column % depth;
      const names = b.label({ ...label(line), ...(batch > 1 ? { image } : {}), ...(depth > 1 ? { slice } : {}) });
      return b.plane(what, [line, column], names, rows, columns, steps(line, image, slice), mode);
    }),
  );
  const leading = batch > 1 ? [batch, lines.length] : several(lines.length);
  const size = times([...leading, ...shape]);
  return { kind, title: sentence(`panel.${kind}`), size, rows: lines, columns: images, planes };
}

/** Return the image, or sums over it, channel by channel. */
function imagePanel(b, kind, what, padded) {
  const g = b.layer.geometry;
  const before = g.padding.map((pair) => (padded ? 0 : pair[0]));
  const [height, width] = [1, ...g.paddedShape].slice(-2);
  const [above, left] = [0, ...before].slice(-2);
  const steps = (channel, image, slice) => {
    const top = g.ndim === 3 ? slice + before[0] : 0;
    const corner = channel * b.layer.channelPixels + top * height * width + above * width + left;
    return { pixel: [corner, width, 1], image: [image, 0, 0] };
  };
  const shape = padded ? g.paddedShape : g.spatialShape;
  return picturesPanel(b, kind, what, b.channelAxis(), shape, steps, (channel) => ({ channel }), before.at(-1));
}

function paddedPanel(b, what) {
  return imagePanel(b, b.layer.geometry.isPadded ? "padded" : "image", what, true);
}

/** Return pictures of the output's shape; `here(line, image)` are a plane's coordinates beside its positions. */
function outputsPanel(b, kind, what, lines, here, label) {
  const { outputShape } = b.layer.geometry;
  const [height, width] = [1, ...outputShape].slice(-2);
  const steps = (line, image, slice) => {
    return { position: [slice * height * width, width, 1], ...here(line, [image, 0, 0]) };
  };
  return picturesPanel(b, kind, what, lines, outputShape, steps, label);
}

function mapsPanel(b) {
  const lines = b.filterAxis("filters", MOST_PLANES);
  return outputsPanel(b, "maps", "output", lines, (f, image) => ({ filter: [f, 0, 0], image }), (filter) => ({ filter }));
}

function partialsPanel(b) {
  const filter = b.selection.filter ?? 0;
  const first = b.layer.firstChannel(filter);
  const here = (line, image) => ({ channel: [first + line, 0, 0], filter: [filter, 0, 0], image });
  const lines = axis(b.layer.groupChannels, "channels", MOST_PLANES);
  return outputsPanel(b, "partials", "partial", lines, here, (line) => ({ channel: first + line }));
}

function stopsPanel(b) {
  return outputsPanel(b, "stops", "stop", wholeAxis(1, "rows"), () => ({}), () => ({}));
}

// --- small windows: patches and filters, their slices one below the other

/** Return the tap of a window's cell; rows run through all axes but the last. */
function windowSteps(b, channel) {
  const { kernelSize, taps } = b.layer.geometry;
  const width = kernelSize.at(-1);
  if (b.layer.tapOrder === "channel-first") return [channel * taps, width, 1];
  return [channel, width * b.layer.channels, b.layer.channels];
}

/** Return the rows and columns of each of so many windows. */
function windowAxes(b, windows) {
  const { kernelSize, taps } = b.layer.geometry;
  const limit = windows * taps <= MOST_DIGITS ? LONGEST_AXIS : SHORTEST_AXIS;
  return [axis(prod(kernelSize.slice(0, -1)), "rows", limit), axis(kernelSize.at(-1), "columns", limit)];
}

function filtersPanel(b) {
  const { layer } = b;
  const lines = b.filterAxis("filters", MOST_PLANES);
  const own = b.chosenChannel();
  const across = axis(layer.groupChannels, "channels", MOST_PLANES, [own === null ? null : own % layer.groupChannels]);
  const axes = windowAxes(b, lines.shown.length * across.shown.length);
  const planes = lines.shown.flatMap((filter) =>
    across.shown.map((c) => {
      const channel = layer.firstChannel(filter) + c;
      const steps = { tap: windowSteps(b, channel), filter: [filter, 0, 0] };
      return b.plane("weight", [filter, c], b.label({ filter, channel }), ...axes, steps);
    }),
  );
  const title = sentence(layer.filters === 1 && layer.channels === 1 ? "panel.kernel" : "panel.filters");
  const size = times([...several(layer.filters, layer.groupChannels), ...layer.geometry.kernelSize]);
  return { kind: "filters", title, size, rows: lines, columns: across, planes };
}

function patchesPanel(b) {
  const { outputShape, kernelSize, taps } = b.layer.geometry;
  const down = prod(outputShape.slice(0, -1));
  const width = outputShape.at(-1);
  const { image, position } = b.selection;
  const alongDown = (limit) => axis(down, "patch-rows", limit, [position === null ? null : Math.floor(position / width)]);
  const alongWidth = (limit) => axis(width, "patches", limit, [position === null ? null : position % width]);
  let lines = alongDown(MOST_PATCHES);
  let across = alongWidth(MOST_PATCHES);
  if (lines.shown.length * across.shown.length * taps > MOST_DIGITS) {
    lines = alongDown(SHORTEST_AXIS);
    across = alongWidth(SHORTEST_AXIS);
  }
  const axes = windowAxes(b, lines.shown.length * across.shown.length);
  const planes = lines.shown.flatMap((y) =>
    across.shown.map((x) => {
      const name = sentence("plane.patch", { number: y * width + x + 1 });
      const steps = { position: [y * width + x, 0, 0], tap: windowSteps(b, 0), image: [image, 0, 0] };
      return b.plane("entry", [y, x], [name], ...axes, steps);
    }),
  );
  const size = times([...outputShape, ...kernelSize]);
  return { kind: "patches", title: sentence("panel.patches"), size, rows: lines, columns: across, planes };
}

function patchPanel(b) {
  const { layer } = b;
  const position = b.selection.position ?? 0;
  const lines = b.channelAxis();
  const axes = windowAxes(b, lines.shown.length);
  const planes = lines.shown.map((channel) => {
    const steps = { position: [position, 0, 0], tap: windowSteps(b, channel), image: [b.selection.image, 0, 0] };
    return b.plane("entry", [channel, 0], b.label({ channel }), ...axes, steps);
  });
  const title = sentence("panel.patch", { number: position + 1 });
  const size = times([...several(layer.channels), ...layer.geometry.kernelSize]);
  return { kind: "patch", title, size, rows: lines, columns: wholeAxis(1, "images"), planes };
}

// --- tables: the column matrix, the weights, the product

/**
 * Return a panel of tables whose rows and columns have a coordinate each, "" for none. With orientation "columns" they
 * change places. `parts` tables stand beside each other, their coordinates given by `bases`; one for each image below.
 */
function tablePanel(b, kind, what, down, across, { perImage, parts = 1, bases = (_) => ({}) }) {
  const turned = b.layer.orientation === "columns";
  const { batch } = b.layer;
  const images = axis(perImage ? batch : 1, "images", MOST_PLANES, [b.selection.image]);
  const beside = axis(parts, "channels", MOST_PLANES, [parts > 1 ? b.chosenChannel() : null]);
  const [[rowsName, rows], [columnsName, columns]] = turned ? [across, down] : [down, across];
  const axes = [{ ...rows, unit: "rows" }, { ...columns, unit: "columns" }];
  const ofImage = (image) => (perImage ? { image: [image, 0, 0] } : {});
  const table = (image, part) => {
    const own = { [down[0]]: [0, 1, 0], [across[0]]: [0, 0, 1], ...bases(part), ...ofImage(image) };
    const named = Object.entries(own).filter(([name]) => name);
    const steps = Object.fromEntries(named.map(([name, [base, i, j]]) => [name, turned ? [base, j, i] : [base, i, j]]));
    const names = b.label({ ...(perImage ? { image } : {}), ...(parts > 1 ? { channel: part } : {}) });
    const place = turned ? [part, image] : [image, part];
    return b.plane(what, place, names, ...axes, steps, "digits", [rowsName, columnsName]);
  };
  const planes = turned
    ? beside.shown.flatMap((part) => images.shown.map((image) => table(image, part)))
    : images.shown.flatMap((image) => beside.shown.map((part) => table(image, part)));
  const sides = [down[1].length, across[1].length * parts];
  const size = times([...(perImage ? several(batch) : []), ...(turned ? sides.reverse() : sides)]);
  const arrangement = turned ? { rows: beside, columns: images } : { rows: images, columns: beside };
  return { kind, title: sentence(`panel.${kind}`), size, ...arrangement, planes };
}

function matrixPanel(b, kind = "matrix", what = "entry") {
  const down = ["position", b.positions("rows")];
  const across = ["tap", b.taps("columns")];
  return tablePanel(b, kind, what, down, across, { perImage: what === "entry" });
}

/** Return each channel's column matrix, one beside the other. */
function matricesPanel(b) {
  const { channels, tapOrder, geometry } = b.layer;
  const first = tapOrder === "channel-first";
  const bases = (channel) => ({ tap: first ? [channel * geometry.taps, 0, 1] : [channel, 0, channels] });
  const down = ["position", b.positions("rows")];
  const { tap } = b.selection;
  const across = ["tap", b.kernelTaps("columns", tap === null ? null : b.layer.tapKernel(tap))];
  return tablePanel(b, "matrices", "entry", down, across, { perImage: true, parts: channels, bases });
}

function weightsPanel(b) {
  const down = ["tap", b.taps("rows")];
  const across = ["filter", b.filterAxis("columns", LONGEST_AXIS)];
  return tablePanel(b, "weights", "weight", down, across, { perImage: false });
}

function productPanel(b) {
  const across = ["filter", b.filterAxis("columns", LONGEST_AXIS)];
  return tablePanel(b, "product", "output", ["position", b.positions("rows")], across, { perImage: true });
}

function positionOffsetsPanel(b) {
  const down = ["position", b.positions("rows")];
  return tablePanel(b, "position-offsets", "position-offset", down, ["", wholeAxis(1, "columns")], { perImage: false });
}

function tapOffsetsPanel(b) {
  const across = ["tap", b.taps("columns")];
  return tablePanel(b, "tap-offsets", "tap-offset", ["", wholeAxis(1, "columns")], across, { perImage: false });
}

// --- tiles: the image cut with larger windows, transformed, multiplied value by value, transformed back

/** Return an axis of tables over tiles, points and weights, by its coordinate; "" is one line without numbers. */
function numbered(b, name) {
  const { tiles, selection: s } = b;
  if (name === "tile") {
    const chosen = s.pixel === null ? [] : few(tiles.readers(s.pixel), tiles.counts);
    return axis(tiles.count, "rows", LONGEST_AXIS, [...chosen, s.position === null ? null : tiles.tileOf(s.position)]);
  }
  const lengths = { "": 1, element: tiles.size, point: tiles.size, result: tiles.results, weight: b.layer.taps };
  return axis(lengths[name], "columns", LONGEST_AXIS, [name === "weight" ? s.tap : null]);
}

/** Return a table with a row for each tile. */
function tilesPanel(b, kind, what, across) {
  const bases = () => (across === "element" ? { channel: [0, 0, 0] } : {});
  return tablePanel(b, kind, what, ["tile", numbered(b, "tile")], [across, numbered(b, across)], { perImage: true, bases });
}

/** Return numbers that are the same for all tiles. */
function transformPanel(b, kind, down, across) {
  return tablePanel(b, kind, kind, [down, numbered(b, down)], [across, numbered(b, across)], { perImage: false });
}

function flatKernelPanel(b) {
  const across = ["tap", b.taps("columns")];
  return tablePanel(b, "flat-kernel", "weight", ["filter", wholeAxis(1, "columns")], across, { perImage: false });
}

// --- factors: a kernel as a column times a row, and the two passes

function columnPanel(b) {
  return gridPanel(b, "kernel-column", "factor-column", windowAxes(b, 1)[0], wholeAxis(1, "columns"), { down: [0, 1, 0] });
}

function rowPanel(b) {
  return gridPanel(b, "kernel-row", "factor-row", wholeAxis(1, "columns"), windowAxes(b, 1)[1], { across: [0, 0, 1] });
}

function restPanel(b) {
  return gridPanel(b, "kernel-rest", "factor-rest", ...windowAxes(b, 1), { tap: windowSteps(b, 0), filter: [0, 0, 0] });
}

function gridPanel(b, kind, what, rows, columns, steps) {
  const one = wholeAxis(1, "columns");
  const planes = [b.plane(what, [0, 0], [], rows, columns, steps)];
  return { kind, title: sentence(`panel.${kind}`), size: times([rows.length, columns.length]), rows: one, columns: one, planes };
}

/** Return a thin matrix, or the column or the row of the kernel that it is multiplied by. */
function passPanel(b, kind, what, down, across) {
  const { factors, selection: s } = b;
  const chosen = s.position === null ? [] : factors.places(s.position);
  const axes = {
    "": wholeAxis(1, "columns"),
    position: b.positions("rows", MOST_STOPS),
    place: axis(prod(factors.middle), "rows", MOST_STOPS, chosen),
    down: axis(factors.high, "columns", LONGEST_AXIS, [s.tap === null ? null : Math.floor(s.tap / factors.wide)]),
    across: axis(factors.wide, "columns", LONGEST_AXIS, [s.tap === null ? null : s.tap % factors.wide]),
  };
  const bases = () => (what === "factor-entry" ? { channel: [0, 0, 0] } : {});
  return tablePanel(b, kind, what, [down, axes[down]], [across, axes[across]], { perImage: across !== "", bases });
}

function middlePanel(b) {
  const steps = (_, image) => ({ place: [0, b.factors.middle[1], 1], image: [image, 0, 0] });
  return picturesPanel(b, "middle", "factor-middle", wholeAxis(1, "columns"), b.factors.middle, steps, () => ({}));
}

function pairPanel(b) {
  const kind = b.factors.rank <= 1 ? "maps" : "pair";
  const here = (_, image) => ({ filter: [0, 0, 0], image });
  return outputsPanel(b, kind, "factor-output", wholeAxis(1, "columns"), here, () => ({}));
}

/** The panels by their names in the chapters. */
const PANELS = {
  image: (b) => paddedPanel(b, "pixel"),
  "bare-image": (b) => imagePanel(b, "image", "pixel", false),
  memory: (b) => imagePanel(b, "memory", "address", true),
  sums: (b) => imagePanel(b, "sums", "sum", false),
  counts: (b) => imagePanel(b, "counts", "count", false),
  means: (b) => imagePanel(b, "means", "mean", false),
  filters: filtersPanel,
  patches: patchesPanel,
  patch: patchPanel,
  matrix: (b) => matrixPanel(b),
  matrices: matricesPanel,
  addresses: (b) => matrixPanel(b, "addresses", "entry-address"),
  "position-offsets": positionOffsetsPanel,
  "tap-offsets": tapOffsetsPanel,
  weights: weightsPanel,
  product: productPanel,
  partials: partialsPanel,
  maps: mapsPanel,
  stops: stopsPanel,
  "tiled-image": (b) => paddedPanel(b, "tile-pixel"),
  tiles: (b) => tilesPanel(b, "tiles", "tile-entry", "element"),
  "tile-values": (b) => tilesPanel(b, "tile-values", "tile-value", "point"),
  "tile-products": (b) => tilesPanel(b, "tile-products", "tile-product", "point"),
  "tile-results": (b) => tilesPanel(b, "tile-results", "tile-result", "result"),
  "tile-kernel": (b) => transformPanel(b, "tile-kernel", "", "point"),
  "tile-of-pixels": (b) => transformPanel(b, "tile-of-pixels", "element", "point"),
  "tile-of-weights": (b) => transformPanel(b, "tile-of-weights", "weight", "point"),
  "tile-of-products": (b) => transformPanel(b, "tile-of-products", "point", "result"),
  "flat-kernel": flatKernelPanel,
  "kernel-column": columnPanel,
  "kernel-row": rowPanel,
  "kernel-rest": restPanel,
  "pixel-columns": (b) => passPanel(b, "pixel-columns", "factor-entry", "place", "down"),
  "middle-rows": (b) => passPanel(b, "middle-rows", "factor-middle-entry", "position", "across"),
  "flat-column": (b) => passPanel(b, "flat-column", "factor-column", "down", ""),
  "flat-row": (b) => passPanel(b, "flat-row", "factor-row", "across", ""),
  middle: middlePanel,
  pair: pairPanel,
};
