// @ts-check
// What a selection lights: cells whose coordinates belong to it, the twin of highlight.py.
//
// Coordinates are affine, so planes find cells by inverting them: a picture of 224 × 224 pixels is never searched.

import { combinations, unravel } from "./geometry.js";

/** How a cell is lit: not, as one that belongs to the selection, as the one cell that is pointed at. */
export const NOT = 0;
export const LIT = 1;
export const FOCUS = 2;
const PIXELS = ["pixel", "address", "sum", "count", "mean"];
const ENTRIES = ["entry", "entry-address"];

/** Return the shown cells that a selection lights: [row, column, level, number in the flattened patch or 0] each. */
export function highlight(layer, plane, selection) {
  const { image, position, tap, filter, pixel } = selection;
  if (position === null && tap === null && filter === null && pixel === null) return [];
  if (plane.mode === "block" || (plane.coordinates.image && plane.coordinates.image[0] !== image)) return [];
  const ranks = tapRanks(layer, filter);
  if (PIXELS.includes(plane.what)) return litPixels(layer, plane, selection, ranks);
  if (ENTRIES.includes(plane.what)) return litEntries(layer, plane, selection, ranks);
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

function litEntries(layer, plane, s, ranks) {
  if (s.pixel !== null) {
    const [channel, ...axes] = unravel(s.pixel, layer.paddedShape);
    const own = axes.map((at, i) => layer.axisSources[i][at]);
    const copies = plane.cells().filter(([r, c]) => {
      const { position, tap } = plane.at(r, c);
      const [other, ...shown] = unravel(layer.positionPixel(position) + layer.tapPixel(tap), layer.paddedShape);
      return other === channel && shown.every((at, i) => layer.axisSources[i][at] === own[i]);
    });
    return copies.map(([r, c]) => [r, c, LIT, 0]);
  }
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
