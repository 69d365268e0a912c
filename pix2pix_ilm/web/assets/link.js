// A picture in an address: its classes, deflated, in letters that addresses may have. It stands
// in the part that browsers keep to themselves.
const MARK = "#map=";
const MAX_LINK = 90_000; // letters: no picture needs more

async function copyLink() {
  const deflated = await pass(Uint8Array.from(pixels, classOf), new CompressionStream("deflate-raw"));
  const letters = btoa(String.fromCharCode(...deflated));
  const link = new URL(location.href);
  link.hash = `${MARK}${tag}.` + letters.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  try {
    await navigator.clipboard.writeText(link.href);
    say("A link with this picture is in the clipboard.");
  } catch {
    history.replaceState(history.state, "", link); // not allowed, as without HTTPS
    say("The address of this page now holds the picture.");
  }
}

async function openLink() {
  const { hash, pathname, search } = location;
  if (!hash.startsWith(MARK)) return;
  history.replaceState(history.state, "", pathname + search); // a reload keeps what is painted
  const [known, letters] = hash.slice(MARK.length).split(".");
  if (letters && known !== tag) return say("The link's picture is of other classes.");
  let indices;
  try {
    indices = await unpack(letters);
  } catch {
    return say("The link holds no picture that can be read.");
  }
  cancelStroke();
  const before = pixels.slice();
  pixels.set(indices.map((index) => colors[index]));
  show();
  remember(before);
  store();
  refresh();
  if (started) trigger("link");
  else restored = props.value; // the page is new, and translates what it starts with
}

async function unpack(letters) {
  if (letters.length > MAX_LINK) throw new RangeError("too long");
  const text = atob(letters.replaceAll("-", "+").replaceAll("_", "/"));
  const deflated = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const indices = await pass(deflated, new DecompressionStream("deflate-raw"));
  const known = indices.every((index) => index < colors.length);
  if (indices.length !== SIZE * SIZE || !known) throw new RangeError("not a picture");
  return Uint32Array.from(indices);
}

async function pass(bytes, stream) {
  const passed = new Response(new Blob([bytes]).stream().pipeThrough(stream));
  return new Uint8Array(await passed.arrayBuffer());
}
