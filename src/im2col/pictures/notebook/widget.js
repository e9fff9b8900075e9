// The explorer in a notebook: its page in a frame of its own, which hears and tells what Python's traits say.

const FIRST_HEIGHT = 720; // pixels, until the page says how high it is

function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.title = model.get("title");
  // It may run its scripts and save files, and reaches nothing of the notebook.
  frame.setAttribute("sandbox", "allow-scripts allow-downloads");
  frame.setAttribute("allow", "clipboard-write");
  frame.style.cssText = `display:block;width:100%;height:${FIRST_HEIGHT}px;border:0;border-radius:8px`;
  const tell = (message) => frame.contentWindow?.postMessage({ im2col: message }, "*");
  const wanted = () => ({ chapter: model.get("chapter"), selection: model.get("selection") });
  let heard = null; // what the page has said last: it is not told that again, since it may be further by now
  let asked = 0; // a number for each demand: what the page said before it has met the latest one does not count
  let isHearing = false;
  const tellWanted = () => {
    if (heard && !isHearing && !same(heard, wanted())) tell({ asked: ++asked, ...wanted() });
  };
  let theme = "";
  const tellTheme = () => {
    const now = themeAround(el);
    if (now !== theme) tell({ theme: now });
    theme = now;
  };
  const hear = ({ source, data }) => {
    const told = source === frame.contentWindow ? data?.im2col : null;
    if (!told) return;
    if (told.height) frame.style.height = `${told.height}px`;
    if (told.begins) {
      // The page listens, perhaps anew: a frame that is moved is loaded again. Python's traits may have been set since.
      [heard, asked, theme] = [null, 0, ""];
      tellTheme();
    }
    if (!told.chapter || told.answered !== asked) return;
    const isFirst = heard === null;
    heard = told;
    if (isFirst) tellWanted();
    if (isFirst || same(told, wanted())) return;
    isHearing = true;
    model.set("chapter", told.chapter);
    model.set("selection", told.selection);
    isHearing = false;
    model.save_changes();
  };
  const observer = new MutationObserver(tellTheme);
  for (const node of [document.documentElement, document.body]) observer.observe(node, { attributes: true });
  window.addEventListener("message", hear);
  model.on("change:chapter", tellWanted);
  model.on("change:selection", tellWanted);
  frame.srcdoc = model.get("page");
  el.append(frame);
  return () => {
    observer.disconnect();
    window.removeEventListener("message", hear);
    model.off("change:chapter", tellWanted);
    model.off("change:selection", tellWanted);
  };
}

/** Whatever a notebook calls its themes, its text is light where they are dark. */
function themeAround(el) {
  const [red, green, blue] = getComputedStyle(el).color.match(/[\d.]+/g).map(Number);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "dark" : "light";
}

function same(a, b) {
  return a.chapter === b.chapter && Object.keys(a.selection).every((name) => a.selection[name] === b.selection[name]);
}

export default { render };
