// @ts-check
// The sum behind the selection: as text, as a sentence, and on the page with a tint for each channel.

import { tintOf } from "./colours.js";
import { element, put, write } from "./dom.js";
import { NOTHING, axis } from "./scene.js";
import { MOST_TERMS } from "./builder.js";
import { say } from "./texts.js";

/** Return a formula as one line, such as 12 = 5×2 + 3×(−1). */
export function formulaText(formula, words) {
  return piecesOf(formula, words).map(({ text }) => text).join("");
}

/** Return what the selection says, and its formula, as one sentence. */
export function told(scene, words) {
  const message = say(words, scene.message);
  const formula = formulaText(scene.formula, words);
  return formula ? `${message}: ${formula}` : message;
}

/** Return the parts of a formula's line; `term` is a product's place among those that are shown. */
function piecesOf(formula, words) {
  if (!formula) return [];
  const terms = formula.terms.map(([a, b], term) => ({ text: `${factorOf(a)}×${factorOf(b)}`, term }));
  if (formula.gap) {
    const [after, count] = formula.gap;
    terms.splice(after, 0, { text: `⋯ ${say(words, { key: "gap.terms", values: { count } })}` });
  }
  const sign = { text: formula.result ? " + " : ", " };
  const line = terms.flatMap((term, i) => (i ? [sign, term] : [term]));
  return formula.result ? [{ text: formula.result, isResult: true }, { text: " = " }, ...line] : line;
}

function factorOf(label) {
  return label.startsWith("−") || label.includes("+") ? `(${label})` : label;
}

/** The formula on the page: to point at a product is to point at its tap. */
export class FormulaView {
  constructor(store) {
    this.store = store;
    this.spans = [];
    this.taps = [];
    this.pointed = -1;
    this.root = element("p", {
      class: "formula",
      pointerover: (event) => this.point(event.target),
      pointerleave: () => this.point(null),
    });
  }

  point(node) {
    const at = this.spans.indexOf(node);
    if (at === this.pointed) return;
    this.pointed = at;
    const tap = at < 0 ? undefined : this.taps[at];
    const { position, filter, image } = this.store.selection;
    const isTerm = tap !== undefined && position !== null;
    this.store.point(isTerm ? { ...NOTHING, image, position, filter, tap } : null);
  }

  /** Write the formula of a scene; the elements of the one before are used again. */
  draw(scene) {
    const pieces = piecesOf(scene.formula, this.store.dictionary);
    const taps = scene.formula ? tapsOf(scene) : [];
    while (this.spans.length < pieces.length) this.spans.push(this.root.appendChild(element("span")));
    while (this.spans.length > pieces.length) this.spans.pop().remove();
    this.taps = pieces.map(({ term }) => (term === undefined ? undefined : taps[term]));
    pieces.forEach(({ text, term, isResult }, i) => {
      const { layer, selection } = scene;
      const tap = this.taps[i];
      const tint = tap === undefined ? "" : ` ${tintOf(layer.channelNumbers[layer.tapChannel(tap)])}`;
      const isPointed = tap !== undefined && selection.position !== null && tap === selection.tap;
      write(this.spans[i], text);
      put(this.spans[i], "class", term === undefined ? (isResult ? "result" : "") : `term${tint}${isPointed ? " pointed" : ""}`);
    });
  }
}

/** Return the tap of each product that is shown. */
function tapsOf({ layer, selection, formula }) {
  if (selection.position === null) return formula.terms.map(() => selection.tap);
  const read = Array.from({ length: layer.taps }, (_, tap) => tap).filter((tap) => layer.reads(selection.filter, tap));
  return axis(read.length, "terms", MOST_TERMS).shown.map((i) => read[i]);
}
