// @ts-check
// What can be chosen: chapters, orders, looks, shapes and presets. Only valid values can be.

import { element, put, write } from "./dom.js";
import { IMAGE_PRESETS, KERNEL_PRESETS } from "./presets.js";
import { LARGEST } from "./store.js";

const MODES = ["constant", "edge", "reflect", "symmetric", "wrap"];

/** The steps of the story. */
export class Chapters {
  constructor(store) {
    this.store = store;
    this.buttons = Object.keys(store.chapters).map((name, i) => {
      const text = element("span", { class: "word" });
      const number = element("span", { class: "number" }, String(i + 1));
      const button = element("button", { type: "button", click: () => store.setChapter(name) }, number, text);
      return { name, button, text };
    });
    this.root = element("nav", { class: "chapters" }, ...this.buttons.map(({ button }) => button));
  }

  draw() {
    const { store } = this;
    put(this.root, "aria-label", store.dictionary["page.chapters"]);
    for (const [i, { name, button, text }] of this.buttons.entries()) {
      const word = store.dictionary[`page.chapter.${name}`] ?? store.dictionary[`chapter.${name}`];
      write(text, word);
      put(button, "aria-label", `${i + 1} ${word}`); // on small screens only its number is seen
      put(button, "title", store.dictionary[`chapter.${name}`]);
      if (name === store.chapter) put(button, "aria-current", "step");
      else button.removeAttribute("aria-current");
    }
  }

  /** Go on or back by so many chapters. */
  move(by) {
    const names = Object.keys(this.store.chapters);
    const next = names[names.indexOf(this.store.chapter) + by];
    if (next) this.store.setChapter(next);
  }
}

/** Two words of which one holds. */
class Choice {
  constructor(store, label, values, get, set) {
    this.store = store;
    this.label = label;
    this.get = get;
    this.name = element("span", { class: "choice-name" });
    this.buttons = values.map((value) => {
      const button = element("button", { type: "button", click: () => set(value) });
      return { value, button };
    });
    this.root = element("div", { class: "choice", role: "group" }, this.name, ...this.buttons.map(({ button }) => button));
  }

  draw() {
    const words = this.store.dictionary;
    write(this.name, words[this.label]);
    put(this.root, "aria-label", words[this.label]);
    for (const { value, button } of this.buttons) {
      write(button, words[`page.choice.${value}`]);
      put(button, "aria-pressed", String(this.get() === value));
    }
  }
}

/** The choices of order and look. */
export function makeChoices(store) {
  const order = (value) => store.setOrder(value, store.shape.tapOrder);
  const taps = (value) => store.setOrder(store.shape.orientation, value);
  return [
    new Choice(store, "page.orientation", ["rows", "columns"], () => store.shape.orientation, order),
    new Choice(store, "page.taps", ["channel-first", "channel-last"], () => store.shape.tapOrder, taps),
    new Choice(store, "page.labels", ["values", "letters"], () => store.labels, (labels) => store.setLook({ labels })),
    new Choice(store, "page.colours", ["by-channel", "by-value"], () => `by-${store.colours.slice(0, -1)}`, (value) =>
      store.setLook({ colours: `${value.slice(3)}s` }),
    ),
  ];
}

/** The numbers of the shape: each offers what can be drawn, and no more. */
export class ShapeForm {
  constructor(store) {
    this.store = store;
    this.fields = [];
    this.title = element("h2");
    this.rows = element("div", { class: "fields" });
    this.reset = element("button", { type: "button", click: () => store.startAgain() });
    this.root = element("section", { class: "shape" }, this.title, this.rows);
    this.ndim = 0;
  }

  build() {
    const { store } = this;
    const axes = store.shape.spatial.map((_, i) => i);
    this.fields = [];
    const numbers = (key, get, set, count = axes) => {
      const inputs = count.map((axis) => this.stepper(key, axis, get, set, count.length > 1));
      const label = element("span", { class: "field-name" });
      this.fields.push({ key, label });
      return element("div", { class: "field", role: "group" }, label, element("span", { class: "steppers" }, ...inputs));
    };
    const list = (name) => [(axis) => store.shape[name][axis], (axis, n) => ({ [name]: replaced(store.shape[name], axis, n) })];
    const one = (name) => [() => store.shape[name], (_, n) => ({ [name]: n })];
    const padding = (side) => [
      (axis) => store.shape.padding[axis][side],
      (axis, n) => ({ padding: replaced(store.shape.padding, axis, replaced(store.shape.padding[axis], side, n)) }),
    ];
    const select = (key, values, get, set) => {
      const options = values.map((value) => element("option", { value }));
      const input = element("select", { change: () => set(input.value) }, ...options);
      const label = element("span", { class: "field-name" });
      this.fields.push({ key, label, select: input, options, get });
      return element("label", { class: "field" }, label, input);
    };
    const square = [0];
    this.rows.replaceChildren(
      numbers("page.spatial", ...list("spatial")),
      numbers("page.channels", ...one("channels"), square),
      numbers("page.filters", ...one("filters"), square),
      numbers("page.kernel", ...list("kernel")),
      numbers("page.stride", ...list("stride")),
      numbers("page.padding.before", ...padding(0)),
      numbers("page.padding.after", ...padding(1)),
      numbers("page.dilation", ...list("dilation")),
      numbers("page.groups", ...one("groups"), square),
      select("page.mode", MODES, () => store.shape.paddingMode, (paddingMode) => store.setShape({ paddingMode })),
      select("page.image", IMAGE_PRESETS, () => store.imagePreset, (name) => store.setImagePreset(name)),
      select("page.weights", KERNEL_PRESETS, () => store.kernelPreset, (name) => store.setKernelPreset(name)),
    );
  }

  /** Return a number with a button on either side; what cannot be drawn cannot be chosen. */
  stepper(key, axis, get, set, isMany) {
    const { store } = this;
    const allowed = (n) => store.allows({ ...store.shape, ...set(axis, n) });
    const next = (from, by) => {
      for (let n = from + by; n >= 0 && n <= LARGEST; n += by) if (allowed(n)) return n;
      return null;
    };
    const go = (by) => {
      const n = next(get(axis), by);
      if (n !== null) store.setShape(set(axis, n));
    };
    const less = element("button", { type: "button", class: "less", click: () => go(-1) }, "−");
    const more = element("button", { type: "button", class: "more", click: () => go(1) }, "+");
    const input = element("input", {
      inputmode: "numeric",
      size: "3",
      change: () => {
        const n = Number(input.value);
        if (/^\d+$/.test(input.value) && n <= LARGEST && allowed(n)) store.setShape(set(axis, n));
        input.value = String(get(axis));
      },
    });
    this.fields.push({ key, axis, input, less, more, get, next, isMany });
    return element("span", { class: "stepper" }, less, input, more);
  }

  draw() {
    const { store } = this;
    const words = store.dictionary;
    if (this.ndim !== store.shape.spatial.length) {
      this.ndim = store.shape.spatial.length;
      this.build();
    }
    write(this.title, words["page.shape"]);
    for (const field of this.fields) {
      const name = words[field.key];
      if (field.label) {
        write(field.label, name);
        put(field.select ?? field.label.parentElement, "aria-label", name);
      }
      if (field.select) {
        field.options.forEach((option) => write(option, words[`page.option.${option.value}`]));
        if (field.select.value !== field.get()) field.select.value = field.get();
      }
      if (field.input) {
        const axis = field.isMany ? ` ${"DHW".slice(-this.ndim)[field.axis]}` : "";
        const value = String(field.get(field.axis));
        if (document.activeElement !== field.input || field.input.value !== value) field.input.value = value;
        put(field.input, "aria-label", `${name}${axis}`);
        put(field.less, "aria-label", `${name}${axis} −`);
        put(field.more, "aria-label", `${name}${axis} +`);
        for (const [button, by] of [[field.less, -1], [field.more, 1]]) {
          const isLast = field.next(field.get(field.axis), by) === null;
          if (isLast && document.activeElement === button) field.input.focus(); // a disabled button has no focus
          button.disabled = isLast;
        }
      }
    }
  }
}

function replaced(list, at, value) {
  return list.map((one, i) => (i === at ? value : one));
}
