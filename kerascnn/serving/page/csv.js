// Results as CSV (RFC 4180), safe to open in a spreadsheet.

/** Returns a cell. A text that a spreadsheet would compute begins with an apostrophe, which it does not show. */
export function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = /^\s*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Returns one row per image and model. images: those of main.js; names: the models; top: classes of a row. */
export function table(images, names, top) {
  const places = Array.from({ length: top }, (_, place) => place + 1);
  const header = ["file", "model", "version", ...places.flatMap((place) => [`class_${place}`, `probability_${place}`])];
  const rows = [[...header, "in_set", "known", "error"]];
  for (const image of images) {
    for (const name of names) {
      const found = image.results.get(name);
      const classes = places.flatMap((place) => {
        const row = found?.top?.[place - 1];
        return row ? [row.class, row.probability] : ["", ""];
      });
      const error = found ? found.error : (image.problem ?? "not done");
      rows.push([image.name, name, found?.version, ...classes, found?.in_set?.join(" | "), found?.known, error]);
    }
  }
  // The mark at the beginning makes spreadsheets read UTF-8.
  return `\uFEFF${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** Lets the browser save a text. */
export function save(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
