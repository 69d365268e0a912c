() => {
  // An image that is pasted anywhere on the page, or dropped on the painter, becomes the upload.
  const uploadInput = () => document.querySelector("#upload input[type=file]");

  const openUpload = async () => {
    const tabs = [...document.querySelectorAll("#sources [role=tab]")];
    tabs.find((tab) => tab.textContent.trim() === "Upload")?.click();
    for (let tries = 0; tries < 40 && !uploadInput(); tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return uploadInput();
  };

  const upload = async (event, files) => {
    const image = [...(files ?? [])].find((file) => file.type.startsWith("image/"));
    if (!image) return;
    event.preventDefault();
    const input = await openUpload();
    if (!input) return;
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

  // A file that is no image makes room for the next one; the message says what is wrong with it.
  const makeRoom = ({ target }) =>
    target
      .closest?.("#upload, #reference")
      ?.querySelector("button[aria-label='Remove Image']")
      ?.click();
  document.addEventListener("error", makeRoom, true);
};
