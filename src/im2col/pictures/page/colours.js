// @ts-check
// Colours of cells and of heat maps; those of CSS are in style.css. See colours.py.

const CHANNELS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
/** Colours after which a pattern tells channels apart. */
export const CHANNEL_COLOURS = CHANNELS.length;
const LOW = [0, 114, 178];
const HIGH = [230, 159, 0];
const GREY = [201, 206, 216]; // of what is no number
const NIGHT = [11, 13, 18];

/** Return the class of what has a channel's tint. */
export function tintOf(channel) {
  return channel < 0 ? "" : `tint-${channel % CHANNEL_COLOURS}`;
}

/** Return the CSS colour of a value: from blue through paper to orange, the fuller the larger. */
export function valueColour(value, largest) {
  if (Number.isNaN(value)) return "var(--line)";
  const isInfinite = Math.abs(value) === Infinity; // as full as the fullest number, and full where there is none
  const share = isInfinite ? 1 : largest === 0 ? 0 : Math.min(1, Math.abs(value) / largest);
  const mixed = (most) => `color-mix(in srgb, ${value > 0 ? "#E69F00" : "#0072B2"} ${(most * share).toFixed(1)}%, var(--paper))`;
  return `light-dark(${mixed(62)}, ${mixed(42)})`; // digits are to be read on it
}

/** Draw a heat map of a plane's values: an image from dark to light in its channel's hue, results around white. */
export function drawHeat(canvas, values, rows, columns, channel, isPadding) {
  const context = canvas.getContext("2d");
  const picture = context.createImageData(columns, rows);
  let low = 0;
  let high = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const hue = channel >= 0 ? rgbOf(CHANNELS[channel % CHANNELS.length]) : null;
  const bright = hue && low >= 0;
  const largest = Math.max(-low, high) || 1;
  for (let i = 0; i < values.length; i++) {
    const value = Math.max(bright ? 0 : -largest, Math.min(largest, values[i])); // infinities are as full as the fullest
    const share = Math.abs(value) / largest;
    for (let k = 0; k < 3; k++) {
      let shade;
      if (bright) {
        const dark = NIGHT[k] + (hue[k] - NIGHT[k]) * 0.35;
        shade = dark + (255 + (hue[k] - 255) * 0.25 - dark) * share;
      } else {
        shade = 255 + ((value > 0 ? HIGH : LOW)[k] - 255) * 0.9 * share;
      }
      picture.data[4 * i + k] = isPadding(i) ? 235 : Number.isNaN(value) ? GREY[k] : shade;
    }
    picture.data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

function rgbOf(colour) {
  return [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
}
