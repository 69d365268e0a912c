() => {
  const one = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const setIfOther = (node, name, value) => node[name] === value || (node[name] = value);

  // Which tab of label maps is open: paint, upload or batch.
  window.openSource = () =>
    one("#sources [role=tab][aria-selected=true]").textContent.trim().toLowerCase();
  window.openPainting = () => (window.openSource() === "paint" ? "paint" : "");
  // Opens a tab for a visitor who is still in one of those that it is opened from.
  window.openTab = (tab, { from }) => ({
    __type__: "update",
    ...(from.includes(window.openSource()) ? { selected: tab } : {}),
  });
  // The open tab, once for each time that the visitor opened it: Gradio also tells of a tab when the
  // page is new, and when the page itself opens one.
  let chosen = "";
  const choose = ({ target, isTrusted }) => {
    const tab = isTrusted && target.closest?.("#sources [role=tab][aria-selected=false]");
    if (tab) chosen = tab.textContent.trim().toLowerCase();
  };
  document.addEventListener("click", choose, { capture: true }); // before Gradio opens it
  window.chosenSource = () => {
    const source = chosen === window.openSource() ? chosen : "";
    chosen = "";
    return source;
  };

  // An image that is pasted anywhere on the page, or dropped on the painter, becomes the upload.
  const uploadInput = async () => {
    const find = () => one("#upload input[type=file]");
    while (!find()) await new Promise((resolve) => setTimeout(resolve, 50)); // its tab just opened
    return find();
  };

  const upload = async (event, files) => {
    const image = [...(files ?? [])].find((file) => file.type.startsWith("image/"));
    if (!image) return;
    event.preventDefault();
    all("#sources [role=tab]").find((tab) => tab.textContent.trim() === "Upload").click();
    const input = await uploadInput();
    const chosen = new DataTransfer();
    chosen.items.add(image);
    input.files = chosen.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const isOnPainter = (event) => event.target.closest?.("#canvas");

  document.addEventListener("paste", (event) => upload(event, event.clipboardData?.files));
  document.addEventListener("dragover", (event) => isOnPainter(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!isOnPainter(event)) return;
    event.preventDefault(); // or the browser would leave the page for the file
    upload(event, event.dataTransfer.files);
  });

  // A file that is no image makes room for the next one, once the message says what is wrong.
  window.makeRoom = () => {
    for (const image of all("#upload img, #reference img")) {
      const remove = image.closest(".block").querySelector("button[aria-label='Remove Image']");
      image.decode().catch(() => image.complete && !image.naturalWidth && remove.click());
    }
  };

  // Lists close when the keyboard goes on: Gradio's stay open.
  const closeList = ({ target }) =>
    target.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Tab" && event.target.matches("input[role=combobox]")) closeList(event);
  });

  // The keys, in a dialog.
  const keys = one("#keys");
  one("#open-keys").addEventListener("click", () => keys.showModal());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("textarea, input:not([type=range], [type=checkbox])");
    if (event.key === "?" && !typing && !keys.open) keys.showModal();
  });
  keys.addEventListener("click", ({ target }) => target === keys && keys.close()); // beside it

  // What Gradio leaves without a name, and the small photo of narrow screens.
  const complete = () => {
    for (const box of all("#photo, #second-photo")) {
      const name = `Photo by ${box.querySelector("label")?.textContent.trim()}`;
      const image = box.querySelector("img");
      if (image) setIfOther(image, "alt", name);
      const button = image?.closest("button");
      if (button) setIfOther(button, "ariaLabel", name);
    }
    for (const empty of all(".empty[aria-label]")) empty.removeAttribute("aria-label");
    const [photo, small] = [one("#photo img"), one("#thumbnail img")];
    if (photo && small) setIfOther(small, "src", photo.src);
  };
  one("#note").role = "status"; // read aloud when a photo is finished
  one("#stale").role = "status";
  document.addEventListener("click", ({ target }) => {
    if (target.closest?.("#thumbnail")) one("#photo").scrollIntoView();
  });
  new MutationObserver(complete).observe(document.body, {
    subtree: true,
    childList: true,
    attributeFilter: ["src"],
  });
  complete();
};
