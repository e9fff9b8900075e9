// @ts-check
// Numbers and letters, short enough for a cell: the twin of labels.py.

const SHORT_DIGITS = 3;
const LONGEST_INTEGER = 100_000; // from here on integers are rounded to three digits

/** Return a number in at most about seven characters; ties are rounded away from zero, the minus is typographic. */
export function short(value) {
  if (Number.isNaN(value)) return "NaN";
  const sign = value < 0 ? "−" : "";
  const magnitude = Math.abs(value);
  if (magnitude === Infinity) return `${sign}∞`;
  if (Number.isInteger(value) && magnitude < LONGEST_INTEGER) return sign + magnitude;
  // toExponential and toFixed round the exact value, and ties upwards.
  const [digits, power] = magnitude.toExponential(SHORT_DIGITS - 1).split("e");
  const exponent = Number(power);
  if (-SHORT_DIGITS <= exponent && exponent < 5) {
    return sign + withoutZeros(magnitude.toFixed(Math.max(0, SHORT_DIGITS - 1 - exponent)));
  }
  return `${sign}${withoutZeros(digits)}e${exponent}`.replace("-", "−");
}

function withoutZeros(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Return the letter of an array's element, as papers write it: "x12", or "x2,1,11" where indices may be longer. */
export function letter(name, index, shape) {
  const kept = index.filter((_, i) => shape[i] > 1);
  return name + (kept.length ? kept : [0]).join(Math.max(...shape) > 10 ? "," : "");
}
