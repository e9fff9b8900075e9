// Cells: examples of a page run in the reader's browser, and can be changed. Nothing is asked for before a button is pressed.
(() => {
  const script = document.currentScript;
  const { python, wheel, within } = script.dataset;
  const here = (name) => new URL(name, script.src).href;
  const words = {
    en: {
      run: "Run", stop: "Stop", example: (n) => `example ${n}`, code: (n) => `Python code of example ${n}`,
      result: (n) => `Result of example ${n}`,
      note: `Runs in your browser, and can be changed there; Shift+Enter runs it again. The first press loads Python, more than 10 MB, from ${new URL(python, script.src).host}.`,
      loading: "Loading Python, NumPy and im2col …", running: "Running …", nothing: "Done; there is nothing to show.",
      stopped: "Stopped. Python begins anew with the next press.", above: "An example above failed:",
      broken: `Python could not be loaded from ${python}. Nothing else of this page needs it; try again when that address can be reached.`,
    },
    zh: {
      run: "运行", stop: "停止", example: (n) => `例 ${n}`, code: (n) => `例 ${n} 的 Python 代码`,
      result: (n) => `例 ${n} 的结果`,
      note: `在您的浏览器中运行，代码可以修改；按 Shift+Enter 再次运行。第一次按下时从 ${new URL(python, script.src).host} 加载 Python，超过 10 MB。`,
      loading: "正在加载 Python、NumPy 和 im2col……", running: "正在运行……", nothing: "已完成，没有可显示的内容。",
      stopped: "已停止。下次按下时 Python 从头开始。", above: "上面的一个例子出错了：",
      broken: `无法从 ${python} 加载 Python。本页的其他内容都不需要它；等该地址可以访问时再试。`,
    },
  }[document.documentElement.lang.slice(0, 2)];
  const cells = [];
  let worker = null;
  let running = null;

  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  /* Send the worker something to do, hand on what it shows, and resolve with its last message. */
  const ask = (message, show) =>
    new Promise((resolve) => {
      worker.onmessage = ({ data }) => (["end", "broken"].includes(data.kind) ? resolve(data) : show(data));
      worker.onerror = (event) => resolve({ kind: "broken", text: event.message || "" });
      worker.postMessage(message);
    });

  const end = () => {
    worker?.terminate();
    worker = null;
    for (const cell of cells) cell.done = false;
  };

  /* Show a part of a result: texts join, HTML stands by itself; either can be moved by keys where it is too wide. */
  const shown = (cell, { kind, text }) => {
    const last = cell.output.lastChild;
    if (kind === "html") {
      const part = make("div", { className: "cell-html", tabIndex: 0, role: "group", ariaLabel: words.result(cell.number) });
      part.innerHTML = text;
      cell.output.append(part);
    } else if (last?.className === `cell-${kind}`) last.append(text);
    else cell.output.append(make("pre", { className: `cell-${kind}`, tabIndex: 0, textContent: text }));
  };

  /* Run what a cell needs, and the cell; return what is to be said besides what it has shown. */
  const run = async (cell) => {
    if (!worker) {
      cell.status.textContent = words.loading;
      worker = new Worker(here("cells-worker.js"), { type: "module" });
      const loaded = await ask({ address: new URL(python, script.src).href, wheel: here(wheel), runner: here("cells_run.py") });
      if (loaded.kind === "broken") {
        end();
        shown(cell, { kind: "error", text: loaded.text });
        return words.broken;
      }
    }
    cell.status.textContent = words.running;
    for (const each of cells.slice(0, cell.number).filter((one) => one === cell || !one.done)) {
      const show = (part) => (each === cell || part.kind === "error") && shown(cell, part);
      const { kind, done, text } = await ask({ code: each.code(), name: `<${each.number}>` }, show);
      each.done = done || each === cell; // a reader who has seen an error may go on
      if (kind === "broken") {
        end();
        shown(cell, { kind: "error", text });
      }
      if (!done) return each === cell ? "" : words.above;
    }
    return cell.output.hasChildNodes() ? "" : words.nothing;
  };

  const press = async (cell) => {
    if (running === cell) {
      end();
      finish(cell, words.stopped);
    } else if (!running) {
      running = cell;
      cell.open();
      cell.output.replaceChildren();
      name(cell, words.stop);
      for (const other of cells) other.button.disabled = other !== cell;
      const told = await run(cell).catch((error) => String(error));
      if (running === cell) finish(cell, told);
    }
  };

  const finish = (cell, told) => {
    running = null;
    cell.status.textContent = told;
    name(cell, words.run);
    for (const other of cells) other.button.disabled = false;
  };

  const name = ({ button, number }, word) => {
    button.textContent = word;
    button.ariaLabel = `${word}: ${words.example(number)}`;
  };

  for (const block of document.querySelectorAll(`${within} .highlight-python`)) {
    const lines = block.textContent.split("\n").filter((line) => /^(>>>|\.\.\.)( |$)/.test(line));
    if (!lines.length) continue;
    const cell = { number: cells.length + 1, done: false, button: make("button", { type: "button", className: "cell-run" }) };
    cell.status = make("p", { className: "cell-status", role: "status" });
    cell.output = make("div", { className: "cell-output" });
    const source = lines.map((line) => line.slice(4)).join("\n");
    const editor = make("textarea", { value: source, rows: lines.length, wrap: "off", spellcheck: false, autocapitalize: "off" });
    editor.ariaLabel = words.code(cell.number);
    cell.code = () => editor.value;
    cell.open = () => {
      block.hidden = true;
      if (!editor.isConnected) box.prepend(editor);
    };
    editor.addEventListener("input", () => (editor.rows = editor.value.split("\n").length));
    editor.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.shiftKey || event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      if (!running) press(cell);
    });
    cell.button.addEventListener("click", () => press(cell));
    name(cell, words.run);
    const box = make("div", { className: "cell-box" }, cell.button, cell.status, cell.output);
    if (!cells.length) cell.status.textContent = words.note;
    block.after(box);
    cells.push(cell);
  }
})();
