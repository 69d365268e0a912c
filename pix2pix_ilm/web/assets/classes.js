// The classes that can be painted; a model may bring others.
let { classes } = props; // what can be painted, and what follows from it
let [classNames, colors, radios, ground, tag] = [];

function takeClasses() {
  ({ classes } = props);
  classNames = classes.map(({ name }) => name);
  colors = classes.map(({ hex }) => packed(hex));
  [ground] = colors;
  tag = colors.reduce((hash, color) => (Math.imul(hash, 31) + color) >>> 0, 0).toString(36);
  radios = classes.map(classButton);
  find(".palette").replaceChildren(...radios);
  find("[data-action=random]").hidden = !props.drawable;
  chosen.index = Math.min(chosen.index, classes.length - 1);
}

function classButton({ name, hex, key, title }, index) {
  const button = document.createElement("button");
  button.innerHTML = "<i></i><span></span><kbd aria-hidden='true'></kbd>";
  const [swatch, label, hint] = button.children;
  swatch.style.background = hex;
  label.textContent = name;
  hint.textContent = key;
  if (key) button.setAttribute("aria-keyshortcuts", key);
  Object.assign(button, { type: "button", role: "radio", title });
  button.dataset.index = index;
  return button;
}

// A model that knows other classes was chosen. What a person painted is not given up unasked.
function changeClasses() {
  if (JSON.stringify(props.classes) === JSON.stringify(classes)) return;
  const question = "This model knows other classes. Paint with them, on an empty picture?";
  if (past.length && !confirm(question)) return;
  cancelStroke();
  takeClasses();
  past.length = future.length = 0;
  const earlier = kept(); // what was painted with these classes
  if (!earlier) return adopt(null, false);
  pixels.fill(ground); // until it is decoded
  show();
  props.value = earlier;
  receive(earlier, false);
}
