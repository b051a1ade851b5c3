// One image in full: the image with its class map, and what each model says about it.

import { differences, differ } from "./differences.js";
import { make, percent } from "./elements.js";

/** Returns the view of one image. models: the served models that were asked, one or two. */
export function detail(image, models) {
  const results = models.map((model) => image.results.get(model.name));
  const both = results.length === 2 && results.every((result) => result && !result.error);
  const apart = both ? differ(...results) : false;
  return make(
    "div",
    { class: `detail models-${models.length}` },
    make("h2", {}, image.name),
    both ? differences(...results) : null,
    make(
      "div",
      { class: "cards" },
      models.map((model, place) => card(image, model, results[place], apart, models.length > 1)),
    ),
  );
}

function card(image, model, result, apart, titled) {
  const content = [titled ? make("h3", {}, model.name) : null, picture(image, model, result)];
  if (!result) {
    content.push(make("p", { class: image.problem ? "alert" : "faint" }, image.problem ?? "Waiting for the server …"));
  } else if (result.error) {
    content.push(make("p", { class: "alert" }, `This image cannot be used: ${result.error}`));
  } else {
    content.push(make("div", { class: "answers" }, ...answers(model, result, apart)));
  }
  return make("article", { class: "card", "aria-label": titled ? model.name : null }, content);
}

function answers(model, result, apart) {
  const inSet = new Set(result.in_set ?? []);
  const rows = result.top.map((row, place) =>
    make(
      "li",
      { class: place === 0 ? (apart ? "first apart" : "first") : null },
      make("span", { class: "class" }, row.class, inSet.has(row.class) ? make("span", { class: "tag" }, "in the set") : null),
      make("span", { class: "number" }, percent(row.probability)),
      bar(row.probability),
    ),
  );
  return [
    result.known === false
      ? make("p", { class: "warning" }, make("strong", {}, "Unknown. "), "The image does not resemble the training images: do not trust the classes below.")
      : null,
    make("ol", { class: "bars", "aria-label": model.several_labels ? "Most probable labels" : "Most probable classes" }, rows),
    Array.isArray(result.in_set) ? setOf(result.in_set, model.coverage) : null,
    result.neighbors?.length ? neighbors(result.neighbors) : null,
    make("p", { class: "faint small" }, `${result.model}, version ${result.version}`),
  ];
}

function bar(probability) {
  const fill = make("span", { class: "fill" });
  fill.style.width = `${100 * probability}%`; // a style attribute would be against the page's policy
  return make("span", { class: "bar", "aria-hidden": "true" }, fill);
}

function setOf(names, coverage) {
  const said = names.length === 0 ? "empty: no class is probable enough" : names.join(", ");
  const share = coverage ? ` (made to hold the truth for ${(100 * coverage).toFixed(0)} % of images like those of the training)` : "";
  return make("p", { class: "set" }, make("strong", {}, "Prediction set: "), said, share ? make("span", { class: "faint small" }, share) : null);
}

function neighbors(found) {
  const figures = found.map((row) =>
    make(
      "li",
      {},
      row.thumbnail ? make("img", { src: `data:${kind(row.thumbnail)};base64,${row.thumbnail}`, alt: "" }) : null,
      make("span", { title: row.path }, row.class),
      make("span", { class: "faint" }, row.distance.toFixed(3)),
    ),
  );
  return make("div", {}, make("h4", {}, "Nearest training images, and their distances"), make("ol", { class: "neighbors" }, figures));
}

const kind = (base64) => (base64.startsWith("iVBOR") ? "image/png" : "image/jpeg");

/** The image, upright (browsers read EXIF), with the class map over the part that the network saw. */
function picture(image, model, result) {
  const shown = make("img", { src: image.url, alt: `Preview of ${image.name}`, class: "photo" });
  const stage = make("div", { class: "stage" }, shown);
  const figure = make("figure", {}, stage);
  shown.addEventListener("error", () => {
    figure.replaceChildren(make("p", { class: "no-preview faint" }, "No preview: the browser cannot show this file."));
  });
  shown.addEventListener("load", () => shown.classList.toggle("pixels", shown.naturalWidth < 100));
  if (result?.overlay) figure.append(...classMap(stage, result));
  return figure;
}

function classMap(stage, result) {
  const { png, box, empty } = result.overlay;
  const heat = make("img", { src: `data:image/png;base64,${png}`, alt: "", class: "heat" });
  const part = make("div", { class: "part" }, heat);
  const { left, top, width, height } = box ?? { left: 0, top: 0, width: 1, height: 1 };
  Object.assign(part.style, { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * width}%`, height: `${100 * height}%` });
  stage.append(part);
  const range = make("input", { type: "range", min: "0", max: "100", value: "60", step: "5" });
  const show = () => {
    heat.style.opacity = String(range.value / 100);
    range.setAttribute("aria-valuetext", `${range.value} percent`);
  };
  range.addEventListener("input", show);
  show();
  const first = result.top[0].class;
  const caption = empty ? `Nothing in the image supports ${first}.` : `Bright: what speaks for ${first}. Framed: what the network sees.`;
  return [make("label", { class: "slider" }, "Class map ", range), make("figcaption", { class: "faint small" }, caption)];
}
