// @ts-check
// A scene: what a picture shows, as plain data; the twin of scene.py and plane.py.
//
// A plane holds no arrays here: plane.cell(r, c) computes a cell when it is drawn, by its indices among the rows and
// columns that are shown.

/** Return a sentence of the dictionary: its key, and what stands in its braces. */
export function sentence(key, values = {}) {
  return { key, values };
}

/** @typedef {{ image: number, position: ?number, tap: ?number, filter: ?number, pixel: ?number }} Selected */

/** Nothing is selected; a selection is this with some of its nulls replaced. @type {Readonly<Selected>} */
export const NOTHING = Object.freeze({ image: 0, position: null, tap: null, filter: null, pixel: null });

/** Return an axis that shows everything, or the first three, the last two and what is chosen with its neighbours. */
export function axis(length, unit, limit, chosen = []) {
  if (length <= Math.max(limit, 5)) return wholeAxis(length, unit);
  const kept = new Set([0, 1, 2, length - 2, length - 1]);
  for (const one of chosen) {
    if (one !== null) for (let i = Math.max(0, one - 1); i < Math.min(length, one + 2); i++) kept.add(i);
  }
  // A gap of one takes no less room than what it hides.
  for (const i of [...kept]) if (kept.has(i + 2)) kept.add(i + 1);
  return { length, shown: [...kept].sort((a, b) => a - b), unit };
}

/** Return an axis that shows everything. */
export function wholeAxis(length, unit) {
  return { length, shown: Array.from({ length }, (_, i) => i), unit };
}

/** Return where an axis leaves something out: [index in `shown` after which, how many]. */
export function gapsOf({ shown }) {
  const gaps = shown.slice(1).map((b, i) => [i, b - shown[i] - 1]);
  return gaps.filter(([, count]) => count > 0);
}

function shownAt({ length, shown }, place) {
  if (shown.length < length) return shown.indexOf(place);
  return place >= 0 && place < length && Number.isInteger(place) ? place : -1;
}

/** A grid of cells, whose coordinates are `base + row·down + column·right` each; its fields are those of plane.py. */
export class Plane {
  constructor(builder, fields) {
    /** Computes what cells show. */
    this.builder = builder;
    this.place = fields.place;
    this.what = fields.what;
    this.label = fields.label;
    this.rows = fields.rows;
    this.columns = fields.columns;
    this.mode = fields.mode;
    this.coordinates = fields.coordinates;
    this.row_headers = fields.row_headers;
    this.column_headers = fields.column_headers;
  }

  /** Return the coordinates of a shown cell, by name. */
  at(r, c) {
    const row = this.rows.shown[r];
    const column = this.columns.shown[c];
    const found = {};
    for (const name in this.coordinates) {
      const [base, down, right] = this.coordinates[name];
      found[name] = base + row * down + column * right;
    }
    return found;
  }

  /** Return all shown cells, [r, c] each. */
  cells() {
    return this.rows.shown.flatMap((_, r) => this.columns.shown.map((_, c) => [r, c]));
  }

  /** Return the shown cells that have a coordinate of this value, by inverting base + row·down + column·right. */
  cellsWith(name, value) {
    const { rows, columns } = this;
    const [base, down, right] = this.coordinates[name];
    const rest = value - base;
    if (!down && !right) return rest ? [] : this.cells();
    // Where both count, a step down is a whole row at least; where one does not, it is free.
    const row = down && (right ? Math.floor(rest / down) : rest / down);
    const r = shownAt(rows, row);
    const c = right ? shownAt(columns, (rest - row * down) / right) : 0;
    if ((down && r < 0) || c < 0) return [];
    if (!right) return columns.shown.map((_, other) => [r, other]);
    return down ? [[r, c]] : rows.shown.map((_, other) => [other, c]);
  }

  /** Return what a shown cell shows: its text, value, channel number or -1, and whether it is padding or blank. */
  cell(r, c) {
    return this.builder.cell(this.what, this.at(r, c));
  }

  /** Return the values of all shown cells, row by row; the same array for the same picture of the same layer. */
  values() {
    const { rows, columns, builder, what } = this;
    const compute = () => {
      const found = new Float64Array(rows.shown.length * columns.shown.length);
      for (let r = 0, i = 0; r < rows.shown.length; r++) {
        for (let c = 0; c < columns.shown.length; c++) found[i++] = builder.value(what, this.at(r, c));
      }
      return found;
    };
    if (this.mode !== "heat") return compute();
    return builder.layer.keep(`${what} ${JSON.stringify(this.coordinates)}`, compute);
  }
}
