// Where two models differ on one image.

import { make, percent } from "./elements.js";

/** Returns whether two results name different first classes; null where one of them has none. */
export function differ(one, other) {
  if (!one?.top?.length || !other?.top?.length) return null;
  return one.top[0].class !== other.top[0].class;
}

/** Returns the sentence and the table of two results of one image. */
export function differences(one, other) {
  const apart = differ(one, other);
  if (apart === null) return null;
  const sentence = apart
    ? `They differ: ${one.model} says ${one.top[0].class}, ${other.model} says ${other.top[0].class}.`
    : `They agree on ${one.top[0].class}.`;
  const rows = compared(one, other).map(({ name, left, right, gap }) =>
    make(
      "tr",
      { class: Math.abs(gap) >= 0.1 ? "apart" : null },
      make("th", { scope: "row" }, name),
      make("td", { class: "number" }, left),
      make("td", { class: "number" }, right),
      make("td", { class: "number" }, `${gap > 0 ? "+" : gap < 0 ? "−" : ""}${(100 * Math.abs(gap)).toFixed(1)}`),
    ),
  );
  return make(
    "section",
    { class: `differences ${apart ? "differ" : "agree"}`, "aria-label": "Where the models differ" },
    make("p", { class: "headline" }, make("span", { "aria-hidden": "true" }, apart ? "≠ " : "= "), sentence),
    make(
      "div",
      { class: "wide", tabindex: "0", role: "region", "aria-label": "Probabilities of both models" },
      make(
        "table",
        {},
        make(
          "thead",
          {},
          make(
            "tr",
            {},
            ["Class", one.model, other.model, "Difference (points)"].map((name, place) =>
              make("th", { scope: "col", class: place ? "number" : null }, name),
            ),
          ),
        ),
        make("tbody", {}, rows),
      ),
    ),
  );
}

/** Rows of all classes that one of the results lists, the largest difference first. */
function compared(one, other) {
  const names = new Set([...one.top, ...other.top].map((row) => row.class));
  const rows = [...names].map((name) => {
    const [left, right] = [one, other].map((result) => result.top.find((row) => row.class === name)?.probability);
    return { name, left: shown(left, one), right: shown(right, other), gap: (right ?? least(other)) - (left ?? least(one)) };
  });
  return rows.sort((first, second) => Math.abs(second.gap) - Math.abs(first.gap));
}

const least = (result) => (rest(result) > 1e-6 ? Math.min(result.top.at(-1).probability, rest(result)) : 0);
const rest = (result) => Math.max(0, 1 - result.top.reduce((sum, row) => sum + row.probability, 0));

/** A class that is not listed has at most the probability of the last that is. */
function shown(probability, result) {
  return probability === undefined ? `≤ ${percent(least(result)).replace("< ", "")}` : percent(probability);
}
