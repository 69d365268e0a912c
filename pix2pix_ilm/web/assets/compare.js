// Two pictures on one another: a line between them that moves, or one through the other.
const find = (selector) => element.querySelector(selector);
const root = find(".compare");
const pictures = find(".pictures");
const slider = find("input[type=range]");
const blend = find("input[type=checkbox]");

function show() {
  if (!props.value) return;
  const { pictures: urls, names } = JSON.parse(props.value);
  [".over", ".under"].forEach((place, index) => {
    find(place).src = urls[index];
    find(place).alt = names[index];
  });
  find(".left").textContent = names[0];
  find(".right").textContent = names[1];
  find(".under").onload = ({ target }) =>
    root.style.setProperty("--aspect", target.naturalWidth / target.naturalHeight);
  refresh();
}

function refresh() {
  root.classList.toggle("blends", blend.checked);
  root.style.setProperty("--share", `${slider.value}%`);
  slider.ariaLabel = `Share of ${find(".left").textContent}`;
  slider.ariaValueText = `${slider.value} percent`;
}

function onPointer({ buttons, clientX }) {
  if (!buttons || blend.checked) return;
  const box = pictures.getBoundingClientRect();
  slider.value = ((clientX - box.left) / box.width) * 100;
  refresh();
}

// While X is held, the picture beneath shows alone.
function onKey({ type, key, target, ctrlKey, metaKey, altKey }) {
  if (key.toLowerCase() !== "x" || ctrlKey || metaKey || altKey) return;
  if (target.matches("textarea, input:not([type=range], [type=checkbox])")) return;
  root.classList.toggle("shows-under", type === "keydown" && Boolean(root.offsetParent));
}

slider.addEventListener("input", refresh);
blend.addEventListener("input", refresh);
pictures.addEventListener("pointerdown", onPointer);
pictures.addEventListener("pointermove", onPointer);
pictures.addEventListener("dragstart", (event) => event.preventDefault());
document.addEventListener("keydown", onKey);
document.addEventListener("keyup", onKey);
watch("value", show);
show();
