// @ts-check
// The data that Python wrote into the page.

/** Return what Python embedded: dictionaries, chapters, the layer and its arrays. */
export async function embedded() {
  const data = JSON.parse(document.getElementById("im2col-data").textContent);
  const [image, weights] = await Promise.all([numbersOf(data.image), numbersOf(data.weights)]);
  data.layer.padding_value = Number(data.layer.padding_value); // "NaN" and "Infinity" are words in JSON
  return { ...data, image, weights };
}

const KINDS = {
  uint8: Uint8Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
};

/** Return an array that was written as base64 of compressed little-endian numbers. */
async function numbersOf({ dtype, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return Float64Array.from(new KINDS[dtype](await new Response(stream).arrayBuffer()));
}
