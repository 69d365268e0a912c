// The page: what is painted or uploaded goes to the worker, what comes back is shown.
import { mount as mountCompare } from "./compare.js";
import { mount as mountPainter } from "./painter.js";
import { resized } from "./tensors.js";

const LARGEST = 4096; // side of a square of as many pixels as an upload may have
const REDUCED = 1024; // to which they are reduced
const SMALLEST = 16;
const LABEL = " label map"; // no model's name begins with a space

const one = (selector) => document.querySelector(selector);
const { models, painter, first, drawings, examples } = await (await fetch("page.json")).json();
const worker = new Worker("worker.js", { type: "module" });

const state = { bitmap: null, upload: null, busy: false, asked: false, shown: null };
const drawing = one("#canvas canvas");

// Two components are the served page's: there Gradio gives them these four things.
function component(mount, element, props, events = {}) {
  const watchers = {};
  const watch = (name, work) => (watchers[name] = work);
  mount(element, (event) => events[event]?.(), props, watch);
  return (name, value) => {
    props[name] = value;
    watchers[name]?.();
  };
}

// Every change of the painting becomes the painter's value; setting it is no change yet.
let [value, setting] = [null, false];
const painting = {
  ...painter,
  get value() {
    return value;
  },
  set value(next) {
    value = next;
    if (!setting) painted();
  },
};

function quietly(work) {
  setting = true;
  work();
  setting = false;
}

let setPainting;
const load = (picture) => quietly(() => setPainting("value", picture));
const random = () => load(drawings[Math.floor(Math.random() * drawings.length)]);
quietly(() => {
  painting.value = painter.drawable ? first : null;
  setPainting = component(mountPainter, one("#canvas"), painting, { random });
});
const setCompared = component(mountCompare, one("#slider"), { value: null });

// What is chosen

const chosen = (id) => models.find(({ name }) => name === one(id).value);

function fillLists() {
  const options = () => models.map(({ name, title }) => new Option(title, name));
  one("#model").replaceChildren(...options());
  one("#second").replaceChildren(new Option("none", ""), new Option("the label map", LABEL), ...options());
}

function takeModel() {
  const model = chosen("#model");
  if (state.upload) readUpload();
  const paintable = Boolean(model.classes);
  one("#upload-only").hidden = paintable;
  one("#canvas").hidden = !paintable;
  one("#examples").hidden = !model.drawable;
  if (!paintable) return;
  painting.drawable = model.drawable;
  setPainting("classes", model.classes);
}

// Translating: one at a time, and then the newest, whatever was asked in between.

function painted() {
  if (state.upload) return;
  if (one("#live").checked || !state.shown) ask();
  else age();
}

function age() {
  one("#photo").classList.add("older");
  one("#note").textContent = "The painting has changed since this photo was made.";
}

function source() {
  if (state.upload) return { image: state.upload, painted: false };
  const { width, height } = drawing;
  const { data } = drawing.getContext("2d").getImageData(0, 0, width, height);
  return { image: { width, height, data }, painted: true };
}

function ask() {
  state.asked = true;
  if (state.busy) return;
  const model = chosen("#model");
  if (!state.upload && !model.classes) return;
  const asked = [...new Set([model, chosen("#second")])].filter(Boolean);
  state.busy = true;
  state.asked = false;
  state.models = asked;
  worker.postMessage({ models: asked, ...source() });
}

worker.onmessage = ({ data: { loading, share, results, threads, problem } }) => {
  if (loading) return showLoading(loading, share);
  state.busy = false;
  one("#loading").classList.remove("busy");
  complain(problem ? `This photo could not be made (${problem}).` : "");
  if (results && !state.asked) show(results, threads);
  if (state.asked) ask();
};
worker.onerror = () => complain("The network cannot be run in this browser.");

function showLoading(name, share) {
  one("#loading").classList.add("busy");
  one("#loading span").textContent = `Loading ${name}`;
  one("#loading progress").value = share;
}

function complain(sentence) {
  one("#problem").textContent = sentence;
}

// What comes back

function show(results, threads) {
  const names = state.models.map(({ name }) => name);
  state.shown = { results, names, direction: state.models[0].direction };
  const photo = one("#photo");
  draw(photo, results[0].photo);
  photo.classList.remove("older");
  photo.ariaLabel = `Photo by ${names[0]}`;
  const { width, height } = results[0].photo;
  const time = results.map(({ milliseconds }) => `${Math.round(milliseconds)} ms`).join(" and ");
  one("#note").textContent = `${names.join(" and ")}: ${width}x${height}, ${time}, threads: ${threads}`;
  for (const button of document.querySelectorAll("[data-save]")) button.disabled = false;
  compare();
}

function compare() {
  const { results, names } = state.shown;
  const shown = results.map(({ photo }, index) => [names[index], photo]);
  if (one("#second").value === LABEL) shown.unshift(["label map", results[0].label]);
  one("#results").classList.toggle("comparing", shown.length > 1);
  one("#slider").hidden = shown.length < 2;
  if (shown.length < 2) return;
  const url = (image) => draw(document.createElement("canvas"), image).toDataURL();
  const pictures = shown.map(([, image]) => url(image));
  setCompared("value", JSON.stringify({ pictures, names: shown.map(([name]) => name) }));
}

function draw(canvas, { width, height, data }) {
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  return canvas;
}

function save(what) {
  const { results, names, direction } = state.shown;
  const [{ label, photo }] = results;
  const sides = direction === "AtoB" ? [label, photo] : [photo, label];
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  if (what === "pair") {
    Object.assign(canvas, { width: 2 * photo.width, height: photo.height });
    sides.forEach(({ width, height, data }, at) =>
      context.putImageData(new ImageData(data, width, height), at * width, 0));
  } else {
    draw(canvas, what === "photo" ? photo : source().image);
  }
  const name = { photo: `photo-${names[0]}`, label: "label_map", pair: "pair" }[what];
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}

// Uploads

async function upload(file) {
  if (!file) return;
  complain("");
  let image;
  try {
    image = await createImageBitmap(file);
  } catch {
    return complain(`${file.name} is not an image that this browser can read.`);
  }
  const { width, height } = image;
  if (Math.min(width, height) < SMALLEST)
    return complain(`${file.name} is ${width}x${height}; it must be at least ${SMALLEST}x${SMALLEST}.`);
  if (width * height > LARGEST ** 2)
    return complain(`${file.name} is ${width}x${height}; the most are ${LARGEST}x${LARGEST} pixels.`);
  state.bitmap = image;
  readUpload();
  one("#uploaded").hidden = false;
  one("#uploaded span").textContent = `${file.name}, ${state.upload.width}x${state.upload.height}`;
  ask();
}

function readUpload() {
  const { width, height } = state.bitmap;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = chosen("#model").ground; // where it is transparent
  context.fillRect(0, 0, width, height);
  context.drawImage(state.bitmap, 0, 0);
  const scale = Math.min(1, REDUCED / Math.max(width, height));
  const sides = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  state.upload = resized(context.getImageData(0, 0, width, height), ...sides);
}

function paintAgain() {
  state.bitmap = state.upload = null;
  one("#upload").value = "";
  one("#uploaded").hidden = true;
  ask();
}

// Events

function listExamples() {
  const buttons = examples.map(({ drawing: picture, file }, index) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(Object.assign(new Image(), { src: file, alt: `Example ${index + 1}` }));
    button.addEventListener("click", () => {
      if (state.upload) paintAgain();
      load(picture);
    });
    return button;
  });
  one("#examples").replaceChildren(...buttons);
}

const files = (list) => [...(list ?? [])].find(({ type }) => type.startsWith("image/"));
one("#translate").addEventListener("click", ask);
one("#live").addEventListener("change", () => one("#live").checked && ask());
one("#model").addEventListener("change", () => (takeModel(), ask()));
one("#second").addEventListener("change", ask);
one("#upload").addEventListener("change", ({ target }) => upload(target.files[0]));
one("#paint-again").addEventListener("click", paintAgain);
document.addEventListener("paste", ({ clipboardData }) => upload(files(clipboardData?.files)));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  upload(event.dataTransfer.files[0]);
});
for (const button of document.querySelectorAll("[data-save]"))
  button.addEventListener("click", () => save(button.dataset.save));

const keys = one("#keys");
one("#open-keys").addEventListener("click", () => keys.showModal());
document.addEventListener("keydown", ({ key, target }) => {
  if (key === "?" && !keys.open && !target.matches("select")) keys.showModal();
});
keys.addEventListener("click", ({ target }) => target === keys && keys.close());

fillLists();
listExamples();
takeModel();
one("#slider").hidden = true;
load(painter.drawable ? first : null); // as Gradio does when the page is new: the painter waits for it
if (!models[0].classes) one("#note").textContent = "Upload a label map to begin.";
navigator.serviceWorker?.register("offline.js");
