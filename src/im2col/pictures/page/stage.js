// @ts-check
// The stage: the panels of a scene with the signs between them, and what the pointer and the focus do on them.

import { element, put, write } from "./dom.js";
import { highlight } from "./highlight.js";
import { PlaneView, cellWidthFor, gapText, planeShape } from "./plane_view.js";
import { NOTHING, gapsOf } from "./scene.js";
import { makeScene } from "./story.js";
import { say } from "./texts.js";

const TALLEST = 780; // pixels of one column of planes

/** The panels on the page; it draws the store's scene and turns pointing into selections. */
export class Stage {
  constructor(store, root) {
    this.store = store;
    this.root = root;
    this.panels = [];
    this.scene = null;
    this.shape = "";
    this.pointsIntoElided = false;
  }

  /** Draw the store's state; return the scene of what is selected. */
  draw() {
    const { store } = this;
    const options = { channel: store.channel, labels: store.labels };
    const active = store.selection;
    // Rows that are shown stay where they are while the pointer is among them.
    const isAmongThem = store.hover !== null && store.pinned === null && this.pointsIntoElided;
    const anchor = isAmongThem ? { ...NOTHING, ...store.cursor } : active;
    const scene = makeScene(store.layer, store.chapters, store.chapter, anchor, options);
    const told = anchor === active ? scene : makeScene(store.layer, store.chapters, store.chapter, active, options);
    this.place(scene);
    let i = 0;
    for (const part of scene.parts) {
      if (typeof part !== "string") this.panels[i++].update(part, told, store);
    }
    this.scene = scene;
    return told;
  }

  /** Build the panels anew where the scene has others than those that stand there. */
  place(scene) {
    const kinds = JSON.stringify([scene.parts.map((part) => part.kind ?? part)]);
    if (kinds !== this.shape) {
      this.shape = kinds;
      this.panels = [];
      const hadFocus = this.root.contains(document.activeElement);
      this.root.replaceChildren(
        ...scene.parts.flatMap((part, i) => {
          if (typeof part === "string") return [];
          const panel = new PanelView(part.kind, `panel-${i}`, this);
          this.panels.push(panel);
          // A sign stays with the panel that follows it.
          const before = scene.parts[i - 1];
          const sign = before === undefined ? null : element("span", { class: "sign", "aria-hidden": "true" }, before);
          return [element("div", { class: "part" }, sign, panel.root)];
        }),
      );
      if (hadFocus) this.root.focus({ preventScroll: true }); // so that the explorer's keys go on working
    }
  }

  /** Return the selection that a cell of a plane means; r or c below 0 are the headers. */
  selectionOf(plane, r, c) {
    const { store } = this;
    const at = plane.at(Math.max(r, 0), Math.max(c, 0));
    const image = at.image ?? store.cursor.image;
    const filter = (number) => (store.isOne ? this.scene.layer.filterNumbers[number] : number);
    if (r < 0 || c < 0) {
      const side = r < 0 ? 2 : 1;
      const name = ["position", "tap", "filter"].find((one) => plane.coordinates[one]?.[side]);
      if (name === "position") return { ...NOTHING, image, position: at.position };
      if (name === "tap") return { ...NOTHING, image, tap: at.tap };
      return { ...NOTHING, image, position: store.cursor.position, filter: filter(at.filter ?? 0) };
    }
    switch (plane.what) {
      case "output":
      case "partial":
        return { ...NOTHING, image, position: at.position, filter: filter(at.filter) };
      case "stop":
      case "position-offset":
        return { ...NOTHING, image, position: at.position };
      case "entry":
      case "entry-address":
        return { ...NOTHING, image, position: at.position, tap: at.tap };
      case "weight":
        return { ...NOTHING, image, tap: at.tap, filter: filter(at.filter) };
      case "tap-offset":
        return { ...NOTHING, image, tap: at.tap };
      default:
        return { ...NOTHING, image, pixel: at.pixel };
    }
  }

  point(view, cell) {
    this.pointsIntoElided = cell !== null && [view.plane.rows, view.plane.columns].some((axis) => gapsOf(axis).length > 0);
    this.store.point(cell && this.selectionOf(view.plane, ...cell));
  }

  pin(view, cell) {
    this.pointsIntoElided = false;
    this.store.pin(this.selectionOf(view.plane, ...cell));
  }
}

/** One panel: its title, its planes, and one tab stop with a focus that moves. */
class PanelView {
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
    return ["maps", "product", "partials", "stops"].includes(this.kind);
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
    if (document.activeElement === this.grid) this.showFocus();
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
    const isFlowing = across === 1 && total > TALLEST;
    const columns = isFlowing ? Math.min(this.views.length, Math.ceil(total / TALLEST)) : across;
    this.grid.style.gridTemplateColumns = `repeat(${columns}, max-content)`;
    this.notes = [];
    const children = this.views.map((view) => view.root);
    const addNote = (after, unit, isRow) => {
      const note = element("div", { class: isRow ? "note row" : "note" });
      this.notes.push([note, unit]);
      children[after].append(note);
    };
    for (const [after] of gapsOf(panel.rows)) addNote(isFlowing ? after : (after + 1) * columns - columns, panel.rows.unit, true);
    for (const [after] of gapsOf(panel.columns)) addNote(after, panel.columns.unit, false);
    this.grid.replaceChildren(...children);
    this.focus = [Math.min(this.focus[0], this.views.length - 1), 0, 0];
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
    put(this.grid, "aria-activedescendant", view.plane.mode === "block" ? `${view.name}-current` : view.idOf(r, c));
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
    } else if ((event.key === "F2" || /^[\d.]$/.test(event.key)) && this.stage.edit) {
      if (!this.stage.edit(view, r, c, event.key === "F2" ? null : event.key)) return;
    } else if (step && !this.isOutput) {
      const row = r + step[0];
      const column = c + step[1];
      const isInside = row >= 0 && row < view.tops.length && column >= 0 && column < view.lefts.length;
      if (isInside) this.focus = [i, row, column];
      else this.focus = this.beyond(i, step, r, c);
      this.stage.store.pinned = null;
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
