// @ts-check
// Values are edited where they stand: in cells of the image and of the filters.

import { element } from "./dom.js";

/** Let the stage edit a cell: it returns whether that cell can be. */
export function makeEditor(store, stage, report) {
  return (view, r, c, typed = null) => {
    const { plane } = view;
    const at = plane.at(r, c);
    const cell = plane.cell(r, c);
    const isImage = ["pixel", "tile-pixel"].includes(plane.what) && !cell.padding;
    const isWeight = plane.what === "weight" && !cell.blank;
    if (plane.mode !== "digits" || !(isImage || isWeight) || store.labels === "letters") return false;
    const { layer } = stage.scene;
    const box = view.cells[r][c].rect.getBoundingClientRect();
    const input = element("input", { class: "editor", inputmode: "decimal", "aria-label": store.dictionary["page.edit"] });
    input.value = typed ?? String(cell.value);
    const panel = view.svg.closest("[role=grid]");
    let isDone = false;
    const close = (isKept) => {
      if (isDone) return;
      isDone = true;
      const value = Number(input.value.replace("−", "-"));
      const isNumber = input.value.trim() !== "" && Number.isFinite(value);
      const hadFocus = document.activeElement === input;
      input.remove();
      if (isKept && isNumber) store.edit(layer, at, value);
      else if (isKept) report("page.edit.wrong");
      if (hadFocus) panel.focus();
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") close(true);
      if (event.key === "Escape") close(false);
    });
    input.addEventListener("blur", () => close(true));
    input.style.cssText = `left:${box.left + window.scrollX}px;top:${box.top + window.scrollY}px;width:${box.width}px;height:${box.height}px`;
    document.getElementById("im2col").append(input);
    input.focus();
    if (typed === null) input.select();
    return true;
  };
}
