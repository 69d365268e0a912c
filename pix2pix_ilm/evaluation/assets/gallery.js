"use strict";
const byId = (id) => document.getElementById(id);
const scores = JSON.parse(byId("scores").textContent);
const pictures = JSON.parse(byId("images").textContent);
const { metrics, models } = scores;
for (const model of models)
  for (const name in model.values) model.values[name] = model.values[name].map(Number);

const columns = [
  ...(pictures.labels.length ? [{ title: "Label map", data: pictures.labels }] : []),
  ...models.map((model, i) => ({ title: model.title, model, hue: i % 7, data: pictures.outputs[i] })),
  { title: "Photo", data: pictures.photos },
];
const PHOTO = columns.length - 1;
const sorting = { metric: 0, model: 0, minus: -1, descending: false };
let shown = scores.images.map((_, i) => i);

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

function written(value, metric, signed = false) {
  if (Number.isNaN(value)) return "n/a";
  const sign = value < 0 ? "−" : signed && value > 0 ? "+" : "";
  const size = Math.abs(value);
  return sign + (size === Infinity ? "∞" : size.toFixed(metric.digits));
}

// The cards: one per image, pictures side by side

const source = (column, image) => "data:image/webp;base64," + columns[column].data[image];
const waiting = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    target.src = source(target.dataset.column, target.dataset.image);
    waiting.unobserve(target);
  }
}, { rootMargin: "800px" });

const compared = models.filter(({ baseline }) => !baseline);

function bestOf(metric, image) {
  const values = compared.map((model) => model.values[metric.name][image]);
  return metric.higherIsBetter ? Math.max(...values) : Math.min(...values);
}

function valuesOf(model, image) {
  return metrics.map((metric) => {
    const value = model.values[metric.name][image];
    const item = make("div", {}, make("dt", { textContent: metric.label, title: metric.label }),
      make("dd", { textContent: written(value, metric) }));
    const best = compared.length > 1 && !model.baseline && value === bestOf(metric, image);
    item.classList.toggle("best", best);
    item.dataset.metric = metric.name;
    return item;
  });
}

function picture(column, image) {
  const { title, model, hue } = columns[column];
  const lazy = make("img", { alt: `${title} of ${scores.images[image]}` });
  Object.assign(lazy.dataset, { column, image });
  waiting.observe(lazy);
  const button = make("button", { type: "button", title: "Enlarge" }, lazy);
  button.addEventListener("click", () => open(column, image));
  const caption = make("figcaption", { title: model ? model.name : "" }, title);
  const figure = make("figure", { className: model ? "picture" : "picture given" }, button, caption);
  if (model) {
    const dot = make("i");
    dot.style.setProperty("--hue", `var(--hue-${hue})`);
    caption.prepend(dot);
    figure.append(make("dl", { className: "values" }, ...valuesOf(model, image)));
  }
  return figure;
}

function card(image) {
  const row = make("div", { className: "pictures" }, ...columns.map((_, i) => picture(i, image)));
  row.style.setProperty("--columns", columns.length);
  const name = make("h2", { textContent: scores.images[image] });
  const made = make("article", { className: "card" }, make("header", {}, name, make("span")), row);
  made.id = `image-${image}`;
  return made;
}

const cards = scores.images.map((_, i) => card(i));

// Sorting and filtering

function sortedBy(image) {
  const { name } = metrics[sorting.metric];
  const value = models[sorting.model].values[name][image];
  return sorting.minus < 0 ? value : value - models[sorting.minus].values[name][image];
}

function inOrder(one, other) {
  const [a, b] = [sortedBy(one), sortedBy(other)];
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b) || one - other;
  return (a === b ? 0 : a < b ? -1 : 1) * (sorting.descending ? -1 : 1) || one - other;
}

function arrange() {
  const wanted = byId("filter").value.trim().toLowerCase();
  shown = scores.images.map((_, i) => i);
  if (sorting.metric >= 0) shown.sort(inOrder);
  else if (sorting.descending) shown.reverse();
  shown = shown.filter((i) => scores.images[i].toLowerCase().includes(wanted));
  byId("cards").replaceChildren(...shown.map((i) => cards[i]));
  byId("count").textContent = shown.length < cards.length ? `${shown.length} of ${cards.length}` : `${cards.length} images`;
  byId("nothing").hidden = shown.length > 0;
  shown.forEach(label);
  chart();
}

function label(image) {
  const metric = metrics[sorting.metric];
  const subtle = cards[image].querySelector("header span");
  subtle.textContent = metric && sorting.minus >= 0
    ? `${metric.label} ${written(sortedBy(image), metric, true)}` : "";
  for (const item of cards[image].querySelectorAll("dl.values div"))
    item.classList.toggle("sorted", Boolean(metric) && item.dataset.metric === metric.name);
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, textContent]) => make("option", { value, textContent })));
  select.value = chosen;
}

function controls() {
  const named = models.map((model, i) => [i, model.title]);
  fill(byId("metric"), [...metrics.map((metric, i) => [i, metric.label]), [-1, "order of the data"]], 0);
  fill(byId("model"), named, 0);
  fill(byId("minus"), [[-1, "nothing"], ...named], -1);
  byId("minus").parentElement.hidden = models.length < 2;
  for (const id of ["metric", "model", "minus"])
    byId(id).addEventListener("change", (event) => { sorting[id] = Number(event.target.value); refresh(); });
  byId("direction").addEventListener("click", () => { sorting.descending = !sorting.descending; refresh(); });
  byId("filter").addEventListener("input", arrange);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
}

function refresh() {
  byId("model").disabled = byId("minus").disabled = sorting.metric < 0;
  byId("direction").textContent = sorting.metric < 0
    ? (sorting.descending ? "↓ reversed" : "↑ as in the data")
    : (sorting.descending ? "↓ highest first" : "↑ lowest first");
  arrange();
}

// The chart: a dot per image, leading to its card

function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const name in attributes) element.setAttribute(name, attributes[name]);
  return element;
}

function lanes(metric) {
  if (sorting.minus < 0) return models.map((model, i) => ({ title: model.title, hue: i % 7, at: (image) => model.values[metric.name][image] }));
  return [{ title: "per image", hue: 6, at: sortedBy }];
}

function chart() {
  const metric = metrics[sorting.metric];
  byId("chart").hidden = !metric;
  if (!metric) return;
  const drawn = lanes(metric);
  const finite = drawn.flatMap(({ at }) => scores.images.map((_, i) => at(i))).filter(Number.isFinite);
  const difference = sorting.minus >= 0;
  const low = Math.min(...finite, ...(difference ? [0] : [])), high = Math.max(...finite, ...(difference ? [0] : []));
  const across = (value) => 1 + 98 * (high > low ? (value - low) / (high - low) : 0.5);
  byId("chart-title").replaceChildren(...heading(metric));
  byId("lanes").replaceChildren(...drawn.map((lane) => drawLane(lane, across, difference)));
  byId("axis").replaceChildren(...[low, high].map((end) => make("span", { textContent: finite.length ? written(end, metric, difference) : "" })));
}

function heading(metric) {
  const way = metric.higherIsBetter ? "higher is better" : "lower is better";
  if (sorting.minus < 0) return [make("b", { textContent: metric.label }), ` of every image, ${way}`];
  const [one, other] = [models[sorting.model].title, models[sorting.minus].title];
  const differences = scores.images.map((_, i) => sortedBy(i));
  const wins = differences.filter((d) => (metric.higherIsBetter ? d > 0 : d < 0)).length;
  return [make("b", { textContent: `${metric.label}: ${one} minus ${other}` }), `, ${way}: the first is better on ${wins} of ${differences.length} images`];
}

function drawLane({ title, hue, at }, across, difference) {
  const plot = svg("svg", { role: "img", "aria-label": `${title}: one dot per image` });
  plot.append(svg("line", { class: "base", x1: "0", x2: "100%", y1: 17, y2: 17 }));
  if (difference) plot.append(svg("line", { class: "zero", x1: across(0) + "%", x2: across(0) + "%", y1: 0, y2: 34 }));
  const visible = new Set(shown);
  scores.images.forEach((name, image) => {
    if (!Number.isFinite(at(image)) || !visible.has(image)) return;
    const dot = svg("circle", { cx: across(at(image)) + "%", cy: 7 + 20 * ((image * 0.618034) % 1), r: 4 });
    dot.append(svg("title", {}));
    dot.firstChild.textContent = `${name}: ${written(at(image), metrics[sorting.metric], difference)}`;
    dot.addEventListener("click", () => cards[image].scrollIntoView());
    plot.append(dot);
  });
  const lane = make("div", { className: "lane" }, make("div", { className: "name", textContent: title }), plot);
  lane.style.setProperty("--hue", `var(--hue-${hue})`);
  return lane;
}

// The viewer: one picture, large; arrows lead to its neighbors

const viewer = byId("viewer");
const viewed = { column: 0, image: 0, flipped: false };

function open(column, image) {
  Object.assign(viewed, { column, image, flipped: false });
  view();
  viewer.showModal();
  viewer.focus(); // not the close button, which the space bar would press
}

function view() {
  const column = viewed.flipped ? PHOTO : viewed.column;
  const { title } = columns[column];
  const { model } = columns[viewed.column]; // its values stay, lest the picture jumps when flipped
  byId("viewer-title").textContent = `${scores.images[viewed.image]} · ${title}`;
  byId("enlarged").src = source(column, viewed.image);
  byId("enlarged").alt = `${title} of ${scores.images[viewed.image]}`;
  byId("flip").setAttribute("aria-pressed", viewed.flipped);
  byId("flip").hidden = viewed.column === PHOTO;
  byId("viewer-values").replaceChildren(...(model ? valuesOf(model, viewed.image) : []));
}

function move(across, down) {
  const place = shown.indexOf(viewed.image) + down;
  viewed.column = Math.max(0, Math.min(PHOTO, viewed.column + across));
  viewed.image = shown[Math.max(0, Math.min(shown.length - 1, place))];
  viewed.flipped = false;
  view();
}

function flip() {
  viewed.flipped = !viewed.flipped;
  view();
}

const KEYS = {
  ArrowLeft: () => move(-1, 0), ArrowRight: () => move(1, 0),
  ArrowUp: () => move(0, -1), ArrowDown: () => move(0, 1), " ": flip,
};
viewer.addEventListener("keydown", (event) => {
  if (!KEYS[event.key] || (event.key === " " && event.target.closest("button:not(#flip)"))) return;
  event.preventDefault();
  KEYS[event.key]();
});
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("close", () => cards[viewed.image].scrollIntoView({ block: "nearest" }));
byId("close").addEventListener("click", () => viewer.close());
byId("left").addEventListener("click", () => move(-1, 0));
byId("right").addEventListener("click", () => move(1, 0));
byId("flip").addEventListener("click", flip);

controls();
refresh();
