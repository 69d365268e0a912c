() => {
  // An image that is pasted anywhere on the page becomes the upload.
  const uploadInput = () => document.querySelector("#upload input[type=file]");

  const openUpload = async () => {
    const tabs = [...document.querySelectorAll("#sources [role=tab]")];
    tabs.find((tab) => tab.textContent.trim() === "Upload")?.click();
    for (let tries = 0; tries < 40 && !uploadInput(); tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return uploadInput();
  };

  document.addEventListener("paste", async (event) => {
    const image = [...(event.clipboardData?.files ?? [])].find((file) =>
      file.type.startsWith("image/"),
    );
    if (!image) return;
    event.preventDefault();
    const input = await openUpload();
    if (!input) return;
    const files = new DataTransfer();
    files.items.add(image);
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // A file that is no image makes room for the next one; the message says what is wrong with it.
  const makeRoom = ({ target }) =>
    target
      .closest?.("#upload, #reference")
      ?.querySelector("button[aria-label='Remove Image']")
      ?.click();
  document.addEventListener("error", makeRoom, true);
};
