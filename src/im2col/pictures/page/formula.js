// @ts-check
// The sum behind the selection, as words and as text.

import { say } from "./texts.js";

/** Return a formula as one line, such as 12 = 5×2 + 3×(−1). */
export function formulaText(formula, words) {
  if (!formula) return "";
  const terms = formula.terms.map(([a, b]) => `${factorOf(a)}×${factorOf(b)}`);
  if (formula.gap) {
    const [after, count] = formula.gap;
    terms.splice(after, 0, `⋯ ${say(words, { key: "gap.terms", values: { count } })}`);
  }
  return formula.result ? `${formula.result} = ${terms.join(" + ")}` : terms.join(", ");
}

/** Return what the selection says, and its formula, as one sentence. */
export function told(scene, words) {
  const message = say(words, scene.message);
  const formula = formulaText(scene.formula, words);
  return formula ? `${message}: ${formula}` : message;
}

function factorOf(label) {
  return label.startsWith("−") || label.includes("+") ? `(${label})` : label;
}
