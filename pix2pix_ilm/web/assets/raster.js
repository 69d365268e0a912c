// Drawing on a label map: 32-bit pixels, set whole, so that no edge is ever blended.
const SIZE = props.size;

function clamp(value) {
  return Math.max(0, Math.min(SIZE - 1, value));
}

// "#rrggbb" as a pixel; through bytes, as their order within a word is the machine's own.
function packed(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return new Uint32Array(Uint8Array.of(red, green, blue, 255).buffer)[0];
}

// How far two pixels' colors are apart.
function distance(one, other) {
  const [some, others] = [one, other].map((pixel) => [...new Uint8Array(Uint32Array.of(pixel).buffer)]);
  return Math.hypot(...some.map((level, channel) => level - others[channel]));
}

function isSame(one, other) {
  return one.every((pixel, at) => pixel === other[at]);
}

function drawSpan(pixels, y, left, right, color) {
  if (y < 0 || y >= SIZE) return;
  const row = y * SIZE;
  pixels.fill(color, row + Math.max(left, 0), row + Math.min(right, SIZE - 1) + 1);
}

function drawRectangle(pixels, one, other, color) {
  const [left, right] = [Math.min(one.x, other.x), Math.max(one.x, other.x)];
  const [top, bottom] = [Math.min(one.y, other.y), Math.max(one.y, other.y)];
  for (let y = top; y <= bottom; y++) drawSpan(pixels, y, left, right, color);
}

// Equal rectangles, across and down, with gaps of about three quarters of their size.
function drawGrid(pixels, one, other, [across, down], color) {
  const columns = intervals(one.x, other.x, across);
  const rows = intervals(one.y, other.y, down);
  for (const [left, right] of columns)
    for (const [top, bottom] of rows)
      drawRectangle(pixels, { x: left, y: top }, { x: right, y: bottom }, color);
}

// First and last pixels of equal intervals between two pixels: as many as asked for, or as fit.
function intervals(one, other, asked) {
  const [start, length] = [Math.min(one, other), Math.abs(one - other) + 1];
  const count = Math.min(asked, Math.ceil(length / 2));
  const size = Math.max(1, Math.floor(length / (count + 0.75 * (count - 1))));
  const step = count > 1 ? Math.floor((length - size) / (count - 1)) : 0;
  return Array.from({ length: count }, (_, at) => [start + at * step, start + at * step + size - 1]);
}

// An even diameter has its center between pixels: above and to the left of the given one.
function drawDisc(pixels, center, diameter, color) {
  const radius = diameter / 2;
  const shift = diameter % 2 ? 0 : 0.5;
  const [x, y] = [center.x - shift, center.y - shift];
  for (let row = Math.ceil(y - radius); row <= y + radius; row++) {
    const half = Math.sqrt(radius ** 2 - (row - y) ** 2);
    drawSpan(pixels, row, Math.ceil(x - half), Math.floor(x + half), color);
  }
}

function drawLine(pixels, from, to, diameter, color) {
  const [across, down] = [to.x - from.x, to.y - from.y];
  const steps = Math.max(Math.abs(across), Math.abs(down), 1);
  for (let step = 0; step <= steps; step++) {
    const x = Math.round(from.x + (across * step) / steps);
    const y = Math.round(from.y + (down * step) / steps);
    drawDisc(pixels, { x, y }, diameter, color);
  }
}

// Fills whole runs of a row at a time; neighbors are above, below, left and right.
function floodFill(pixels, start, color) {
  const replaced = pixels[start.y * SIZE + start.x];
  if (replaced === color) return;
  const seeds = [start.y * SIZE + start.x];
  while (seeds.length) {
    const seed = seeds.pop();
    if (pixels[seed] !== replaced) continue;
    const row = seed - (seed % SIZE);
    let [left, right] = [seed, seed];
    while (left > row && pixels[left - 1] === replaced) left--;
    while (right < row + SIZE - 1 && pixels[right + 1] === replaced) right++;
    pixels.fill(color, left, right + 1);
    seedRuns(pixels, seeds, left - SIZE, right - SIZE, replaced);
    seedRuns(pixels, seeds, left + SIZE, right + SIZE, replaced);
  }
}

// One seed for each run of a color; outside the picture, pixels are undefined and match none.
function seedRuns(pixels, seeds, left, right, color) {
  for (let at = left; at <= right; at++)
    if (pixels[at] === color && (at === right || pixels[at + 1] !== color)) seeds.push(at);
}
