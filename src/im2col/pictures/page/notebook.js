// @ts-check
// The explorer in the frame of a notebook, which reads and sets the chapter, the selection and the theme.

import { NOTHING } from "./scene.js";

/** Tell the page around this one what is seen and how high it is, and do what it says; nobody else is listened to. */
export function joinNotebook(store, root) {
  const around = window.parent;
  let last = "";
  let isToldTo = false;
  let answered = 0; // the number of the latest demand
  const tell = (message) => around.postMessage({ im2col: message }, "*"); // a sandboxed page knows no origins
  const tellSeen = () => {
    if (isToldTo) return; // of several changes the last state counts
    const seen = { answered, chapter: store.chapter, selection: seenIn(store) };
    const text = JSON.stringify(seen);
    if (text !== last) tell(seen);
    last = text;
  };
  window.addEventListener("message", ({ source, data }) => {
    const wanted = source === around ? data?.im2col : null;
    if (!wanted) return;
    isToldTo = true;
    answered = wanted.asked ?? answered;
    if (["light", "dark"].includes(wanted.theme)) store.setLook({ theme: wanted.theme });
    if (wanted.chapter) store.setChapter(wanted.chapter);
    if (wanted.selection) store.select({ ...NOTHING, ...wanted.selection });
    isToldTo = false;
    last = ""; // who asked is told what has become of it, were it nothing
    tellSeen();
  });
  store.listen(tellSeen);
  tell({ begins: true });
  new ResizeObserver(() => tell({ height: Math.ceil(root.getBoundingClientRect().height) })).observe(root);
  tellSeen();
}

/** Return what stays selected when the pointer leaves. */
function seenIn({ pinned, cursor }) {
  return { ...NOTHING, ...(pinned ?? cursor) };
}
