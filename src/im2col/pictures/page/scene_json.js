// @ts-check
// A scene as JSON, as docs/scene.schema.json has it: what tests compare with Python's. The page does not need it.

import { highlight } from "./highlight.js";
import { stridesOf } from "./geometry.js";

const SCHEMA = 1;

/** Return the panels of a scene: its parts without the signs. */
export function panelsOf(scene) {
  return scene.parts.filter((part) => typeof part !== "string");
}

/** Return the scene as plain data, exactly as Python's Scene.to_json(): docs/scene.schema.json describes it. */
export function sceneToJson(scene) {
  const { layer } = scene;
  const g = layer.geometry;
  const pixelStrides = stridesOf(layer.paddedShape);
  const last = layer.tapOrder === "channel-last";
  const inOrder = (channel, kernel) => (last ? [...kernel, channel] : [channel, ...kernel]);
  const planes = panelsOf(scene).flatMap((panel) => panel.planes);
  return {
    schema: SCHEMA,
    chapter: scene.chapter,
    layer: {
      batch: layer.batch,
      channels: layer.channels,
      filters: layer.filters,
      groups: layer.groups,
      spatial_shape: g.spatialShape,
      kernel_size: g.kernelSize,
      stride: g.stride,
      padding: g.padding,
      dilation: g.dilation,
      padding_mode: layer.paddingMode,
      output_shape: g.outputShape,
      orientation: layer.orientation,
      tap_order: layer.tapOrder,
      memory: layer.memory,
    },
    index_map: {
      positions: { shape: g.outputShape, strides: layer.positionStrides },
      taps: {
        shape: inOrder(layer.channels, g.kernelSize),
        strides: inOrder(pixelStrides[0], layer.tapStrides),
      },
    },
    selection: scene.selection,
    steps: scene.steps,
    parts: scene.parts.map((part) => (typeof part === "string" ? part : panelToJson(part))),
    lit: planes.map((plane) => lightToJson(plane, highlight(layer, plane, scene.selection))),
    title: scene.title,
    caption: scene.caption,
    counter: scene.counter,
    message: scene.message,
    formula: scene.formula,
  };
}

function panelToJson({ kind, title, size, rows, columns, planes }) {
  return { kind, title, size, rows, columns, planes: planes.map(planeToJson) };
}

function planeToJson(plane) {
  const { builder, mode, ...fields } = plane;
  const cells = mode === "block" ? [] : gridOf(plane, (r, c) => plane.cell(r, c));
  const grid = (name) => cells.map((row) => row.map((cell) => cell[name]));
  return {
    ...fields,
    mode,
    text: mode === "digits" ? grid("text") : null,
    values: mode === "block" ? null : cells.map((row) => row.map(({ value }) => plainNumber(value))),
    channel: grid("channel"),
    padding: grid("padding"),
    blank: grid("blank"),
  };
}

function plainNumber(value) {
  return Number.isFinite(value) ? value : Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

function lightToJson(plane, lit) {
  const [level, order] = [0, 1].map(() => gridOf(plane, () => 0));
  for (const [r, c, itsLevel, itsOrder] of lit) {
    level[r][c] = itsLevel;
    order[r][c] = itsOrder;
  }
  return { level, order };
}

function gridOf(plane, entry) {
  return plane.rows.shown.map((_, r) => plane.columns.shown.map((_, c) => entry(r, c)));
}
