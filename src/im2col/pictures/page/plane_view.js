// @ts-check
// One plane on the page: digits as SVG, a heat map as a canvas under an SVG, a block as an outline.
//
// A view is built once for a shape; a step of the scrubber only writes what has changed into it.

import { CHANNEL_COLOURS, drawHeat, valueColour } from "./colours.js";
import { element, put, vector, write } from "./dom.js";
import { FOCUS } from "./highlight.js";
import { gapsOf } from "./scene.js";
import { say } from "./texts.js";

const CELL_HEIGHT = 30;
const HEADER = 15;
const GAP = 22;
const PICTURE = 216;
const BLOCK = 150;
const SMALL = 3; // pixels of a cell below which a frame shows where it is
const MANY = 400;
const LONGEST_WORDS = 84; // pixels of "⋯ 50,171 rows"
const LEAST_FRAME = 13;

/** Return the width of cells whose longest label has so many characters. */
export function cellWidthFor(length) {
  return Math.max(30, Math.ceil(length * 7.4) + 12);
}

/** Return what must be the same for a view to be updated and not built anew. */
export function planeShape(plane, cellWidth) {
  const { what, mode, label, rows, columns, row_headers: left, column_headers: top } = plane;
  const gaps = [rows, columns].map((axis) => gapsOf(axis).map(([after]) => after));
  const sizes = mode === "block" ? [rows.length, columns.length] : [rows.shown.length, columns.shown.length];
  return JSON.stringify([what, mode, sizes, gaps, left.length, top.length, cellWidth, label.length]);
}

/** A plane's elements, and where its cells are. */
export class PlaneView {
  /** Build the view of a plane; `name` begins the ids of its cells. */
  constructor(plane, cellWidth, name) {
    this.name = name;
    this.mode = plane.mode;
    this.cellWidth = cellWidth;
    this.drawn = null;
    this.first = [0, 0];
    this.band = element("div", { class: "band" });
    this.svg = vector("svg", { role: "rowgroup" });
    this.root = element("div", { class: `plane ${plane.mode}` }, this.band, element("div", { class: "grid" }, this.svg));
    if (plane.mode === "digits") this.measure(plane, cellWidth, CELL_HEIGHT);
    else if (plane.mode === "heat") this.measurePicture(plane);
    else this.measureBlock(plane);
    put(this.svg, "viewBox", `0 0 ${this.width} ${this.height}`);
    this.resize(1);
    if (plane.mode === "digits") this.buildCells(plane);
    this.light = vector("g", { class: "light", "aria-hidden": "true" });
    this.halo = vector("path", { class: "halo" });
    this.outline = vector("path", { class: "lit" });
    this.light.append(this.halo, this.outline);
    this.numbers = [];
    this.points = [];
    this.svg.append(this.light);
  }

  /** Draw everything larger or smaller. */
  resize(scale) {
    put(this.svg, "width", this.width * scale);
    put(this.svg, "height", this.height * scale);
    if (!this.canvas) return;
    const [width, height] = [this.width - 2, this.height - 2].map((size) => size * scale);
    this.canvas.style.cssText = `left:${scale}px;top:${scale}px;width:${width}px;height:${height}px`;
  }

  measure(plane, width, height) {
    const digits = Math.max(0, ...plane.row_headers.map((header) => header.length));
    this.left = digits ? 9 + 6 * Math.max(2, digits) : 1;
    this.top = plane.column_headers.length ? HEADER : 1;
    // The band of columns that are left out is as wide as its words where they cannot be turned.
    const isLow = plane.rows.shown.length * CELL_HEIGHT < 130;
    this.columnGap = gapsOf(plane.columns).length ? (isLow ? 116 : GAP) : 0;
    this.isTurned = !isLow;
    this.lefts = startsOf(plane.columns, width, this.left, this.columnGap);
    this.tops = startsOf(plane.rows, height, this.top, GAP);
    this.cellHeight = height;
    const words = gapsOf(plane.rows).length ? this.left + LONGEST_WORDS : 0;
    this.width = Math.max(this.lefts.at(-1) + width + 1, words);
    this.height = this.tops.at(-1) + height + 1;
  }

  measurePicture(plane) {
    const size = PICTURE / Math.max(plane.rows.length, plane.columns.length);
    this.cellWidth = this.cellHeight = size;
    [this.left, this.top] = [1, 1];
    this.lefts = plane.columns.shown.map((column) => 1 + column * size);
    this.tops = plane.rows.shown.map((row) => 1 + row * size);
    this.width = plane.columns.length * size + 2;
    this.height = plane.rows.length * size + 2;
    this.canvas = element("canvas", { width: plane.columns.length, height: plane.rows.length, "aria-hidden": "true" });
    this.svg.before(this.canvas);
    this.current = vector("g", { role: "gridcell", id: `${this.name}-current` });
    this.svg.append(vector("g", { role: "row" }, this.current));
  }

  measureBlock(plane) {
    const size = BLOCK / Math.max(plane.rows.length, plane.columns.length);
    const text = `${plane.rows.length.toLocaleString("en")} × ${plane.columns.length.toLocaleString("en")}`;
    [this.lefts, this.tops] = [[], []];
    this.width = Math.max(plane.columns.length * size, text.length * 7.5 + 12) + 2;
    this.height = Math.max(plane.rows.length * size, 30) + 2;
    const frame = { x: 1, y: 1, width: this.width - 2, height: this.height - 2, class: "block" };
    const label = vector("text", { x: this.width / 2, y: this.height / 2 + 4, class: "size" });
    label.textContent = text;
    const cell = vector("g", { role: "gridcell", id: `${this.name}-current` }, vector("rect", frame), label);
    this.svg.append(vector("g", { role: "row" }, cell));
  }

  buildCells(plane) {
    this.headers = [[], []];
    this.gaps = [];
    const headings = vector("g", { class: "headings", "aria-hidden": "true" });
    const top = vector("g", { role: "row", class: "headings" });
    plane.column_headers.forEach((_, c) => {
      const band = vector("rect", { x: this.lefts[c] + 0.5, y: 0, width: this.cellWidth - 1, height: HEADER - 2 });
      const text = vector("text", { x: this.lefts[c] + this.cellWidth / 2, y: 10, class: "header middle" });
      top.append(vector("g", { role: "columnheader", id: this.idOf(-1, c) }, band, text));
      this.headers[1].push({ band, text });
    });
    if (plane.column_headers.length) this.svg.append(top);
    /** The first row and column that can have the focus: -1 is a header. */
    this.first = [plane.column_headers.length ? -1 : 0, plane.row_headers.length ? -1 : 0];
    this.cells = plane.rows.shown.map((_, r) => {
      const row = vector("g", { role: "row" });
      if (plane.row_headers.length) {
        const middle = this.tops[r] + this.cellHeight / 2;
        const band = vector("rect", { x: this.left - 4, y: this.tops[r] + 0.5, width: 3, height: this.cellHeight - 1 });
        const text = vector("text", { x: this.left - 7, y: middle + 3, class: "header end" });
        row.append(vector("g", { role: "rowheader", class: "headings", id: this.idOf(r, -1) }, band, text));
        this.headers[0].push({ band, text });
      }
      const cells = plane.columns.shown.map((_, c) => {
        const box = { x: this.lefts[c], y: this.tops[r], width: this.cellWidth, height: this.cellHeight };
        const rect = vector("rect", box);
        const text = vector("text", { x: box.x + box.width / 2, y: box.y + 22, class: "label" });
        row.append(vector("g", { role: "gridcell", id: `${this.name}-${r}-${c}` }, rect, text));
        return { rect, text };
      });
      this.svg.append(row);
      return cells;
    });
    for (const [after] of gapsOf(plane.rows)) {
      const text = vector("text", { x: this.left + 2, y: this.tops[after] + this.cellHeight + 15, class: "gap" });
      this.gaps.push(text);
      headings.append(text);
    }
    for (const [after] of gapsOf(plane.columns)) {
      const x = this.lefts[after] + this.cellWidth + this.columnGap / 2;
      const y = (this.tops[0] + this.tops.at(-1) + this.cellHeight) / 2 + (this.isTurned ? 0 : 4);
      const text = vector("text", { x, y, class: "gap middle" });
      if (this.isTurned) text.setAttribute("transform", `rotate(90 ${x} ${y})`);
      this.gaps.push(text);
      headings.append(text);
    }
    this.svg.append(headings);
  }

  /** Write a plane into the view, which is of its shape: labels, colours, and what is lit. */
  update(plane, lit, words, look) {
    this.plane = plane;
    const { layer } = plane.builder;
    const content = [plane.what, JSON.stringify(plane.coordinates), plane.rows.shown, plane.columns.shown].join();
    const key = [content, plane.builder.labels, look.colours, look.lang].join("|");
    if (this.drawn !== key || this.layer !== layer) {
      this.drawn = key;
      this.layer = layer;
      const label = plane.label.map((text) => say(words, text)).join(" · ");
      write(this.band, label);
      this.band.hidden = label === "";
      put(this.svg, "aria-label", label || "·");
      if (plane.mode === "digits") this.writeCells(plane, words, look);
      else if (plane.mode === "heat") this.drawPicture(plane, look);
    }
    this.showLight(plane, lit);
  }

  writeCells(plane, words, look) {
    let largest = 0;
    const cells = this.cells.map((row, r) => row.map((_, c) => plane.cell(r, c)));
    for (const { value } of cells.flat()) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
    cells.forEach((row, r) =>
      row.forEach(({ text, value, channel, padding, blank }, c) => {
        const view = this.cells[r][c];
        write(view.text, text);
        put(view.rect, "class", padding ? "padding" : blank ? "blank" : channelClass(channel, look.colours));
        view.rect.style.fill = look.colours === "values" && !padding && !blank ? valueColour(value, largest) : "";
      }),
    );
    const one = (list) => (list.every((channel) => channel === list[0]) ? list[0] : -1);
    const across = cells[0]?.map((_, c) => one(cells.map((row) => row[c].channel)));
    const down = cells.map((row) => one(row.map((cell) => cell.channel)));
    const isAcross = across?.every((channel) => channel >= 0);
    [plane.row_headers, plane.column_headers].forEach((headers, side) =>
      headers.forEach((header, i) => {
        const { band, text } = this.headers[side][i];
        write(text, header);
        put(band, "class", side ? bandClass(isAcross ? across[i] : -1) : bandClass(isAcross ? -1 : down[i]));
      }),
    );
    const counts = [...gapsOf(plane.rows), ...gapsOf(plane.columns)].map(([, count]) => count);
    const units = [...gapsOf(plane.rows).map(() => plane.rows.unit), ...gapsOf(plane.columns).map(() => plane.columns.unit)];
    this.gaps.forEach((text, i) => write(text, gapText(words, units[i], counts[i])));
    const flat = cells.flat();
    const own = one(flat.map((cell) => cell.channel));
    put(this.band, "class", `band ${bandClass(flat.length ? own : -1)}`);
  }

  drawPicture(plane, look) {
    const { layer } = plane.builder;
    const own = plane.builder.channel(plane.at(0, 0));
    put(this.band, "class", `band ${bandClass(own)}`);
    const width = plane.columns.length;
    const isImage = ["pixel", "tile-pixel"].includes(plane.what);
    const padded = isImage && layer.geometry.isPadded;
    const isPadding = (i) => padded && plane.cell(Math.floor(i / width), i % width).padding;
    const hue = look.colours === "channels" && (isImage || plane.what === "mean") ? own : -1;
    drawHeat(this.canvas, plane.values(), plane.rows.length, width, hue, isPadding);
  }

  showLight(plane, lit) {
    const marked = new Map(lit.map(([r, c, level, order]) => [r * 1e6 + c, [level, order]]));
    const isSmall = plane.mode === "heat" && this.cellWidth < SMALL && lit.length > 0;
    const isMany = isSmall && lit.length >= MANY;
    const small = () => (isMany ? this.spotsOf(lit) : this.frameOf(lit));
    const path = lit.length === 0 ? "" : isSmall ? small() : this.outlineOf(plane, marked);
    put(this.outline, "d", path);
    put(this.outline, "class", isMany ? "many" : "lit");
    put(this.halo, "d", plane.mode === "heat" && !isMany ? path : "");
    const points = isSmall ? [] : lit.filter(([, , level]) => level === FOCUS);
    fit(this.points, points.length, this.light, () => vector("rect", { class: "point" }));
    const inset = plane.mode === "digits" ? 3 : 0;
    points.forEach(([r, c], i) => {
      put(this.points[i], "x", this.lefts[c] + inset);
      put(this.points[i], "y", this.tops[r] + inset);
      put(this.points[i], "width", this.cellWidth - 2 * inset);
      put(this.points[i], "height", this.cellHeight - 2 * inset);
    });
    const orders = plane.mode === "digits" ? lit.filter(([, , , order]) => order > 0) : [];
    fit(this.numbers, orders.length, this.light, () => vector("text", { class: "order" }));
    orders.forEach(([r, c, , order], i) => {
      put(this.numbers[i], "x", this.lefts[c] + 4);
      put(this.numbers[i], "y", this.tops[r] + 9.5);
      write(this.numbers[i], String(order));
    });
  }

  /** Return every lit pixel, where they are too many and too small for edges. */
  spotsOf(lit) {
    const size = this.cellWidth;
    return lit.map(([r, c]) => `M${this.lefts[c]} ${this.tops[r]}h${size}v${size}h${-size}z`).join("");
  }

  /** Return a frame around pixels that are too small to be seen, wide enough to be found. */
  frameOf(lit) {
    const spread = (starts, list) => {
      const [first, last] = [starts[Math.min(...list)], starts[Math.max(...list)] + this.cellWidth];
      const extra = Math.max(0, LEAST_FRAME - (last - first)) / 2;
      return [first - extra, last + extra];
    };
    const [left, right] = spread(this.lefts, lit.map(([, c]) => c));
    const [top, bottom] = spread(this.tops, lit.map(([r]) => r));
    return `M${left} ${top}H${right}V${bottom}H${left}Z`;
  }

  /** Return the edges between lit cells and others. */
  outlineOf(plane, marked) {
    const [rowGaps, columnGaps] = [plane.rows, plane.columns].map((axis) => new Set(gapsOf(axis).map(([after]) => after)));
    const path = [];
    for (const key of marked.keys()) {
      const r = Math.floor(key / 1e6);
      const c = key % 1e6;
      const [left, top] = [this.lefts[c], this.tops[r]];
      const [right, bottom] = [left + this.cellWidth, top + this.cellHeight];
      if (rowGaps.has(r - 1) || !marked.has(key - 1e6)) path.push(`M${left} ${top}H${right}`);
      if (rowGaps.has(r) || !marked.has(key + 1e6)) path.push(`M${left} ${bottom}H${right}`);
      if (columnGaps.has(c - 1) || c === 0 || !marked.has(key - 1)) path.push(`M${left} ${top}V${bottom}`);
      if (columnGaps.has(c) || !marked.has(key + 1)) path.push(`M${right} ${top}V${bottom}`);
    }
    return path.join("");
  }

  /** Return the cell under a pointer: [r, c]; [r, -1] and [-1, c] are headers; null is none. */
  hit(event) {
    const box = this.svg.getBoundingClientRect();
    const scale = box.width / this.width;
    const x = (event.clientX - box.left) / scale;
    const y = (event.clientY - box.top) / scale;
    const c = x < this.left ? -1 : indexOf(this.lefts, this.cellWidth, x);
    const r = y < this.top ? -1 : indexOf(this.tops, this.cellHeight, y);
    if (r === null || c === null || (r < 0 && c < 0)) return null;
    return [r, c];
  }

  /** Return the id of a cell, which the panel names as its active one. */
  idOf(r, c) {
    if (this.mode === "digits") return `${this.name}-${r}-${c}`;
    if (this.plane.mode === "heat") put(this.current, "aria-label", this.plane.cell(r, c).text);
    return `${this.name}-current`;
  }
}

/** Return the words for what is left out. */
export function gapText(words, unit, count) {
  return `⋯ ${say(words, { key: `gap.${unit}`, values: { count } })}`;
}

function channelClass(channel, colours) {
  if (channel < 0 || colours === "values") return "plain";
  return `c${channel % CHANNEL_COLOURS}${channel >= CHANNEL_COLOURS ? " again" : ""}`;
}

function bandClass(channel) {
  if (channel < 0) return "";
  return `b${channel % CHANNEL_COLOURS}${channel >= CHANNEL_COLOURS ? " again" : ""}`;
}

function startsOf(axis, size, start, gap) {
  const gaps = new Set(gapsOf(axis).map(([after]) => after));
  return axis.shown.map((_, i) => {
    const here = start;
    start += size + (gaps.has(i) ? gap : 0);
    return here;
  });
}

function indexOf(starts, size, at) {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= at) low = middle;
    else high = middle - 1;
  }
  return high >= 0 && at >= starts[low] && at <= starts[low] + size ? low : null;
}

/** Make a list of elements so long, at the end of their parent. */
function fit(list, length, parent, make) {
  while (list.length < length) list.push(parent.appendChild(make()));
  while (list.length > length) list.pop().remove();
}
