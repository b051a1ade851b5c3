// The page: its state, and what changes it.

import * as batch from "./batch.js";
import * as csv from "./csv.js";
import { byId, count, make } from "./elements.js";
import { listen } from "./intake.js";
import { run } from "./queue.js";
import { detail } from "./result.js";
import * as server from "./server.js";

const TOP = 5;
const NEIGHBORS = 5;
const MOST = 1000; // images at once: each keeps its file and a row

// An image: id, name, file, url (its preview), results (by model), full (models asked for maps too), problem, running.
const state = { served: [], images: [], chosen: null, control: null, numbers: 0 };
let drawing = false;

const asked = () => {
  const names = new Set([byId("model").value, byId("other").value].filter(Boolean));
  return state.served.filter((model) => names.has(model.name)).sort((model) => (model.name === byId("model").value ? -1 : 1));
};
const finished = (image) => asked().every((model) => image.results.has(model.name));
const failed = (image) => image.problem !== null;

async function start() {
  listen(accept);
  byId("settings").addEventListener("change", settingsChanged);
  byId("settings").addEventListener("submit", (event) => event.preventDefault());
  byId("cancel").addEventListener("click", () => state.control?.abort());
  byId("again").addEventListener("click", () => work(state.images.filter(failed)));
  byId("clear").addEventListener("click", clear);
  byId("csv").addEventListener("click", () => csv.save(csv.table(state.images, asked().map((model) => model.name), TOP), "predictions.csv"));
  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    server.authorize(byId("token").value);
    byId("token-form").hidden = true;
    if (state.served.length) work(state.images.filter(failed));
    else load();
  });
  await load();
}

async function load() {
  try {
    state.served = await server.models();
  } catch (error) {
    complain(error, make("button", { type: "button", onclick: load }, "Try again"));
    return;
  }
  complain(null);
  const options = () => state.served.map((model) => make("option", { value: model.name }, model.name));
  byId("model").replaceChildren(...options());
  byId("other").replaceChildren(make("option", { value: "" }, "no other"), ...options());
  byId("other").parentElement.hidden = state.served.length < 2;
  showSettings();
  if (state.images.length) work(state.images.filter((image) => !finished(image)));
}

function showSettings() {
  const main = byId("model").value;
  for (const option of byId("other").options) option.disabled = option.value === main;
  if (byId("other").value === main) byId("other").value = "";
  byId("cam-label").hidden = !asked().some((model) => model.offers.cam);
  byId("neighbors-label").hidden = !asked().some((model) => model.offers.neighbors);
  const [model] = asked();
  const names = model.classes.slice(0, 12).join(", ");
  byId("about").textContent =
    `${model.format}, version ${model.version}. ${model.several_labels ? count(model.classes.length, "label") : count(model.classes.length, "class", "classes")}: ` +
    `${names}${model.classes.length > 12 ? ", …" : ""}`;
}

function settingsChanged() {
  state.control?.abort();
  showSettings();
  for (const image of state.images) {
    image.full.clear(); // the map of another choice
    image.problem = null;
  }
  const open = state.images.filter((image) => !finished(image));
  if (open.length) work(open);
  else if (state.chosen) show(state.chosen, false);
  refresh();
}

function accept(files) {
  const room = MOST - state.images.length;
  const added = files.slice(0, Math.max(0, room)).map((file) => ({
    id: (state.numbers += 1),
    name: file.name || "pasted image",
    file,
    url: URL.createObjectURL(file),
    results: new Map(),
    full: new Set(),
    problem: null,
    running: false,
  }));
  state.images.push(...added);
  if (files.length > added.length) complain(new Error(`${count(MOST, "image")} at once are the most: ${files.length - added.length} were left out.`));
  else complain(null);
  if (!added.length) return;
  state.chosen = added[0];
  if (state.served.length) work(added, !state.control);
  refresh();
}

/** Asks for these images; while others are asked for, these come after them. */
async function work(images, fresh = true) {
  for (const image of images) image.problem = null;
  if (!fresh && state.control && !state.control.signal.aborted) {
    state.waiting = [...(state.waiting ?? []), ...images];
    return;
  }
  const control = new AbortController();
  state.control = control;
  complain(null);
  say(`${count(images.length, "image")} on the way to the server.`);
  const fatal = await run(images, (image) => classify(image, control.signal), control.signal);
  if (state.control !== control) return; // the settings changed, and another call works on these images
  const left = images.filter((image) => !finished(image) && !failed(image));
  for (const image of left) image.problem = control.signal.aborted ? "canceled" : (fatal?.message ?? "not done");
  state.control = null;
  const waiting = state.waiting ?? [];
  state.waiting = [];
  if (fatal || control.signal.aborted) for (const image of waiting) image.problem = fatal?.message ?? "canceled";
  else if (waiting.length) return work(waiting);
  if (fatal) complain(fatal);
  finish(control.signal.aborted, fatal === null);
}

/** Says how it ended; `reachable`: whether the server can be asked for the maps of the open image. */
function finish(canceled, reachable) {
  refresh();
  const lost = state.images.filter(failed).length;
  const [model] = asked();
  const only = state.images.length === 1 ? state.images[0].results.get(model.name) : null;
  const said = only && !only.error ? ` ${only.top[0].class}, ${(100 * only.top[0].probability).toFixed(0)} percent.` : "";
  const done = state.images.length - lost;
  say(`${canceled ? "Canceled. " : ""}${count(done, "image")} done${lost ? `, ${lost} not` : ""}.${said}`);
  if (reachable && state.chosen && finished(state.chosen)) show(state.chosen, false);
}

async function classify(image, signal) {
  image.running = true;
  refresh();
  try {
    for (const model of asked()) {
      if (!image.results.has(model.name)) image.results.set(model.name, await request(image, model, {}, signal));
    }
  } catch (error) {
    // After a change of the settings another call works on this image.
    if (state.control?.signal === signal) image.problem = error.name === "AbortError" ? "canceled" : error.message;
    throw error;
  } finally {
    image.running = false;
    refresh();
  }
}

function request(image, model, more, signal) {
  return server.predict(image.file, model.name, { top: TOP, ...more }, signal, (error) => {
    if (state.control) byId("progress-label").textContent = `${error.message} Trying again …`;
  });
}

/** Opens an image; its class maps and neighbors are asked for now, as they cost more than the classes. */
async function show(image, focus = true) {
  state.chosen = image;
  refresh();
  if (focus) {
    byId("detail").focus({ preventScroll: true });
    byId("detail").scrollIntoView({ block: "nearest" });
  }
  for (const model of asked()) {
    const cam = model.offers.cam && byId("cam").checked ? "grad-cam" : null;
    const neighbors = model.offers.neighbors && byId("neighbors").checked ? NEIGHBORS : 0;
    const plain = image.results.get(model.name);
    if (!plain || plain.error) continue;
    if (!cam) plain.overlay = null;
    if (!neighbors) plain.neighbors = null;
    if ((!cam && !neighbors) || image.full.has(model.name)) continue;
    image.full.add(model.name);
    try {
      const { overlay, neighbors: near } = await request(image, model, { cam, neighbors });
      Object.assign(plain, { overlay, neighbors: near });
    } catch (error) {
      image.full.delete(model.name);
      complain(error);
      return;
    }
    refresh();
  }
  refresh();
}

function clear() {
  state.control?.abort();
  for (const image of state.images) URL.revokeObjectURL(image.url);
  Object.assign(state, { images: [], chosen: null, control: null, waiting: [] });
  complain(null);
  say("All images are removed.");
  refresh();
  byId("choose").focus();
}

/** Draws what changed, at most once a frame. */
function refresh() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function draw() {
  const { images, control } = state;
  const done = images.filter((image) => finished(image) || failed(image)).length;
  const lost = images.filter(failed).length;
  byId("work").hidden = images.length === 0;
  byId("drop").classList.toggle("small", images.length > 0);
  byId("progress").hidden = byId("cancel").hidden = !control;
  byId("again").hidden = Boolean(control) || lost === 0;
  byId("csv").hidden = done === lost;
  Object.assign(byId("progress"), { max: Math.max(images.length, 1), value: done });
  byId("progress-label").textContent = control
    ? `${done} of ${count(images.length, "image")}`
    : `${count(images.length - lost, "image")} done${lost ? `, ${lost} not` : ""}`;
  byId("batch").hidden = images.length < 2;
  if (images.length > 1) batch.draw(images, asked(), state.chosen, show);
  byId("detail").hidden = !state.chosen;
  if (state.chosen && state.served.length) drawDetail();
}

/** The view is made anew only when it says something else, so that the slider of a class map stays in one's hand. */
function drawDetail() {
  const image = state.chosen;
  const models = asked();
  const seen = models.map((model) => image.results.get(model.name));
  const key = JSON.stringify([image.id, image.problem, models.map((model) => model.name), seen]);
  if (drawDetail.key === key && byId("detail").firstChild) return;
  drawDetail.key = key;
  byId("detail").replaceChildren(detail(image, models));
}

function say(text) {
  byId("status").textContent = text;
}

/** Shows a problem with the whole page or queue, with a button where there is one; null removes it. */
function complain(error, ...more) {
  byId("alert").hidden = !error;
  byId("alert").replaceChildren(...(error ? [`${error.message} `, ...more] : []));
  if (error?.kind === "token") {
    byId("token-form").hidden = false;
    byId("token").focus();
  }
}

start();
