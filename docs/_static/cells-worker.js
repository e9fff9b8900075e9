// Python for the cells of a page, in a worker: the page stays quick while it computes, and can stop it.

let names, run;

/* Load Python and NumPy from `address`, the library and what runs cells from the site. */
async function load({ address, wheel, runner }) {
  const { loadPyodide } = await import(`${address}pyodide.mjs`);
  const python = await loadPyodide({ indexURL: address });
  await python.loadPackage(["numpy", "threadpoolctl", "pillow"], { messageCallback() {} });
  const [archive, source] = await Promise.all([wheel, runner].map(fetched));
  python.unpackArchive(await archive.arrayBuffer(), "wheel");
  const module = python.toPy({});
  python.runPython(await source.text(), { globals: module });
  // A browser has no engine, which pages say; how to get one back is no advice here.
  python.runPython("import numpy, warnings, im2col; warnings.simplefilter('ignore', im2col.EngineWarning)");
  run = module.get("run_cell");
  names = python.toPy({ __name__: "__main__" });
}

/* Ask for a file; what is not there is an error, too. */
async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${answer.status} ${address}`);
  return answer;
}

onmessage = async ({ data }) => {
  try {
    if (data.address) await load(data);
    const done = data.address ? true : run(data.code, data.name, names, (kind, text) => postMessage({ kind, text }));
    postMessage({ kind: "end", done });
  } catch (error) {
    postMessage({ kind: "broken", text: String(error.message || error) });
  }
};
