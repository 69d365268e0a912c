// From pixels to what the network takes, and back, as the package's Translator does it.
// Images are { width, height, data }, with data RGBA, as those of a canvas.

export function resized(image, width, height) {
  if (image.width === width && image.height === height) return image;
  const from = new Uint32Array(image.data.buffer, image.data.byteOffset, image.width * image.height);
  const to = new Uint32Array(width * height);
  const nearest = (at, size, whole) => Math.min(whole - 1, Math.floor(((at + 0.5) * whole) / size));
  for (let y = 0; y < height; y++) {
    const row = nearest(y, height, image.height) * image.width;
    for (let x = 0; x < width; x++) to[y * width + x] = from[row + nearest(x, width, image.width)];
  }
  return { width, height, data: new Uint8ClampedArray(to.buffer) };
}

// Gives every pixel the nearest of some colors, as a network of label classes sees it.
export function snapped(image, colors) {
  const data = new Uint8ClampedArray(image.data.length);
  const known = new Map();
  for (let at = 0; at < data.length; at += 4) {
    const [red, green, blue] = image.data.subarray(at, at + 3);
    const key = (red << 16) | (green << 8) | blue;
    if (!known.has(key)) {
      const distances = colors.map(([r, g, b]) => (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2);
      known.set(key, colors[distances.indexOf(Math.min(...distances))]);
    }
    data.set(known.get(key), at);
    data[at + 3] = 255;
  }
  return { width: image.width, height: image.height, data };
}

// Float32 planes from -1 to 1; the right and bottom edges are repeated up to a multiple.
export function planes({ width, height, data }, channels, multiple) {
  const [wide, high] = [width, height].map((side) => Math.ceil(side / multiple) * multiple);
  const values = new Float32Array(channels * high * wide);
  for (let y = 0; y < high; y++)
    for (let x = 0; x < wide; x++) {
      const from = 4 * (Math.min(y, height - 1) * width + Math.min(x, width - 1));
      const to = y * wide + x;
      if (channels === 1) values[to] = gray(data, from) / 127.5 - 1;
      else for (let c = 0; c < 3; c++) values[c * high * wide + to] = data[from + c] / 127.5 - 1;
    }
  return { values, shape: [1, channels, high, wide] };
}

// ITU-R 601, in the integers that Pillow computes with.
function gray(data, at) {
  return (data[at] * 19595 + data[at + 1] * 38470 + data[at + 2] * 7471 + 0x8000) >> 16;
}

export function picture(values, [, channels, high, wide], width, height) {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const to = 4 * (y * width + x);
      for (let c = 0; c < 3; c++) {
        const plane = channels === 1 ? 0 : c;
        data[to + c] = (values[plane * high * wide + y * wide + x] + 1) * 127.5; // rounds
      }
      data[to + 3] = 255;
    }
  return { width, height, data };
}
