// @ts-check
// Scenes by chapter: which panels, what the caption says in numbers, and the sum behind a selected cell; see story.py.

import { tapRanks } from "./highlight.js";
import { short } from "./labels.js";
import { prod, unravel } from "./geometry.js";
import { Builder, MOST_TERMS } from "./builder.js";
import { makePanel } from "./panels.js";
import { NOTHING, axis, gapsOf, sentence } from "./scene.js";
import { factorsOf } from "./separable.js";
import { tilesOf } from "./winograd.js";

const SIGNS = ["→", "∗", "×", "⊙", "⊗", "=", "+", "÷", "Σ"];

/** Return the scene of a chapter; `chapters` are the chapters' JSON files by name, see story.py's make_scene. */
export function makeScene(layer, chapters, chapter, selection = NOTHING, { channel = 0, labels = "values" } = {}) {
  const plan = chapters[chapter];
  selection = { ...NOTHING, ...selection };
  if (plan.scope === "channel") {
    layer = layer.one(channel, selection.filter ?? 0);
    if (selection.filter !== null) selection = { ...selection, filter: 0 };
  }
  const builder = new Builder(layer, selection, labels);
  const tiles = plan.needs === "tiles" ? tilesOf(layer) : null;
  const factors = plan.needs === "factors" ? factorsOf(layer) : null;
  const isLacking = plan.needs && !tiles && !factors;
  const names = [...(isLacking ? plan.otherwise : plan.parts)];
  for (const [at, name] of names.entries()) {
    if (name !== "×" || layer.orientation !== "columns") continue;
    [names[at - 1], names[at + 1]] = [names[at + 1], names[at - 1]]; // the weights stand on the left then
  }
  const parts = names.map((name) => (SIGNS.includes(name) ? name : makePanel(builder, name)));
  // A picture without digits is read through its patch.
  const blurred = typeof parts[0] !== "string" && parts[0].planes[0].mode !== "digits";
  if (blurred && !names.includes("patch") && names.includes("image") && selection.position !== null) {
    parts.splice(1, 0, "→", makePanel(builder, "patch"));
  }
  const hasWeights = names.includes("filters") || names.includes("weights");
  return {
    chapter,
    layer,
    selection,
    steps: layer.positions,
    parts,
    title: sentence(`chapter.${chapter}`),
    caption: captionOf(layer, chapter, isLacking ? `without.${plan.needs}` : null, tiles, factors),
    counter: counterOf(layer, tiles ?? factors),
    message: messageOf(builder, hasWeights, tiles, factors),
    formula: hasWeights ? formulaOf(builder) : null,
  };
}

/** Return what a chapter says in numbers; `without` is what it says instead, where the layer lacks what it needs. */
function captionOf(layer, chapter, without, tiles, factors) {
  const numbers = captionNumbers(layer);
  if (tiles) {
    const plain = tiles.results * layer.geometry.taps;
    const end = tiles.beyond ? sentence("tiles.beyond", { count: tiles.beyond }) : sentence("tiles.whole");
    const sizes = { tile: tiles.shape.join(" × "), block: tiles.block.join(" × "), tiles: tiles.count, points: tiles.size };
    Object.assign(numbers, sizes, { results: tiles.results, plain, fewer: short(plain / tiles.size), end });
  } else if (factors) {
    const { rank, high, wide } = factors;
    Object.assign(numbers, { rank, high, wide, both: high + wide });
    if (rank > 1) return sentence(`caption.${chapter}.first`, numbers);
  }
  return sentence(without ?? `caption.${chapter}`, numbers);
}

/** Return what captions may say. */
function captionNumbers(layer) {
  const g = layer.geometry;
  const turned = layer.orientation === "columns";
  const times = (sizes) => sizes.join(" × ");
  const sides = (...pair) => times(turned ? pair.reverse() : pair);
  const matrix = sides(layer.positions, layer.taps);
  const weights = sides(layer.taps, layer.filters);
  const product = sides(layer.positions, layer.filters);
  const [left, right] = turned ? [weights, matrix] : [matrix, weights];
  const [row, column] = [sentence("word.row"), sentence("word.column")];
  const stops = g.spatialShape.map((n, i) => {
    const whole = `${n} + ${g.padding[i][0] + g.padding[i][1]} − ${g.dilation[i]}·(${g.kernelSize[i]}−1) − 1`;
    return `⌊(${whole}) / ${g.stride[i]}⌋ + 1 = ${g.outputShape[i]}`;
  });
  return {
    positions: layer.positions,
    taps: layer.taps,
    group_taps: layer.groupChannels * g.taps,
    channels: layer.channels,
    group_channels: layer.groupChannels,
    filters: layer.filters,
    kernel: times(g.kernelSize),
    output: times(g.outputShape),
    matrix,
    weights,
    product_shape: `(${left}) · (${right}) = (${product})`,
    line: turned ? column : row,
    result_line: turned ? row : column,
    beside: sentence(turned ? "word.below" : "word.beside"),
    spatial: times(g.spatialShape),
    padded: times(g.paddedShape),
    span: times(g.span),
    stride: times(g.stride),
    dilation: times(g.dilation),
    stops: [...new Set(stops)].join("; "),
  };
}

function counterOf(layer, special) {
  if (special) {
    const plain = layer.positions * layer.taps;
    return sentence("counter.saved", { plain, few: special.products, ratio: short(special.products / plain) });
  }
  const pixels = layer.channels * prod(layer.geometry.spatialShape);
  const cells = layer.positions * layer.taps;
  return sentence("counter", { pixels, cells, ratio: pixels ? short(cells / pixels) : "–" });
}

/** Return coordinates in words, counted from 1. */
function placeOf(coordinates) {
  const names = "zyx".slice(-coordinates.length);
  return sentence(`place.${coordinates.length}`, Object.fromEntries(coordinates.map((c, i) => [names[i], c + 1])));
}

function messageOf({ layer, selection: s }, hasWeights, tiles, factors) {
  const special = tiles ?? factors;
  const g = layer.geometry;
  if (s.pixel !== null) {
    const count = special ? special.copies(s.pixel) : prod(layer.readers(s.pixel).map((stops) => stops.length));
    const value = short(layer.pixel(s.image, s.pixel));
    if (layer.isPadding(s.pixel)) return sentence("say.padding", { value, count });
    const [channel, ...axes] = layer.coordinates(s.pixel);
    return sentence("say.pixel", { place: placeOf(axes), channel: layer.channelNumbers[channel] + 1, value, count });
  }
  if (s.position !== null) {
    const place = placeOf(unravel(s.position, g.outputShape));
    if (s.filter === null || !hasWeights) {
      if (tiles) return sentence("say.tile", { number: tiles.tileOf(s.position) + 1, place });
      return sentence("say.position", { number: s.position + 1, place });
    }
    return sentence("say.output", { place, filter: layer.filterNumbers[s.filter] + 1 });
  }
  if (s.tap !== null) {
    const place = placeOf(unravel(layer.tapKernel(s.tap), g.kernelSize));
    const tap = { place, channel: layer.channelNumbers[layer.tapChannel(s.tap)] + 1, count: layer.positions };
    if (s.filter === null || !hasWeights) return sentence("say.tap", { ...tap, number: s.tap + 1 });
    const weight = short(layer.weight(s.tap, s.filter));
    return sentence("say.weight", { ...tap, filter: layer.filterNumbers[s.filter] + 1, weight });
  }
  return null;
}

/** Return the sum behind the selected output cell, or the products of the selected filter element. */
function formulaOf(b) {
  const { layer, selection: s } = b;
  if (s.filter === null) return null;
  if (s.position !== null) {
    const taps = [...tapRanks(layer, s.filter).keys()].filter((tap) => layer.reads(s.filter, tap));
    const result = b.text("output", { position: s.position, filter: s.filter, image: s.image });
    return formulaWith(result, taps.length, (i) => termOf(b, s.position, taps[i], s.filter));
  }
  if (s.tap !== null && layer.reads(s.filter, s.tap)) {
    return formulaWith("", layer.positions, (position) => termOf(b, position, s.tap, s.filter));
  }
  return null;
}

function formulaWith(result, count, term) {
  const terms = axis(count, "terms", MOST_TERMS);
  const [gap] = gapsOf(terms);
  return { result, terms: terms.shown.map(term), gap: gap ? [gap[0] + 1, gap[1]] : null };
}

function termOf(b, position, tap, filter) {
  return [b.text("entry", { position, tap, image: b.selection.image }), b.text("weight", { tap, filter })];
}
