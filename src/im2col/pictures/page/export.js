// @ts-check
// What can be taken away: the picture as SVG and PNG, a link, and NumPy code that computes what is shown.

import { formulaText, told } from "./formula.js";
import { vector } from "./dom.js";
import { imageShape, weightsShape } from "./store.js";
import { say } from "./texts.js";

const MARGIN = 28;
const FONT = 'system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif';
const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-weight", "text-anchor"];
const MOST_VALUES = 400;

/** Return the picture on the stage as an SVG document with literal colours, on light paper. */
export function svgOf(store, stage, scene) {
  const theme = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
  try {
    return named(composed(store, stage, scene));
  } finally {
    document.documentElement.dataset.theme = theme;
  }
}

/** Return a document as text whose ids are its own: a page may hold many, and hide the one that defines an id first. */
function named(svg) {
  const text = () => new XMLSerializer().serializeToString(svg);
  let hash = 0x811c9dc5; // FNV-1a
  for (const byte of new TextEncoder().encode(text())) hash = Math.imul(hash ^ byte, 0x01000193);
  const name = `im2col-${(hash >>> 0).toString(16).padStart(8, "0")}`;
  for (const node of svg.querySelectorAll("[id]")) node.id = `${name}-${node.id}`;
  for (const node of svg.querySelectorAll('[fill^="url(#"]')) {
    node.setAttribute("fill", node.getAttribute("fill").replace("url(#", `url(#${name}-`));
  }
  return text();
}

function composed(store, stage, scene) {
  const words = store.dictionary;
  const frame = stage.root.getBoundingClientRect();
  const title = say(words, scene.title);
  const lines = [say(words, scene.message), formulaText(scene.formula, words)].filter(Boolean);
  // What can be scrolled to is in the picture too.
  const rights = [...stage.root.querySelectorAll(".grid > svg, .band, figcaption span")].map((node) => node.getBoundingClientRect().right);
  const width = Math.max(480, ...rights.map((right) => Math.ceil(right - frame.left))) + 2 * MARGIN;
  const caption = wrapped(say(words, scene.caption), width - 2 * MARGIN);
  const foot = lines.flatMap((line) => wrapped(line, width - 2 * MARGIN));
  const top = MARGIN + 54 + 19 * (caption.length + 1);
  const bottom = top + frame.height + 30;
  const height = bottom + 19 * foot.length + MARGIN - 14;
  const svg = vector("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "font-family": FONT, lang: store.lang });
  svg.append(described("title", title), described("desc", `${say(words, scene.caption)} ${told(scene, words)}`));
  svg.append(copied(document.getElementById("im2col-patterns").querySelector("defs")));
  svg.append(vector("rect", { width, height, fill: "#ffffff" }));
  svg.append(lineOf(title, MARGIN, MARGIN + 18, 20, { "font-weight": "600" }));
  [...caption, say(words, scene.counter)].forEach((line, i) => svg.append(lineOf(line, MARGIN, MARGIN + 46 + 19 * i, 13)));
  foot.forEach((line, i) => svg.append(lineOf(line, MARGIN, bottom + 19 * i, 13)));
  const place = (node) => {
    const box = node.getBoundingClientRect();
    return [box.left - frame.left + MARGIN, box.top - frame.top + top, box.width, box.height];
  };
  for (const node of stage.root.querySelectorAll("figcaption span, .sign, .band, .note")) {
    if (!node.textContent || node.hidden) continue;
    const [x, y, w, h] = place(node);
    const style = getComputedStyle(node);
    if (node.classList.contains("band")) svg.append(vector("rect", { x, y, width: w, height: h, fill: hex(style.backgroundColor) }));
    const size = parseFloat(style.fontSize);
    const inset = parseFloat(style.paddingLeft);
    const look = { fill: hex(style.color), "font-weight": style.fontWeight };
    if (style.writingMode.startsWith("vertical")) {
      const middle = { transform: `translate(${x + w / 2 - size * 0.36} ${y + h / 2}) rotate(90)`, "text-anchor": "middle" };
      svg.append(lineOf(node.textContent, 0, 0, size, { ...look, ...middle }));
    } else {
      svg.append(lineOf(node.textContent, x + inset, y + h / 2 + size * 0.36, size, look));
    }
  }
  for (const canvas of stage.root.querySelectorAll("canvas")) {
    const [x, y, w, h] = place(canvas);
    const style = "image-rendering: pixelated";
    svg.append(vector("image", { x, y, width: w, height: h, href: canvas.toDataURL(), preserveAspectRatio: "none", style }));
  }
  for (const plane of stage.root.querySelectorAll(".grid > svg")) {
    const [x, y] = place(plane);
    const scale = plane.getAttribute("width") / plane.viewBox.baseVal.width;
    const group = vector("g", { transform: `translate(${x} ${y}) scale(${scale})` });
    for (const child of plane.children) group.append(copied(child, scale));
    svg.append(group);
  }
  return svg;
}

/** Return a copy of an element whose colours are literal; strokes are as wide whatever the scale. */
function copied(node, scale = 1) {
  const copy = node.cloneNode(false);
  for (const name of ["class", "style", "role", "id", "aria-hidden"]) if (name !== "id" || !node.closest("defs")) copy.removeAttribute(name);
  if (["rect", "text", "path"].includes(node.localName)) {
    const style = getComputedStyle(node);
    for (const name of STYLES) {
      const value = style.getPropertyValue(name);
      if (name === "stroke-width") copy.setAttribute(name, parseFloat(value) / scale);
      else if (value && value !== "none" && !(name === "font-weight" && value === "400")) copy.setAttribute(name, hex(value));
      else if (name === "fill") copy.setAttribute(name, "none");
    }
  }
  for (const child of node.childNodes) copy.append(child.nodeType === Node.TEXT_NODE ? child.cloneNode() : copied(child, scale));
  return copy;
}

/** Return a colour as #rrggbb, and anything else as it is. */
function hex(value) {
  if (value.startsWith("url(")) return value.replace(/url\("?[^#]*(#[^")]+)"?\).*/, "url($1)");
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  if (!/^(rgb|color|#)/.test(value)) return value;
  context.fillStyle = value;
  context.fillRect(0, 0, 1, 1);
  return `#${[...context.getImageData(0, 0, 1, 1).data.slice(0, 3)].map((n) => n.toString(16).padStart(2, "0")).join("")}`;
}

function described(name, text) {
  const node = vector(name);
  node.textContent = text;
  return node;
}

function lineOf(text, x, y, size, attributes = {}) {
  const node = vector("text", { x, y, "font-size": size, fill: "#1f2430", ...attributes });
  node.textContent = text;
  return node;
}

function wrapped(text, width) {
  const context = document.createElement("canvas").getContext("2d");
  context.font = `13px ${FONT}`;
  const lines = [];
  let line = "";
  for (const piece of text.match(/[\u2e80-\uffef][，。、；：）]*|[^\s\u2e80-\uffef]+\s*|\s+/g) ?? []) {
    if (line && context.measureText(line + piece).width > width) {
      lines.push(line.trimEnd());
      line = piece;
    } else {
      line += piece;
    }
  }
  return line ? [...lines, line] : lines;
}

/** Return an SVG document as a PNG, twice its size. */
export async function pngOf(svg) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * image.width, 2 * image.height];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** Return Python code that computes what is shown. */
export function codeOf(store) {
  const { shape, layer } = store;
  const tuple = (values) => `(${values.join(", ")}${values.length === 1 ? "," : ""})`;
  const pairs = tuple(shape.padding.map(tuple));
  const window = `stride=${tuple(shape.stride)}, padding=${pairs}, dilation=${tuple(shape.dilation)}`;
  const mode = shape.paddingMode === "constant" ? "" : `, padding_mode="${shape.paddingMode}"`;
  const value = shape.paddingMode === "constant" && shape.paddingValue !== 0 ? `, padding_value=${pythonNumber(shape.paddingValue)}` : "";
  const order = `orientation="${shape.orientation}", tap_order="${shape.tapOrder}"`;
  const groups = shape.groups > 1 ? `, groups=${shape.groups}` : "";
  const kernel = shape.kernel.length > 1 ? tuple(shape.kernel) : `${shape.kernel[0]},`;
  const outputCount = shape.batch * shape.filters * layer.positions;
  const isWhole = Math.max(layer.image.length, layer.weights.length, outputCount) <= MOST_VALUES;
  const product = shape.orientation === "rows" ? "columns @ weights" : "weights @ columns";
  const outputs = Array.from({ length: isWhole ? outputCount : 0 }, (_, i) => {
    const map = Math.floor(i / layer.positions);
    return layer.output(Math.floor(map / shape.filters), map % shape.filters, i % layer.positions);
  });
  const dtype = value && !Number.isInteger(shape.paddingValue) ? ", float" : ""; // that can hold what pads it
  const arrays = isWhole
    ? [
        `x = np.array(${listOf(layer.image)}${dtype}).reshape(${tuple(imageShape(shape))})`,
        `w = np.array(${listOf(layer.weights)}).reshape(${tuple(weightsShape(shape))})`,
      ]
    : [
        `x = np.random.default_rng(0).random(${tuple(imageShape(shape))})  # your image`,
        `w = np.random.default_rng(1).random(${tuple(weightsShape(shape))})  # your filters`,
      ];
  return [
    "import numpy as np",
    "from im2col import conv, im2col, weight_matrix",
    "",
    ...arrays,
    `window = dict(${window}${mode}${value})`,
    `columns = im2col(x, ${shape.kernel.length > 1 ? kernel : `(${kernel})`}, ${order}, **window)`,
    `weights = weight_matrix(w, orientation="${shape.orientation}", tap_order="${shape.tapOrder}"${groups})`,
    `product = ${product}  # the whole layer`,
    `y = conv(x, w${groups}, **window)  # the same, through a view: no column matrix is made`,
    `assert np.allclose(product${shape.orientation === "rows" ? ".transpose(0, 2, 1)" : ""}.reshape(y.shape), y, equal_nan=True)`,
    ...(isWhole ? [`assert np.allclose(y.ravel(), ${listOf(outputs)}, equal_nan=True)  # what the page shows`] : []),
    "",
  ].join("\n");
}

function listOf(values) {
  return `[${[...values].map(pythonNumber).join(", ")}]`;
}

function pythonNumber(value) {
  return Number.isNaN(value) ? "np.nan" : value === Infinity ? "np.inf" : value === -Infinity ? "-np.inf" : String(value);
}

/** Let the browser save a file. */
export function download(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
