// @ts-check
// The state in the URL's fragment: shapes, window, presets, chapter, selection, language; never values. And whether the
// picture stands alone, for pages that embed it and tell the story themselves.

import { IMAGE_PRESETS, KERNEL_PRESETS } from "./presets.js";
import { imageShape, weightsShape } from "./store.js";

/** Return the fragment that says what is on the page. */
export function fragmentOf(store) {
  const { shape, cursor, pinned } = store;
  const parts = {
    chapter: store.chapter,
    x: imageShape(shape).join(),
    w: weightsShape(shape).join(),
    stride: shape.stride.join(),
    padding: shape.padding.map((pair) => pair.join(":")).join(),
    dilation: shape.dilation.join(),
    groups: shape.groups,
    mode: shape.paddingMode,
    order: `${shape.orientation},${shape.tapOrder}`,
    image: store.imagePreset,
    kernel: store.kernelPreset,
    at: [cursor.image, cursor.position, cursor.filter].join(),
    pin: pinned ? ["position", "tap", "filter", "pixel"].map((name) => pinned[name] ?? "").join() : null,
    channel: store.channel || null,
    labels: store.labels === "letters" ? "letters" : null,
    lang: store.lang,
    part: store.part === "picture" ? "picture" : null,
  };
  const written = Object.entries(parts).filter(([, value]) => value !== null);
  return written.map(([name, value]) => `${name}=${value}`).join("&");
}

/** Bring a store to the state that a fragment says, as far as it is valid. */
export function readFragment(store, fragment) {
  const parts = Object.fromEntries(fragment.replace(/^#/, "").split("&").map((part) => part.split("=")));
  const numbers = (text) => (text ?? "").split(",").map(Number);
  const look = {};
  if (Object.hasOwn(store.words, parts.lang ?? "")) look.lang = parts.lang;
  if (["values", "letters"].includes(parts.labels)) look.labels = parts.labels;
  if (["whole", "picture"].includes(parts.part)) look.part = parts.part;
  if (Object.keys(look).length) store.setLook(look);
  if (parts.x && parts.w) {
    const [batch, channels, ...spatial] = numbers(parts.x);
    const [filters, , ...kernel] = numbers(parts.w);
    const [orientation, tapOrder] = (parts.order ?? "").split(",");
    const order = {
      orientation: orientation === "columns" ? "columns" : "rows",
      tapOrder: tapOrder === "channel-last" ? "channel-last" : "channel-first",
    };
    const shape = {
      ...{ batch, channels, spatial, filters, kernel, groups: Number(parts.groups ?? 1) },
      stride: numbers(parts.stride),
      padding: (parts.padding ?? "").split(",").map((pair) => pair.split(":").map(Number)),
      dilation: numbers(parts.dilation),
      paddingMode: ["edge", "reflect", "symmetric", "wrap"].includes(parts.mode) ? parts.mode : "constant",
      memory: spatial.length === store.shape.spatial.length ? store.shape.memory : `C${"DHW".slice(-spatial.length)}`,
    };
    const isComplete = shape.padding.every((pair) => pair.length === 2) && spatial.length >= 1 && spatial.length <= 3;
    if (isComplete && batch === store.shape.batch) store.setShape({ ...shape, ...order });
    if (IMAGE_PRESETS.includes(parts.image) && parts.image !== "given") store.setImagePreset(parts.image);
    if (KERNEL_PRESETS.includes(parts.kernel) && parts.kernel !== "given") store.setKernelPreset(parts.kernel);
  }
  if (parts.chapter) store.setChapter(parts.chapter);
  const channel = Number(parts.channel ?? 0);
  if (Number.isInteger(channel) && channel >= 0 && channel < store.layer.channels) store.setLook({ channel });
  const [image, position, filter] = numbers(parts.at);
  if ([image, position, filter].every(Number.isInteger)) store.moveTo({ image, position, filter });
  if (parts.pin) {
    const [position, tap, filter, pixel] = parts.pin.split(",").map((n) => (/^\d+$/.test(n) ? Number(n) : null));
    if ([position, tap, pixel].some((one) => one !== null)) store.pinWithin({ image: store.cursor.image, position, tap, filter, pixel });
  }
}
