// @ts-check
// The menu of what can be taken away.

import { element, put, write } from "./dom.js";

/** A button and its menu; `runs` are the actions by name. It closes when it is left, and gives the focus back. */
export class Menu {
  constructor(store, runs) {
    this.store = store;
    this.button = element("button", {
      type: "button",
      class: "tool",
      "aria-haspopup": "menu",
      "aria-expanded": "false",
      click: () => this.toggle(),
    });
    this.entries = Object.entries(runs).map(([name, run]) => {
      const take = () => {
        this.close();
        run();
      };
      return { name, button: element("button", { type: "button", role: "menuitem", click: take }) };
    });
    this.list = element("div", { class: "menu", role: "menu", hidden: true }, ...this.entries.map(({ button }) => button));
    this.root = element("div", { class: "export", focusout: (event) => this.onLeave(event) }, this.button, this.list);
    this.list.addEventListener("keydown", (event) => this.onKey(event));
  }

  get isOpen() {
    return !this.list.hidden;
  }

  toggle() {
    if (this.isOpen) {
      this.close();
      return;
    }
    this.list.hidden = false;
    put(this.button, "aria-expanded", "true");
    this.entries[0].button.focus();
  }

  close() {
    this.button.focus();
    this.list.hidden = true;
    put(this.button, "aria-expanded", "false");
  }

  onLeave({ relatedTarget }) {
    if (!this.isOpen || this.root.contains(relatedTarget)) return;
    this.list.hidden = true;
    put(this.button, "aria-expanded", "false");
  }

  onKey(event) {
    const at = this.entries.findIndex(({ button }) => button === document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.entries[(at + step + this.entries.length) % this.entries.length].button.focus();
    else if (event.key === "Escape") this.close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  draw() {
    const words = this.store.dictionary;
    write(this.button, words["page.export"]);
    put(this.list, "aria-label", words["page.export"]);
    for (const { name, button } of this.entries) write(button, words[`page.export.${name}`]);
  }
}
