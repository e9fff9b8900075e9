// @ts-check
// The scrubber over all positions: play, pause, speed.

import { element, put, vector, write } from "./dom.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4];
const STEP = 800; // milliseconds at speed 1
const TRIANGLE = "M4 2L14 8L4 14Z";
const BARS = "M3 2H7V14H3ZM10 2H14V14H10Z";

/** The scrubber; it moves the store's cursor. */
export class Player {
  constructor(store) {
    this.store = store;
    this.timer = 0;
    this.isHeld = false; // the pointer is on the stage
    this.onStop = () => {};
    this.icon = vector("path");
    const icon = vector("svg", { width: 16, height: 16, viewBox: "0 0 17 16", "aria-hidden": "true" }, this.icon);
    this.button = element("button", { type: "button", class: "play", click: () => this.toggle() }, icon);
    this.range = element("input", {
      type: "range",
      min: "0",
      step: "1",
      class: "scrubber",
      input: () => store.moveTo({ position: Number(this.range.value) }),
    });
    this.count = element("output", { class: "count" });
    const options = SPEEDS.map((speed) => element("option", { value: speed }, `${speed}×`));
    this.speed = element("select", { class: "speed" }, ...options);
    this.speed.value = "1";
    this.root = element("div", { class: "player" }, this.button, this.range, this.count, this.speed);
  }

  get isPlaying() {
    return this.timer !== 0;
  }

  toggle() {
    if (this.isPlaying) this.stop();
    else this.play();
  }

  play() {
    const { store } = this;
    if (store.cursor.position === store.layer.positions - 1) store.moveTo({ position: 0 });
    const step = () => {
      this.timer = window.setTimeout(step, STEP / Number(this.speed.value));
      if (this.isHeld) return;
      if (store.cursor.position === store.layer.positions - 1) this.stop();
      else store.moveTo({ position: store.cursor.position + 1 });
    };
    this.timer = window.setTimeout(step, STEP / Number(this.speed.value));
    this.draw();
  }

  /** Stop, and tell that to `onStop` if it was playing: a page that opens has nothing to tell yet. */
  stop() {
    const { isPlaying } = this;
    window.clearTimeout(this.timer);
    this.timer = 0;
    this.draw();
    if (isPlaying) this.onStop();
  }

  /** Show where the cursor is. */
  draw() {
    const { store } = this;
    const words = store.dictionary;
    const label = words[this.isPlaying ? "page.pause" : "page.play"];
    put(this.icon, "d", this.isPlaying ? BARS : TRIANGLE);
    put(this.button, "aria-label", label);
    put(this.button, "title", `${label} (${words["page.key.space"]})`);
    put(this.range, "max", store.layer.positions - 1);
    if (this.range.value !== String(store.cursor.position)) this.range.value = String(store.cursor.position);
    put(this.range, "aria-label", words["page.position"]);
    put(this.speed, "aria-label", words["page.speed"]);
    const digits = (n) => n.toLocaleString("en");
    write(this.count, `${digits(store.cursor.position + 1)} / ${digits(store.layer.positions)}`);
  }
}
