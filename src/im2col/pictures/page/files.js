// @ts-check
// Photographs that are dropped on the page, or chosen: scaled down, as three channels of 0 to 255.

import { element } from "./dom.js";

const LONGEST = 224;

/** Take image files that are dropped anywhere, and return a button to choose one; `root` shows that it would. */
export function takeFiles(store, root, report) {
  const input = element("input", { type: "file", accept: "image/*", hidden: true, change: () => take(input.files[0]) });
  const button = element("button", { type: "button", click: () => input.click() });
  const take = async (file) => {
    if (!file) return;
    try {
      const { image, height, width } = await pixelsOf(file);
      report(store.bring(image, 3, height, width) ? "page.dropped" : "page.dropped.small");
    } catch {
      report("page.dropped.wrong");
    }
    input.value = "";
  };
  const isFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    root.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) root.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    root.classList.remove("dropping");
    take(event.dataTransfer.files[0]);
  });
  return { button, root: element("div", { class: "file" }, button, input) };
}

async function pixelsOf(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "#ffffff"; // what is transparent becomes white
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const image = new Float64Array(3 * height * width);
  for (let i = 0; i < height * width; i++) {
    for (let channel = 0; channel < 3; channel++) image[channel * height * width + i] = data[4 * i + channel];
  }
  return { image, height, width };
}
