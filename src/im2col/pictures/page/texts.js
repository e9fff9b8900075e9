// @ts-check
// What a sentence of the dictionary says: the twin of text/__init__.py.

/** Return a sentence in a language; values that are themselves sentences are said first, null says nothing. */
export function say(words, sentence) {
  if (sentence === null) return "";
  return words[sentence.key].replace(/\{(\w+)\}/g, (_, name) => saidValue(words, sentence.values[name]));
}

function saidValue(words, value) {
  if (typeof value === "object") return say(words, value);
  return Number.isInteger(value) ? String(value).replace(/\B(?=(\d{3})+$)/g, ",") : String(value);
}
