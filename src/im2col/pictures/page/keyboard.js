// @ts-check
// The explorer's keys; they count only while the explorer has the focus.

/** Listen to the keys of an element; panels take the keys that are theirs first. */
export function listenToKeys(root, { store, player, chapters, actions }) {
  const width = () => store.layer.geometry.outputShape.at(-1);
  const move = (by) => store.moveTo({ position: store.cursor.position + by });
  const turn = (by) => store.moveTo({ filter: store.cursor.filter + by });
  const keys = {
    ArrowLeft: () => move(-1),
    ArrowRight: () => move(1),
    ArrowUp: () => store.cursor.position >= width() && move(-width()),
    ArrowDown: () => store.cursor.position + width() < store.layer.positions && move(width()),
    PageUp: () => turn(-1),
    PageDown: () => turn(1),
    Home: () => store.moveTo({ position: 0 }),
    End: () => store.moveTo({ position: store.layer.positions - 1 }),
    " ": () => player.toggle(),
    "[": () => chapters.move(-1),
    "]": () => chapters.move(1),
    Enter: () => store.pin(store.selection),
    Escape: () => store.clear(),
    l: actions.language,
    d: actions.theme,
    e: actions.exports,
    "?": actions.help,
  };
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = keys[key];
    if (!action || isTaken(event.target, key)) return;
    event.preventDefault();
    action();
  });
}

/** Whether a control needs a key itself. */
function isTaken(target, key) {
  if (target.closest("dialog")) return key !== "?";
  if (target.closest(".menu")) return key !== "e";
  if (target.matches("input:not([type=range]), select, textarea")) return key !== "Escape";
  if (target.matches("button, a, summary")) return key === " " || key === "Enter";
  return target.matches("input[type=range]") && key.startsWith("Arrow");
}
