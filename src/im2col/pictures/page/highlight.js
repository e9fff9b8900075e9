// @ts-check
// What a selection lights: cells whose coordinates belong to it, the twin of highlight.py.
//
// Coordinates are affine, so planes find cells by inverting them: a picture of 224 × 224 pixels is never searched.

import { combinations, unravel } from "./geometry.js";
import { factorsOf } from "./separable.js";
import { tilesOf } from "./winograd.js";

/** How a cell is lit: not, as one that belongs to the selection, as the one cell that is pointed at. */
export const NOT = 0;
export const LIT = 1;
export const FOCUS = 2;
const PIXELS = ["pixel", "tile-pixel", "address", "sum", "count", "mean"];
const ENTRIES = ["entry", "entry-address"];

/** Return the shown cells that a selection lights: [row, column, level, number in the flattened patch or 0] each. */
export function highlight(layer, plane, selection) {
  const { image, position, tap, filter, pixel } = selection;
  if (position === null && tap === null && filter === null && pixel === null) return [];
  if (plane.mode === "block" || (plane.coordinates.image && plane.coordinates.image[0] !== image)) return [];
  const ranks = tapRanks(layer, filter);
  if (PIXELS.includes(plane.what)) return litPixels(layer, plane, selection, ranks);
  if (ENTRIES.includes(plane.what)) return litEntries(layer, plane, selection, ranks);
  if (plane.what.startsWith("tile-")) return litTiles(layer, plane, selection);
  if (plane.what.startsWith("factor-") && !plane.coordinates.filter) return litFactors(layer, plane, selection);
  return litOthers(layer, plane, selection, ranks);
}

/** Return each tap's number among those that a filter (null: any) reads, from 1; 0 where it does not. */
export function tapRanks(layer, filter) {
  return layer.keep(`ranks ${layer.tapOrder} ${filter}`, () => {
    const read = (tap) => filter === null || layer.reads(filter, tap);
    let rank = 0;
    return Int32Array.from({ length: layer.taps }, (_, tap) => (read(tap) ? ++rank : 0));
  });
}

function litPixels(layer, plane, s, ranks) {
  const lit = [];
  const light = (pixel, level, order) => {
    for (const [r, c] of plane.cellsWith("pixel", pixel)) lit.push([r, c, level, order]);
  };
  const here = (tap) => layer.tapChannel(tap) === Math.floor(plane.coordinates.pixel[0] / layer.channelPixels);
  if (s.pixel !== null) { // and its copies in the padding
    const channel = Math.floor(s.pixel / layer.channelPixels);
    for (const at of combinations(layer.copiesOf(s.pixel))) {
      const pixel = at.reduce((offset, a, i) => offset * layer.paddedShape[i + 1] + a, channel);
      light(pixel, pixel === s.pixel ? FOCUS : LIT, 0);
    }
  } else if (s.position !== null && plane.what === "tile-pixel") {
    const tiles = tilesOf(layer);
    const tile = tiles.tileOf(s.position);
    for (let element = 0; element < tiles.size; element++) {
      const pixel = tiles.pixel(tile, element);
      if (pixel >= 0) light(pixel, LIT, element + 1);
    }
  } else if (s.position !== null) {
    const start = layer.positionPixel(s.position);
    ranks.forEach((rank, tap) => {
      if (rank && here(tap)) light(start + layer.tapPixel(tap), tap === s.tap ? FOCUS : LIT, rank);
    });
  } else if (s.tap !== null && here(s.tap)) {
    const step = layer.tapPixel(s.tap);
    for (let position = 0; position < layer.positions; position++) light(layer.positionPixel(position) + step, LIT, 0);
  }
  return lit;
}

/** Return the cells that show a pixel or a copy of it. */
function litCopies(layer, plane, selected) {
  const [channel, ...axes] = unravel(selected, layer.paddedShape);
  const own = axes.map((at, i) => layer.axisSources[i][at]);
  const copies = plane.cells().filter(([r, c]) => {
    const pixel = plane.builder.pixelOf(plane.what, plane.at(r, c));
    const [other, ...shown] = unravel(pixel, layer.paddedShape);
    return pixel >= 0 && other === channel && shown.every((at, i) => layer.axisSources[i][at] === own[i]);
  });
  return copies.map(([r, c]) => [r, c, LIT, 0]);
}

function litEntries(layer, plane, s, ranks) {
  if (s.pixel !== null) return litCopies(layer, plane, s.pixel);
  if (s.position !== null) {
    return plane.cellsWith("position", s.position).flatMap(([r, c]) => {
      const { tap } = plane.at(r, c);
      return ranks[tap] ? [[r, c, tap === s.tap ? FOCUS : LIT, ranks[tap]]] : [];
    });
  }
  return s.tap === null ? [] : plane.cellsWith("tap", s.tap).map(([r, c]) => [r, c, LIT, 0]);
}

function litOthers(layer, plane, s, ranks) {
  const { position, tap, filter } = plane.coordinates;
  const exact = s.filter !== null && filter !== undefined;
  const ofFilter = (cells) => (exact ? cells.filter(([r, c]) => plane.at(r, c).filter === s.filter) : cells);
  if (tap) { // weights and tap offsets
    if (s.position !== null && (s.filter !== null || !filter)) {
      return ofFilter(plane.cells()).flatMap(([r, c]) => {
        const here = plane.at(r, c).tap;
        return ranks[here] ? [[r, c, here === s.tap ? FOCUS : LIT, ranks[here]]] : [];
      });
    }
    if (s.tap === null) return [];
    const found = ofFilter(plane.cellsWith("tap", s.tap));
    const written = filter ? found.filter(([r, c]) => layer.reads(plane.at(r, c).filter, s.tap)) : found;
    return written.map(([r, c]) => [r, c, exact ? FOCUS : LIT, 0]);
  }
  if (position && s.position !== null) { // outputs, partial sums, stops and row offsets
    return ofFilter(plane.cellsWith("position", s.position)).map(([r, c]) => [r, c, exact ? FOCUS : LIT, 0]);
  }
  // Each product of a filter element goes to one cell of its map.
  if (position && s.tap !== null && exact) return plane.cellsWith("filter", s.filter).map(([r, c]) => [r, c, LIT, 0]);
  return [];
}

/** Return those cells whose coordinates a rule accepts; `order` numbers them. */
function litWhere(plane, accepts, order = (_) => 0) {
  return plane.cells().flatMap(([r, c]) => {
    const at = plane.at(r, c);
    const level = Number(accepts(at));
    return level ? [[r, c, level, order(at)]] : [];
  });
}

function litTiles(layer, plane, s) {
  const tiles = tilesOf(layer);
  const { tile, element, result, weight } = plane.coordinates;
  if (s.pixel !== null) return plane.what === "tile-entry" ? litCopies(layer, plane, s.pixel) : [];
  if (s.position !== null) {
    const own = tiles.tileOf(s.position);
    if (tile && result) {
      const isIt = (at) => tiles.position(at.tile, at.result) === s.position;
      return litWhere(plane, (at) => at.tile === own && (isIt(at) ? FOCUS : LIT));
    }
    if (tile) return litWhere(plane, (at) => at.tile === own, (at) => (element ? at.element + 1 : 0));
    // What makes this result of the products.
    if (result) return litWhere(plane, (at) => tiles.position(own, at.result) === s.position);
    return plane.what === "tile-kernel" ? litWhere(plane, () => true) : [];
  }
  if (s.tap === null) return [];
  if (weight) return litWhere(plane, (at) => at.weight === s.tap);
  return plane.what === "tile-kernel" ? litWhere(plane, (at) => tiles.ofWeights[at.point][s.tap] !== 0) : [];
}

function litFactors(layer, plane, s) {
  const factors = factorsOf(layer);
  const { place, position, down, across } = plane.coordinates;
  if (s.pixel !== null) return plane.what === "factor-entry" ? litCopies(layer, plane, s.pixel) : [];
  if (s.position !== null) {
    const places = factors.places(s.position);
    if (place) return litWhere(plane, (at) => places.includes(at.place));
    if (position) return litWhere(plane, (at) => at.position === s.position, (at) => at.across + 1);
    return litWhere(plane, () => true);
  }
  if (s.tap === null) return [];
  const [row, column] = [Math.floor(s.tap / factors.wide), s.tap % factors.wide];
  if (down) return litWhere(plane, (at) => at.down === row);
  return across ? litWhere(plane, (at) => at.across === column) : [];
}
