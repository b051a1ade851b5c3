// Elements made from text, never from markup: whatever a file or class is called, it is shown as it is.

/** Returns a new element. `properties` are attributes; `on` + event are listeners; true is an attribute without a value. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Returns a probability in 0..1 as text: 93.1 %, and never 100 % or 0 % where it is not. */
export function percent(probability) {
  if (probability > 0.999 && probability < 1) return "> 99.9 %";
  if (probability > 0 && probability < 0.001) return "< 0.1 %";
  return `${(100 * probability).toFixed(1)} %`;
}

/** Returns a number with its noun: 1 image, 2 images. */
export const count = (number, noun, plural = `${noun}s`) => `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;
