// Images that are dropped, pasted, chosen or photographed.

import { byId } from "./elements.js";

/** Calls `accept(files)` for every way in which images come. */
export function listen(accept) {
  for (const [button, input] of [["choose", "files"], ["photograph", "camera"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", (event) => {
      const files = [...event.target.files];
      event.target.value = ""; // so that the same file can be chosen again
      if (files.length) accept(files);
    });
  }
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return; // text in a field
    event.preventDefault();
    accept(files);
  });
  listenToDrops(accept);
}

function listenToDrops(accept) {
  const target = byId("drop");
  let depth = 0; // a drag enters an element before it leaves the last one
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    target.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!carriesFiles(event)) return;
    depth -= 1;
    if (depth <= 0) target.classList.remove("over");
  });
  document.addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  document.addEventListener("drop", async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault(); // the browser would open the file instead of this page
    depth = 0;
    target.classList.remove("over");
    const files = await dropped(event.dataTransfer);
    if (files.length) accept(files);
  });
}

/** Returns the files of a drop; of a folder, all images below it. */
async function dropped(transfer) {
  // The list is empty after the first await.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...transfer.files];
  if (!entries.some((entry) => entry.isDirectory)) return plain;
  const found = [];
  for (const entry of entries) await collect(entry, found, true);
  return found;
}

async function collect(entry, found, named) {
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    if (file && (named || file.type.startsWith("image/") || /\.(hei[cf]|tiff?|jp2)$/i.test(file.name))) found.push(file);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return;
    for (const child of some) await collect(child, found, false);
  }
}
