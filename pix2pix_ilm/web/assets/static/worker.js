// Loads networks and runs them, beside the page: painting never waits for a photo.
import * as ort from "./runtime/ort.wasm.min.mjs";
import { picture, planes, resized, snapped } from "./tensors.js";

ort.env.wasm.wasmPaths = new URL("runtime/", import.meta.url).href;
// Threads share memory, which browsers allow to isolated pages alone.
const threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency ?? 1) : 1;
ort.env.wasm.numThreads = threads;
const networks = new Map();

async function download({ name, file, bytes }) {
  const response = await fetch(file);
  if (!response.ok) throw new Error(`${file}: ${response.status}`);
  const content = new Uint8Array(bytes);
  let done = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { value, done: ended } = await reader.read();
    if (ended) break;
    content.set(value, done);
    done += value.length;
    postMessage({ loading: name, share: done / bytes });
  }
  return content;
}

function network(model) {
  if (!networks.has(model.file)) {
    const made = download(model).then((content) => ort.InferenceSession.create(content));
    made.catch(() => networks.delete(model.file)); // the next try downloads again
    networks.set(model.file, made);
  }
  return networks.get(model.file);
}

async function translate(model, given, painted) {
  const session = await network(model);
  let label = painted ? resized(given, model.size, model.size) : given;
  if (model.colors) label = snapped(label, model.colors);
  const { values, shape } = planes(label, model.channels, model.multiple);
  const start = performance.now();
  const { photo } = await session.run({ label_map: new ort.Tensor("float32", values, shape) });
  const milliseconds = performance.now() - start;
  return { label, photo: picture(photo.data, photo.dims, label.width, label.height), milliseconds };
}

self.onmessage = async ({ data: { models, image, painted } }) => {
  try {
    const results = [];
    for (const model of models) results.push(await translate(model, image, painted));
    postMessage({ results, threads });
  } catch (error) {
    postMessage({ problem: String(error?.message ?? error) });
  }
};
