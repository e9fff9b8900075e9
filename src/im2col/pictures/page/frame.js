// @ts-check
// The frame of another page, if the explorer stands in one. A page of another host cannot be seen: nothing happens there.

/** Keep the frame as high as the picture in it: with the selection it grows, and only another width makes it lower. */
export function fitFrame(root) {
  const frame = window.frameElement;
  if (!frame) return;
  document.documentElement.style.overflowY = "hidden";
  let [width, height] = [0, 0];
  new ResizeObserver(() => {
    const box = root.getBoundingClientRect();
    height = box.width === width ? Math.max(height, box.height) : box.height;
    width = box.width;
    const border = frame.offsetHeight - frame.clientHeight;
    frame.style.height = `${Math.ceil(height) + border}px`;
  }).observe(root);
}

/** Be as light or as dark as the page around, also when it changes. */
export function followFrame(store) {
  const frame = window.frameElement;
  if (!frame) return;
  const follow = () => {
    const theme = getComputedStyle(frame).colorScheme;
    if (["light", "dark"].includes(theme) && theme !== store.theme) store.setLook({ theme });
  };
  new MutationObserver(follow).observe(frame.ownerDocument.documentElement, { attributes: true });
  follow();
}
