// @ts-check
// The stage: the panels of a scene with the signs between them, and what the pointer and the focus do on them.

import { element } from "./dom.js";
import { LEAST_SCALE, PanelView } from "./panel_view.js";
import { NOTHING, gapsOf } from "./scene.js";
import { factorsOf } from "./separable.js";
import { makeScene } from "./story.js";
import { tilesOf } from "./winograd.js";

const MOST_ENLARGED = 1.5;
const COMFORTABLE = 440; // pixels of height up to which a picture is enlarged

/** The panels on the page; it draws the store's scene and turns pointing into selections. */
export class Stage {
  constructor(store, root) {
    this.store = store;
    this.root = root;
    this.panels = [];
    this.scene = null;
    this.shape = "";
    this.pointsIntoElided = false;
    this.scale = 1;
    this.isWrapped = false;
    this.fitted = {};
    this.room = 0;
    new ResizeObserver(([entry]) => {
      if (entry.contentRect.width === this.room) return;
      this.room = entry.contentRect.width;
      this.fitted = {};
      if (this.scene) this.fit();
    }).observe(root);
  }

  /** Draw the store's state; return the scene of what is selected. */
  draw() {
    const { store } = this;
    const options = { channel: store.channel, labels: store.labels };
    const active = store.selection;
    // Rows that are shown stay where they are while the pointer is among them.
    const isAmongThem = store.hover !== null && store.pinned === null && this.pointsIntoElided;
    const cursor = { ...NOTHING, ...store.cursor };
    const anchor = isAmongThem ? cursor : active.position === null ? { ...cursor, ...toldBy(active) } : active;
    const scene = makeScene(store.layer, store.chapters, store.chapter, anchor, options);
    const told = anchor === active ? scene : makeScene(store.layer, store.chapters, store.chapter, active, options);
    this.place(scene);
    this.scene = scene;
    let i = 0;
    for (const part of scene.parts) {
      if (typeof part !== "string") this.panels[i++].update(part, told, store);
    }
    this.fit();
    return told;
  }

  /** Draw everything so large that it stands in one row, if it can be read then; wrapped panels shrink to the page. */
  fit() {
    const { store, fitted, panels } = this;
    const width = panels.reduce((sum, panel) => sum + panel.natural.width, 0);
    const height = Math.max(...panels.map((panel) => panel.natural.height));
    const isSame = fitted.chapter === store.chapter && fitted.layer === store.layer && fitted.lang === store.lang;
    // It does not grow back while the scrubber runs: nothing is to jump.
    if (!isSame || width > fitted.width || height > fitted.height) {
      this.fitted = { chapter: store.chapter, layer: store.layer, lang: store.lang, width, height };
      let high = Math.min(MOST_ENLARGED, Math.max(1, COMFORTABLE / height));
      let low = LEAST_SCALE;
      // Tall pictures begin at the top; small ones stand on one middle line.
      this.root.classList.toggle("tall", height > COMFORTABLE);
      this.isWrapped = !this.isOneRowAt(high) && !this.isOneRowAt(low);
      if (!this.isWrapped && !this.isOneRowAt(high)) {
        while (high - low > 0.02) {
          const middle = (low + high) / 2;
          if (this.isOneRowAt(middle)) low = middle;
          else high = middle;
        }
        high = low;
      }
      this.scale = this.isWrapped ? 1 : high;
    }
    for (const panel of panels) panel.resize(this.scale, this.isWrapped);
  }

  isOneRowAt(scale) {
    for (const panel of this.panels) panel.resize(scale, false);
    const [first, ...others] = [...this.root.children].map((part) => part.getBoundingClientRect());
    return others.every((box) => box.top < first.bottom) && this.panels.every((panel) => !panel.isCut);
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
      const name = ["position", "tile", "tap", "filter"].find((one) => plane.coordinates[one]?.[side]);
      if (name === "position") return { ...NOTHING, image, position: at.position };
      if (name === "tile") return { ...NOTHING, image, position: this.firstOf(at.tile) };
      if (name === "tap") return { ...NOTHING, image, tap: at.tap };
      return { ...NOTHING, image, position: store.cursor.position, filter: filter(at.filter ?? 0) };
    }
    switch (plane.what) {
      case "output":
      case "factor-output":
      case "partial":
        return { ...NOTHING, image, position: at.position, filter: filter(at.filter) };
      case "stop":
      case "position-offset":
        return { ...NOTHING, image, position: at.position };
      case "entry":
      case "entry-address":
        return { ...NOTHING, image, position: at.position, tap: at.tap };
      case "weight":
      case "factor-rest":
        return { ...NOTHING, image, tap: at.tap, filter: filter(at.filter) };
      case "tap-offset":
        return { ...NOTHING, image, tap: at.tap };
      case "pixel":
      case "tile-pixel":
      case "address":
      case "sum":
      case "count":
      case "mean":
        return { ...NOTHING, image, pixel: at.pixel };
      default:
        return { ...NOTHING, image, ...this.meaningOf(plane.what, at) };
    }
  }

  /** Return what a cell of the chapters on tiles and factors means: a pixel that it shows, or what it is computed for. */
  meaningOf(what, at) {
    const { layer } = this.scene;
    const [filter] = layer.filterNumbers;
    switch (what) {
      case "tile-entry": {
        const pixel = tilesOf(layer).pixel(at.tile, at.element);
        return pixel < 0 ? { position: this.firstOf(at.tile) } : { pixel };
      }
      case "tile-result": {
        const position = tilesOf(layer).position(at.tile, at.result);
        return { position: position < 0 ? this.firstOf(at.tile) : position };
      }
      case "tile-value":
      case "tile-product":
        return { position: this.firstOf(at.tile) };
      case "tile-of-weights":
        return { tap: at.weight, filter };
      case "factor-entry":
        return { pixel: factorsOf(layer).pixel(at.place, at.down) };
      case "factor-column":
        return { tap: factorsOf(layer).tapOf(at.down, null), filter };
      case "factor-row":
        return { tap: factorsOf(layer).tapOf(null, at.across), filter };
      case "factor-middle":
        return { position: factorsOf(layer).reader(at.place) };
      case "factor-middle-entry":
        return { position: at.position };
      default: // what all tiles share
        return { position: this.store.cursor.position };
    }
  }

  /** Return the first position of a tile. */
  firstOf(tile) {
    return tilesOf(this.scene.layer).position(tile, 0);
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

/** Return what a selection says: its numbers without the nulls. */
function toldBy(selection) {
  return Object.fromEntries(Object.entries(selection).filter(([, number]) => number !== null));
}
