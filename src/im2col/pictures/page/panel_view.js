// @ts-check
// One panel on the page: its planes, one tab stop with a focus that moves, and what pointing at it means.

import { element, put, write } from "./dom.js";
import { highlight } from "./highlight.js";
import { PlaneView, cellWidthFor, gapText, planeShape } from "./plane_view.js";
import { gapsOf } from "./scene.js";
import { say } from "./texts.js";

/** How much smaller than natural a picture may be drawn and still be read. */
export const LEAST_SCALE = 0.74;
const TALLEST = 780; // pixels of one column of planes
const BETWEEN = 12; // pixels between planes, as in style.css

/** One panel: its title, its planes, and one tab stop with a focus that moves. */
export class PanelView {
  constructor(kind, name, stage) {
    this.kind = kind;
    this.name = name;
    this.stage = stage;
    this.views = [];
    this.shape = "";
    this.labelLength = 1;
    this.measured = new Set();
    this.focus = [0, 0, 0];
    this.title = element("span", { class: "name" });
    this.size = element("span", { class: "size" });
    this.grid = element("div", {
      class: "planes",
      role: "grid",
      tabindex: "0",
      "aria-readonly": "true",
      pointermove: (event) => this.onPointer(event, false),
      pointerdown: (event) => this.onPointer(event, true),
      pointerleave: () => stage.store.point(null),
      click: (event) => this.onClick(event),
      dblclick: (event) => this.onEdit(event),
      focus: () => this.onFocus(),
      blur: () => this.onBlur(),
      keydown: (event) => this.onKey(event),
    });
    this.root = element("figure", { class: `panel ${kind}` }, element("figcaption", {}, this.title, " ", this.size), this.grid);
  }

  get isOutput() {
    return ["maps", "product", "partials", "stops", "pair"].includes(this.kind);
  }

  update(panel, told, store) {
    const words = store.dictionary;
    write(this.title, say(words, panel.title));
    write(this.size, say(words, panel.size));
    put(this.grid, "aria-label", `${say(words, panel.title)}, ${say(words, panel.size)}`);
    if (this.layer !== told.layer || store.labels !== this.labels) {
      this.labelLength = 1;
      this.measured.clear();
    }
    this.layer = told.layer;
    this.labels = store.labels;
    for (const plane of panel.planes) this.measure(plane); // cells only grow while the scrubber runs
    const width = cellWidthFor(this.labelLength);
    const gaps = [panel.rows, panel.columns].map(gapsOf);
    const shapes = panel.planes.map((plane) => planeShape(plane, width));
    const shape = JSON.stringify([shapes, panel.columns.shown.length, gaps.map((list) => list.map(([after]) => after))]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.build(panel, width);
    }
    this.notes.forEach(([note, unit], i) => write(note, gapText(words, unit, [...gaps[0], ...gaps[1]][i][1])));
    panel.planes.forEach((plane, i) => {
      this.views[i].update(plane, highlight(told.layer, plane, told.selection), words, store);
    });
    if (document.activeElement === this.grid) {
      if (this.isOutput) this.focusOnCursor();
      this.showFocus();
    }
  }

  /** Make room for a plane's labels; what was measured once is not measured again. */
  measure(plane) {
    const key = [plane.what, JSON.stringify(plane.coordinates), plane.rows.shown, plane.columns.shown].join();
    if (plane.mode !== "digits" || this.measured.has(key)) return;
    this.measured.add(key);
    for (const [r, c] of plane.cells()) this.labelLength = Math.max(this.labelLength, plane.cell(r, c).text.length);
  }

  build(panel, width) {
    this.views = panel.planes.map((plane, i) => new PlaneView(plane, width, `${this.name}-${i}`));
    const across = panel.columns.shown.length;
    const total = this.views.reduce((sum, view) => sum + view.height + 34, 0);
    const hasHeaders = panel.planes.some((plane) => plane.row_headers.length + plane.column_headers.length > 0);
    const isFlowing = across === 1 && total > TALLEST && !hasHeaders;
    const columns = isFlowing ? Math.min(this.views.length, Math.ceil(total / TALLEST)) : across;
    this.grid.style.gridTemplateColumns = `repeat(${columns}, max-content)`;
    this.notes = [];
    const children = this.views.map((view) => view.root);
    const addNote = (after, unit, isRow) => {
      const note = element("div", { class: isRow ? "note row" : "note" });
      this.notes.push([note, unit]);
      children[after].append(note);
    };
    const firsts = isFlowing ? gapsOf(panel.rows).map(([after]) => after + 1) : []; // each begins a new row
    for (const i of firsts) children[i].style.gridColumn = "1";
    for (const [after] of gapsOf(panel.rows)) addNote(isFlowing ? after : (after + 1) * columns - columns, panel.rows.unit, true);
    for (const [after] of gapsOf(panel.columns)) addNote(after, panel.columns.unit, false);
    this.grid.replaceChildren(...children);
    const [i, r, c] = this.focus;
    const view = this.views[Math.min(i, this.views.length - 1)];
    const within = (at, list) => Math.max(0, Math.min(at, list.length - 1));
    this.focus = [this.views.indexOf(view), within(r, view.tops), within(c, view.lefts)];
    this.natural = sizeOf(this.views, columns, firsts);
    this.asked = 0; // a scale, from the stage
  }

  /** Draw the planes larger or smaller; `isCapped`: no wider than the page, as long as they can be read. */
  resize(scale, isCapped) {
    const isSame = scale === this.asked && isCapped === this.isCapped;
    if (isSame) return;
    [this.asked, this.isCapped] = [scale, isCapped];
    for (const view of this.views) view.resize(scale);
    if (!isCapped || !this.isCut) return;
    const { width } = this.natural;
    const smaller = scale - (this.grid.scrollWidth - this.grid.clientWidth) / width;
    for (const view of this.views) view.resize(Math.max(LEAST_SCALE, smaller));
  }

  /** Whether it is wider than the page. */
  get isCut() {
    return this.grid.scrollWidth > this.grid.clientWidth;
  }

  viewOf(event) {
    return this.views.find((view) => view.root.contains(event.target));
  }

  onPointer(event, isTouch) {
    if (isTouch && event.pointerType !== "touch") return;
    const view = this.viewOf(event);
    const cell = view?.lefts.length ? view.hit(event) : null;
    this.stage.point(view, cell);
  }

  onClick(event) {
    const view = this.viewOf(event);
    const cell = view?.lefts.length ? view.hit(event) : null;
    if (!cell) return;
    this.focus = [this.views.indexOf(view), Math.max(cell[0], 0), Math.max(cell[1], 0)];
    this.stage.pin(view, cell);
  }

  onEdit(event) {
    const view = this.viewOf(event);
    const cell = view?.lefts.length ? view.hit(event) : null;
    if (cell && cell[0] >= 0 && cell[1] >= 0) this.stage.edit?.(view, ...cell);
  }

  onFocus() {
    if (this.isOutput) this.focusOnCursor();
    this.showFocus();
    if (this.grid.matches(":focus-visible")) this.pointAtFocus();
  }

  onBlur() {
    this.grid.classList.remove("focused");
    this.stage.store.point(null);
  }

  /** Put the focus on the cell of the cursor. */
  focusOnCursor() {
    const { position, filter } = this.stage.scene.selection.position === null ? this.stage.store.cursor : this.stage.scene.selection;
    this.views.forEach((view, i) => {
      const { plane } = view;
      for (const [r, c] of plane.mode === "block" ? [] : plane.cellsWith("position", position)) {
        const at = plane.at(r, c);
        if (at.filter === undefined || at.filter === (filter ?? 0)) this.focus = [i, r, c];
      }
    });
  }

  showFocus() {
    const [i, r, c] = this.focus;
    const view = this.views[i];
    if (!view) return;
    const id = view.idOf(r, c);
    put(this.grid, "aria-activedescendant", id);
    if (this.isCut) document.getElementById(id).scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  pointAtFocus() {
    const [i, r, c] = this.focus;
    if (this.views[i].plane.mode !== "block") this.stage.point(this.views[i], [r, c]);
  }

  onKey(event) {
    const [i, r, c] = this.focus;
    const view = this.views[i];
    if (!view || view.plane.mode === "block" || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (event.key === "Enter") {
      this.stage.pin(view, [r, c]);
    } else if ((event.key === "F2" || /^[-−\d.]$/.test(event.key)) && this.stage.edit) {
      if (!this.stage.edit(view, r, c, event.key === "F2" ? null : event.key)) return;
    } else if (step && !this.isOutput) {
      const row = r + step[0];
      const column = c + step[1];
      const [top, left] = view.first;
      const isCorner = row < 0 && column < 0;
      const isInside = row >= top && row < view.tops.length && column >= left && column < view.lefts.length && !isCorner;
      if (isInside) this.focus = [i, row, column];
      else this.focus = this.beyond(i, step, r, c);
      this.stage.store.unpin();
      this.showFocus();
      this.pointAtFocus();
    } else {
      return; // the explorer's own keys
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** Return the focus in the plane that lies behind the edge of another, or the same one where none does. */
  beyond(i, [down, right], r, c) {
    const next = this.views[i + Math.sign(down + right)];
    if (!next || next.plane.mode === "block") return [i, r, c];
    const last = [next.tops.length - 1, next.lefts.length - 1];
    if (down) return [i + down, down > 0 ? 0 : last[0], Math.min(c, last[1])];
    return [i + right, Math.min(r, last[0]), right > 0 ? 0 : last[1]];
  }
}

/** Return how wide and high planes are together, before they are scaled. */
function sizeOf(views, columns, firsts) {
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
  const rows = [];
  views.forEach((view, i) => {
    if (i === 0 || firsts.includes(i) || rows.at(-1).length === columns) rows.push([]);
    rows.at(-1).push(view);
  });
  const heights = rows.map((row) => Math.max(...row.map((view) => view.height)));
  const widths = Array.from({ length: columns }, (_, c) => Math.max(...rows.map((row) => row[c]?.width ?? 0)));
  return { width: sum(widths), height: sum(heights) + BETWEEN * (rows.length - 1) };
}
