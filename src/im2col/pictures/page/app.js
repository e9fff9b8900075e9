// @ts-check
// The explorer: it wires the store, the stage and the controls together.

import { fragmentOf, readFragment } from "./address.js";
import { Chapters, ShapeForm, makeChoices } from "./controls.js";
import { embedded } from "./data.js";
import { element, put, write } from "./dom.js";
import { makeEditor } from "./edit.js";
import { codeOf, download, pngOf, svgOf } from "./export.js";
import { takeFiles } from "./files.js";
import { FormulaView, told } from "./formula.js";
import { fitFrame, followFrame } from "./frame.js";
import { listenToKeys } from "./keyboard.js";
import { Menu } from "./menu.js";
import { joinNotebook } from "./notebook.js";
import { Player } from "./player.js";
import { Stage } from "./stage.js";
import { Store } from "./store.js";
import { say } from "./texts.js";

const HELP = ["arrows", "pages", "ends", "space", "brackets", "enter", "escape", "edit", "l", "d", "e", "question"];

/** Build the explorer. */
export async function startExplorer() {
  const data = await embedded();
  const store = new Store(data);
  const root = document.getElementById("im2col");
  const title = element("h1");
  const heading = element("h2", { class: "heading" });
  const caption = element("p", { class: "caption" });
  const counter = element("p", { class: "counter" });
  const message = element("p", { class: "message" });
  const formula = new FormulaView(store);
  const live = element("p", { class: "live", "aria-live": "polite" });
  const notice = element("p", { class: "notice", role: "status" });
  const stageRoot = element("div", { class: "stage", role: "group", tabindex: "-1" });
  const stage = new Stage(store, stageRoot);
  stage.edit = makeEditor(store, stage, (key) => say_(key));
  const player = new Player(store);
  const chapters = new Chapters(store);
  const choices = makeChoices(store);
  const shape = new ShapeForm(store);
  const file = takeFiles(store, root, (key) => say_(key));
  const channel = element("select", { change: () => store.setLook({ channel: Number(channel.value) }) });
  const channelField = element("label", { class: "field channel" }, element("span"), channel);
  let scene = null;
  let quiet = 0;

  const say_ = (key) => {
    write(notice, store.dictionary[key]);
    window.clearTimeout(quiet);
    quiet = window.setTimeout(() => write(notice, ""), 4000);
  };
  const copy = async (text, key) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Pages that were opened as files may not write to the clipboard; an old way works there.
      const area = element("textarea", { class: "copy" });
      area.value = text;
      root.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      menu.button.focus();
    }
    say_(key);
  };
  const address = () => {
    window.history.replaceState(null, "", `#${fragmentOf(store)}`);
    return window.location.href;
  };
  const exportsOf = {
    svg: () => download(`im2col-${store.chapter}.svg`, svgOf(store, stage, scene), "image/svg+xml"),
    png: async () => download(`im2col-${store.chapter}.png`, await pngOf(svgOf(store, stage, scene)), "image/png"),
    ...(data.framed ? {} : { link: () => copy(address(), "page.copied.link") }), // a frame has no address
    code: () => copy(codeOf(store), "page.copied.code"),
  };
  const menu = new Menu(store, exportsOf);
  const tool = (action) => element("button", { type: "button", class: "tool", click: action });
  const nextLanguage = () => {
    const languages = Object.keys(store.words);
    return languages[(languages.indexOf(store.lang) + 1) % languages.length];
  };
  const actions = {
    language: () => store.setLook({ lang: nextLanguage() }),
    theme: () => store.setLook({ theme: nextTheme(store.theme) }),
    exports: () => menu.toggle(),
    help: () => (help.open ? help.close() : help.showModal()),
  };
  const tools = { language: tool(actions.language), theme: tool(actions.theme), help: tool(actions.help) };
  const helpTitle = element("h2");
  const helpRows = HELP.map((name) => ({ name, key: element("dt"), text: element("dd") }));
  const helpList = element("dl", {}, ...helpRows.flatMap(({ key, text }) => [key, text]));
  const closeHelp = element("button", { type: "button", click: () => help.close() });
  const help = element("dialog", { class: "help" }, helpTitle, helpList, closeHelp);
  root.replaceChildren(
    element(
      "header",
      {},
      title,
      element("div", { class: "tools" }, tools.language, tools.theme, menu.root, tools.help),
    ),
    chapters.root,
    element(
      "main",
      {},
      element("div", { class: "story" }, heading, caption, counter),
      element("div", { class: "choices" }, ...choices.map((c) => c.root), channelField),
      stageRoot,
      element("div", { class: "bar" }, element("div", { class: "said" }, message, formula.root), player.root),
      live,
      notice,
      help,
    ),
    element("aside", {}, shape.root, element("div", { class: "row" }, file.root, shape.reset)),
  );
  stageRoot.addEventListener("pointerenter", () => (player.isHeld = true));
  stageRoot.addEventListener("pointerleave", () => (player.isHeld = false));

  const drawWords = () => {
    const words = store.dictionary;
    document.documentElement.lang = store.lang;
    document.documentElement.dataset.theme = store.theme;
    document.documentElement.dataset.part = store.part;
    document.title = words.title;
    write(title, words.title);
    write(tools.language, store.words[nextLanguage()].language);
    put(tools.language, "aria-label", `${words["page.language"]}: ${words.language}`);
    write(tools.theme, { auto: "◐", light: "☀", dark: "☾" }[store.theme]);
    put(tools.theme, "aria-label", `${words["page.theme"]}: ${words[`page.theme.${store.theme}`]}`);
    menu.draw();
    write(tools.help, "?");
    put(tools.help, "aria-label", words["page.help"]);
    write(helpTitle, words["page.help"]);
    write(closeHelp, words["page.close"]);
    for (const { name, key, text } of helpRows) {
      write(key, words[`page.key.${name}`]);
      write(text, words[`page.help.${name}`]);
    }
    write(file.button, words["page.photo"]);
    write(shape.reset, words["page.reset"]);
    put(stageRoot, "aria-label", words["page.stage"]);
    chapters.draw();
    for (const choice of choices) choice.draw();
    shape.draw();
    write(channelField.firstChild, words["page.channel"]);
    const { channels } = store.layer;
    if (channel.options.length !== channels) {
      channel.replaceChildren(...Array.from({ length: channels }, (_, i) => element("option", { value: i }, String(i + 1))));
    }
    channel.value = String(store.channel);
    channelField.hidden = channels === 1 || !store.isOne;
  };
  const draw = () => {
    const words = store.dictionary;
    scene = stage.draw();
    write(heading, say(words, scene.title));
    write(caption, say(words, scene.caption).replace(/ × /g, "\u00a0×\u00a0")); // sizes stay on one line
    write(counter, say(words, scene.counter));
    write(message, say(words, scene.message));
    formula.draw(scene);
    if (!player.isPlaying) write(live, told(scene, words));
    player.draw();
  };
  let saved = 0;
  store.listen((change) => {
    if (change === "layer") player.stop();
    if (change !== "selection") drawWords();
    draw();
    window.clearTimeout(saved);
    if (!data.framed) saved = window.setTimeout(address, 250);
  });
  player.onStop = () => write(live, told(scene, store.dictionary));
  listenToKeys(root, { store, player, chapters, actions });
  if (!data.framed) readFragment(store, window.location.hash);
  window.addEventListener("hashchange", (event) => {
    window.clearTimeout(saved); // or the address of a moment ago would take the place of the one that is asked for
    readFragment(store, new URL(event.newURL).hash);
  });
  drawWords();
  draw();
  if (data.framed) joinNotebook(store, root);
  if (store.part === "picture") {
    fitFrame(root);
    followFrame(store);
  }
  root.dataset.ready = "true";
}

/** Return the theme after another: from the system's to the other one, and through light and dark. */
function nextTheme(theme) {
  if (theme !== "auto") return theme === "light" ? "dark" : "light";
  return window.matchMedia("(prefers-color-scheme: dark)").matches ? "light" : "dark";
}

startExplorer();
