() => {
  // An image that is pasted anywhere on the page, or dropped on the painter, becomes the upload.
  const uploadInput = async () => {
    const find = () => document.querySelector("#upload input[type=file]");
    while (!find()) await new Promise((resolve) => setTimeout(resolve, 50)); // its tab just opened
    return find();
  };

  const upload = async (event, files) => {
    const image = [...(files ?? [])].find((file) => file.type.startsWith("image/"));
    if (!image) return;
    event.preventDefault();
    const tabs = [...document.querySelectorAll("#sources [role=tab]")];
    tabs.find((tab) => tab.textContent.trim() === "Upload").click();
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
    for (const image of document.querySelectorAll("#upload img, #reference img")) {
      const remove = image.closest(".block").querySelector("button[aria-label='Remove Image']");
      image.decode().catch(() => image.complete && !image.naturalWidth && remove.click());
    }
  };
};
