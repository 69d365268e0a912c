// The painter's mouse, pen, touch and keyboard.
const LEAP = 16; // pixels that the cursor moves with Shift

function pointOf(event) {
  const box = canvas.getBoundingClientRect();
  const x = clamp(Math.floor(((event.clientX - box.left) / box.width) * SIZE));
  const y = clamp(Math.floor(((event.clientY - box.top) / box.height) * SIZE));
  return { x, y };
}

function onPointerDown(event) {
  if (!event.isPrimary) return cancelStroke(); // two fingers enlarge the page
  const busy = stroke && stroke.pointer !== null; // with another device
  if (event.button !== 0 || event.ctrlKey || busy) return;
  cancelStroke(); // of the keyboard
  canvas.focus({ preventScroll: true });
  canvas.setPointerCapture(event.pointerId);
  cursor = pointOf(event);
  useKeyboard(false);
  beginStroke(cursor, event.altKey ? "eyedropper" : chosen.tool, event.pointerId);
}

function onPointerMove(event) {
  const point = pointOf(event);
  if (stroke?.pointer === event.pointerId) {
    cursor = point;
    paint("move", point);
  } else if (stroke || byKeyboard || !event.isPrimary) {
    return;
  }
  markCursor(event.pointerType === "touch" ? null : point);
  readOut(point);
}

function onPointerLeave() {
  if (!byKeyboard) markCursor(null);
  readOut(null);
}

function whereItsStrokeEnds(end) {
  return (event) => {
    if (stroke?.pointer === event.pointerId) end();
    readOut(null);
  };
}

function useKeyboard(yes) {
  byKeyboard = yes;
  markCursor(yes ? cursor : null);
  report();
}

function moveCursor([across, down], leap) {
  const step = leap ? LEAP : 1;
  cursor = { x: clamp(cursor.x + across * step), y: clamp(cursor.y + down * step) };
  if (stroke?.pointer === null) paint("move", cursor);
  useKeyboard(true);
}

function press() {
  if (!stroke) {
    beginStroke(cursor, chosen.tool, null);
    if (!["rectangle", "grid"].includes(chosen.tool)) finishStroke();
  } else if (stroke.pointer === null) {
    finishStroke();
  }
  useKeyboard(true);
}

function moveChoice([across, down]) {
  chooseClass((chosen.index + across + down + radios.length) % radios.length);
  radios[chosen.index].focus();
}

function growBrush(sign) {
  chooseSize(chosen.size + sign * Math.ceil(chosen.size / 8));
}

const ACTIONS = {
  undo: () => travel(past, future),
  redo: () => travel(future, past),
  clear,
  random() {
    cancelStroke();
    trigger("random");
  },
  link: copyLink,
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SHORTCUTS = {
  r: () => chooseTool("rectangle"),
  g: () => chooseTool("grid"),
  b: () => chooseTool("brush"),
  f: () => chooseTool("fill"),
  i: () => chooseTool("eyedropper"),
  "[": () => growBrush(-1),
  "]": () => growBrush(1),
};

function classShortcut(pressed) {
  const index = classes.findIndex(({ key }) => key && key === pressed);
  return index < 0 ? null : () => chooseClass(index);
}

function historyAction({ key, shiftKey, metaKey }) {
  if (key.toLowerCase() === "z") return shiftKey ? ACTIONS.redo : ACTIONS.undo;
  return key === "y" && !metaKey ? ACTIONS.redo : null;
}

function canvasAction({ key, shiftKey, repeat }) {
  if (ARROWS[key]) return () => moveCursor(ARROWS[key], shiftKey);
  if (key === " " || key === "Enter") return repeat ? () => {} : press;
  return null;
}

// Keys that nothing else on the page takes are the painter's, too, while it is in sight.
function isElsewhere(target) {
  if (element.contains(target)) return false;
  const taken = "input, textarea, select, [contenteditable], dialog, [role=dialog]";
  return !canvas.offsetParent || target.closest?.(taken);
}

// What a key means here, or nothing: the browser keeps its own shortcuts.
function actionOf(event) {
  const { target, key } = event;
  if (event.altKey || isElsewhere(target)) return null;
  if (event.ctrlKey || event.metaKey) return historyAction(event);
  if (key === "Escape") return stroke && cancelStroke;
  if (radios.includes(target) && ARROWS[key]) return () => moveChoice(ARROWS[key]);
  const onCanvas = target === canvas && canvasAction(event);
  return onCanvas || SHORTCUTS[key.toLowerCase()] || classShortcut(key);
}

function onKeyDown(event) {
  const action = actionOf(event);
  if (!action) return;
  event.preventDefault();
  action();
}

function onClick(event) {
  const { tool, action, index } = event.target.closest("button")?.dataset ?? {};
  if (tool) chooseTool(tool);
  if (action) ACTIONS[action]();
  if (index) chooseClass(Number(index));
}

function onBlur() {
  if (stroke?.pointer === null) cancelStroke();
  useKeyboard(false);
}

canvas.addEventListener("pointerdown", onPointerDown);
canvas.addEventListener("pointermove", onPointerMove);
canvas.addEventListener("pointerleave", onPointerLeave);
canvas.addEventListener("pointercancel", whereItsStrokeEnds(cancelStroke));
canvas.addEventListener("lostpointercapture", whereItsStrokeEnds(finishStroke)); // follows pointerup
canvas.addEventListener("focus", () => useKeyboard(canvas.matches(":focus-visible")));
canvas.addEventListener("blur", onBlur);
document.addEventListener("keydown", onKeyDown);
element.addEventListener("click", onClick);
slider.addEventListener("input", () => chooseSize(Number(slider.value)));
for (const { name } of sliders.slice(1))
  find(`[name=${name}]`).addEventListener("input", ({ target }) => {
    chosen[name] = Number(target.value);
    refresh();
  });
