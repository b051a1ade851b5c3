// The table of many images: sortable columns, one row per image.

import { differ } from "./differences.js";
import { byId, count, make, percent } from "./elements.js";

const order = { column: null, down: false };
let onlyApart = false;

/** Draws the table. open(image) is called for the row that is chosen. */
export function draw(images, models, chosen, open) {
  const place = byId("batch");
  const focused = document.activeElement?.dataset?.focus; // drawing anew must not take the focus away
  const scroll = place.querySelector(".wide")?.scrollLeft ?? 0;
  const columns = columnsOf(models);
  const again = () => draw(images, models, chosen, open);
  const rows = sorted(images, columns).filter((image) => !(onlyApart && models.length === 2) || apartOf(image, models));
  place.replaceChildren(
    models.length === 2 ? filter(images, models, again) : "",
    make(
      "div",
      { class: "wide batch", tabindex: "0", role: "region", "aria-label": "Table of all images" },
      make(
        "table",
        {},
        make("caption", { class: "visually-hidden" }, "Results. The buttons of the header sort the rows."),
        make("thead", {}, make("tr", {}, columns.map((column) => head(column, again)))),
        make("tbody", {}, rows.map((image) => row(image, columns, image === chosen, open))),
      ),
    ),
  );
  place.querySelector(".wide").scrollLeft = scroll;
  if (focused) place.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

const apartOf = (image, models) => differ(...models.map((model) => image.results.get(model.name)));

function filter(images, models, again) {
  const number = images.filter((image) => apartOf(image, models)).length;
  const box = make("input", { type: "checkbox", "data-focus": "only-apart" });
  box.checked = onlyApart;
  box.addEventListener("change", () => {
    onlyApart = box.checked;
    again();
  });
  return make("label", { class: "check" }, box, ` Only where the models differ (${count(number, "image")})`);
}

/** A column: its title, the value to sort by, and the cell. */
function columnsOf(models) {
  const columns = [{ title: "Image", value: (image) => image.name.toLowerCase(), file: true }];
  for (const model of models) {
    const prefix = models.length > 1 ? `${model.name}: ` : "";
    const of = (image) => image.results.get(model.name);
    columns.push({ title: `${prefix}${prefix ? "class" : "Class"}`, value: (image) => of(image)?.top?.[0]?.class ?? null, text: (image) => of(image)?.top?.[0]?.class ?? state(image, of(image)) });
    columns.push({ title: `${prefix}${prefix ? "probability" : "Probability"}`, number: true, value: (image) => of(image)?.top?.[0]?.probability ?? null, text: (image, value) => (value === null ? "" : percent(value)) });
    if (model.offers?.sets) columns.push({ title: `${prefix}set`, number: true, value: (image) => of(image)?.in_set?.length ?? null, text: (image) => of(image)?.in_set?.join(", ") ?? "" });
    if (model.offers?.known) columns.push({ title: `${prefix}known`, value: (image) => of(image)?.known ?? null, text: (image, value) => (value === null ? "" : value ? "yes" : "unknown") });
  }
  if (models.length === 2) columns.push({ title: "Differ", value: (image) => apartOf(image, models), text: (image, value) => (value === null ? "" : value ? "≠ differ" : "agree") });
  return columns;
}

function state(image, result) {
  return result?.error ? `Cannot be used: ${result.error}` : (image.problem ?? (image.running ? "…" : "waiting"));
}

function sorted(images, columns) {
  const column = columns.find((one) => one.title === order.column);
  if (!column) return images;
  const compare = (one, other) => {
    const [left, right] = [column.value(one), column.value(other)];
    if (left === null || right === null) return (left === null) - (right === null); // what has no value comes last
    const sign = typeof left === "string" ? left.localeCompare(right) : left - right;
    return order.down ? -sign : sign;
  };
  return [...images].sort(compare);
}

function head(column, again) {
  const mine = order.column === column.title;
  const sort = () => {
    // A first click shows the largest numbers, but the first names.
    Object.assign(order, { down: mine ? !order.down : Boolean(column.number), column: column.title });
    again();
  };
  const arrow = make("span", { "aria-hidden": "true" }, mine ? (order.down ? " ↓" : " ↑") : " ↕");
  return make(
    "th",
    { scope: "col", class: column.number ? "number" : null, "aria-sort": mine ? (order.down ? "descending" : "ascending") : null },
    make("button", { type: "button", class: "sort", onclick: sort, "data-focus": `sort ${column.title}` }, column.title, arrow),
  );
}

function row(image, columns, chosen, open) {
  const failed = Boolean(image.problem) || [...image.results.values()].some((result) => result.error);
  const cells = columns.map((column) => {
    if (column.file) return make("th", { scope: "row" }, fileButton(image, chosen, open));
    return make("td", { class: column.number ? "number" : null }, column.text(image, column.value(image)));
  });
  return make("tr", { class: [chosen && "chosen", failed && "failed"].filter(Boolean).join(" ") || null }, cells);
}

function fileButton(image, chosen, open) {
  const small = make("img", { src: image.url, alt: "", loading: "lazy", decoding: "async", width: "40", height: "40" });
  small.addEventListener("error", () => small.classList.add("hidden"));
  return make(
    "button",
    { type: "button", class: "file", "aria-pressed": String(chosen), "data-focus": `file ${image.id}`, onclick: () => open(image) },
    small,
    make("span", {}, image.name),
  );
}
