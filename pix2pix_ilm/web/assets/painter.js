// The picture of the painter: its tools, its history, and the value that the server knows.
// Drawn with raster.js, worked by controls.js.
const HISTORY = 50;

const find = (selector) => element.querySelector(selector);
const canvas = find("canvas");
const sliders = [...element.querySelectorAll("input[type=range]")];
const [slider] = sliders; // the brush's
const cursorMark = find(".cursor");
const toolButtons = [...element.querySelectorAll("[data-tool]")];

const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
const image = context.createImageData(SIZE, SIZE);
const pixels = new Uint32Array(image.data.buffer);

const chosen = { tool: "rectangle", painting: "rectangle", index: 1 };
for (const { name, value } of sliders) chosen[name] = Number(value);
const past = [];
const future = [];
let stroke = null; // { tool, pointer (null: keyboard), before, start, last }
let cursor = { x: SIZE / 2, y: SIZE / 2 }; // where the keyboard paints
let byKeyboard = false;

// The value

function show() {
  context.putImageData(image, 0, 0);
}

function store() {
  props.value = canvas.toDataURL("image/png");
  keep(props.value);
}

function send() {
  store();
  trigger("input");
  refresh();
}

// The picture outlives a reload, and going back to the page, until its tab is closed.
const place = () => `${location.pathname} ${element.parentElement.closest("[id]")?.id} ${tag}`;

function keep(url) {
  try {
    sessionStorage.setItem(place(), url);
  } catch {
    // no room, or no permission: then it does not
  }
}

function kept() {
  try {
    return sessionStorage.getItem(place());
  } catch {
    return null;
  }
}

// A value that the server set. Pictures decode a moment later; what came meanwhile wins.
function receive(url, undoable) {
  const picture = new Image();
  picture.onload = () => props.value === url && adopt(picture, undoable);
  picture.onerror = () => props.value === url && store();
  if (!url) adopt(null, undoable);
  else if (String(url).startsWith("data:image/")) picture.src = url;
  else store();
}

function adopt(picture, undoable) {
  if (stroke) remember(stroke.before); // an unfinished stroke ends here, as a step of its own
  stroke = null;
  const before = pixels.slice();
  pixels.fill(ground);
  show();
  if (picture) copyFrom(picture);
  if (undoable) remember(before);
  store(); // at the size and in the format that every value has
  refresh();
}

function copyFrom(picture) {
  context.imageSmoothingEnabled = false; // the nearest pixel: no new colors
  context.drawImage(picture, 0, 0, SIZE, SIZE);
  image.data.set(context.getImageData(0, 0, SIZE, SIZE).data);
}

// The history

function remember(before) {
  if (isSame(before, pixels)) return false;
  past.push(before);
  if (past.length > HISTORY) past.shift();
  future.length = 0;
  return true;
}

function settle(before) {
  show();
  if (remember(before)) send();
}

function travel(from, to) {
  if (stroke) return cancelStroke(); // the step that a person wants undone
  if (!from.length) return;
  to.push(pixels.slice());
  pixels.set(from.pop());
  show();
  send();
}

function clear() {
  cancelStroke();
  const before = pixels.slice();
  pixels.fill(ground);
  settle(before);
}

// The tools: what they do where they touch the picture, and wherever they go from there

const TOOLS = {
  rectangle: { touch: stretch, move: stretch },
  grid: { touch: repeat, move: repeat },
  brush: { touch: sweep, move: sweep },
  fill: { touch: (point) => floodFill(pixels, point, colors[chosen.index]) },
  eyedropper: { touch: pick, move: pick },
};

function stretch(point) {
  pixels.set(stroke.before);
  drawRectangle(pixels, stroke.start, point, colors[chosen.index]);
}

function repeat(point) {
  pixels.set(stroke.before);
  const { across, down, index } = chosen;
  drawGrid(pixels, stroke.start, point, [across, down], colors[index]);
}

function sweep(point) {
  drawLine(pixels, stroke.last, point, chosen.size, colors[chosen.index]);
}

function pick(point) {
  chooseClass(classAt(point));
}

// The class of the nearest color: a picture from elsewhere may have others between them.
function classOf(pixel) {
  const exact = colors.indexOf(pixel);
  if (exact >= 0) return exact;
  const distances = colors.map((color) => distance(color, pixel));
  return distances.indexOf(Math.min(...distances));
}

function classAt({ x, y }) {
  return classOf(pixels[y * SIZE + x]);
}

function beginStroke(point, tool, pointer) {
  stroke = { tool, pointer, before: pixels.slice(), start: point, last: point };
  paint("touch", point);
}

function paint(how, point) {
  TOOLS[stroke.tool][how]?.(point);
  stroke.last = point;
  show();
}

function finishStroke() {
  const { tool, before } = stroke;
  stroke = null;
  settle(before);
  if (tool === "eyedropper" && chosen.tool === tool) chooseTool(chosen.painting);
}

function cancelStroke() {
  if (!stroke) return;
  pixels.set(stroke.before);
  stroke = null;
  show();
  refresh();
}

// What is chosen, and how it shows

function chooseTool(tool) {
  cancelStroke();
  chosen.tool = tool;
  if (tool !== "eyedropper") chosen.painting = tool;
  refresh();
}

function chooseClass(index) {
  chosen.index = index;
  refresh();
}

function chooseSize(size) {
  chosen.size = Math.max(slider.min, Math.min(slider.max, size));
  if (chosen.tool !== "brush") chooseTool("brush");
  refresh();
}

function refresh() {
  find(".painter").dataset.tool = chosen.tool;
  for (const button of toolButtons) button.ariaPressed = button.dataset.tool === chosen.tool;
  radios.forEach((radio, index) => {
    radio.ariaChecked = index === chosen.index;
    radio.tabIndex = index === chosen.index ? 0 : -1;
  });
  // not disabled: that would take the focus away, and the shortcuts with it
  find("[data-action=undo]").ariaDisabled = !past.length;
  find("[data-action=redo]").ariaDisabled = !future.length;
  for (const input of sliders) {
    input.value = chosen[input.name];
    input.closest("label").querySelector("b").textContent = chosen[input.name];
  }
  slider.ariaValueText = `${chosen.size} pixels`;
  if (byKeyboard) markCursor(cursor);
  report();
}

function say(sentence) {
  find(".status").textContent = sentence;
}

function report() {
  const tool = toolButtons.find((button) => button.dataset.tool === chosen.tool);
  const parts = [tool.textContent.trim(), classNames[chosen.index]];
  if (byKeyboard) parts.push(`at ${cursor.x}, ${cursor.y} on ${classNames[classAt(cursor)]}`);
  if (byKeyboard && stroke) parts.push(extent());
  say(parts.join(" · "));
}

// For the eyes alone: read aloud, every move of a mouse would be a flood of numbers.
function readOut(point) {
  const place = point ? `${classNames[classAt(point)]} at ${point.x}, ${point.y}` : "";
  find(".readout").textContent = /rectangle|grid/.test(stroke?.tool) ? extent() : place;
}

function extent() {
  const [across, down] = [stroke.last.x - stroke.start.x, stroke.last.y - stroke.start.y];
  return `${Math.abs(across) + 1} × ${Math.abs(down) + 1}`;
}

function markCursor(point) {
  cursorMark.hidden = !point;
  cursorMark.classList.toggle("cross", byKeyboard);
  const place = { "--x": point?.x, "--y": point?.y, "--brush": chosen.size };
  for (const name in place) cursorMark.style.setProperty(name, place[name]);
  cursorMark.style.setProperty("--odd", chosen.size % 2); // as drawDisc places its center
}

find(".painter").style.setProperty("--size", SIZE);
find(".help").id = `${element.id}-help`;
canvas.setAttribute("aria-describedby", find(".help").id);
takeClasses();
pixels.fill(ground);
show();
refresh();
const initial = props.value;
let restored = kept(); // until gradio has set its first value once more
if (restored) props.value = restored;
if (props.value) receive(props.value, false);
else store(); // so that an untouched canvas can be submitted
let started = false;
watch("value", () => {
  if (restored && props.value === initial) props.value = restored;
  else receive(props.value, true);
  restored = null;
  started = true;
});
watch("classes", changeClasses);
openLink();
window.addEventListener("hashchange", openLink);
