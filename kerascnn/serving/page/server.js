// The requests to the server that this page comes from, and what is done about each refusal.

const TRIES = { busy: 12, slow: 2, gone: 3 }; // requests in all, by the kind of refusal
const LONGEST_WAIT = 20; // seconds

let token = null;

/** Sends this bearer token from now on; it is not stored. */
export function authorize(given) {
  token = given;
}

/** A refusal. `kind`: busy, slow, gone (no connection, or the server is stopping), token, or refused (for this image). */
export class ServerError extends Error {
  constructor(kind, message, wait = null) {
    super(message);
    this.kind = kind;
    this.wait = wait; // seconds, where the server names them
  }
}

/** Returns the served models: see the API page. */
export async function models() {
  return (await ask("api/models", {})).models;
}

/**
 * Returns the result of one image, an entry of `results`, with `model` and `version`.
 * options: top, cam (a method or null), neighbors (a number or 0). onWait is told why a request waits.
 */
export async function predict(file, model, options, signal, onWait = () => {}) {
  const query = new URLSearchParams({ model, top: options.top });
  if (options.cam) query.set("cam", options.cam);
  if (options.neighbors) query.set("neighbors", options.neighbors);
  const tried = { busy: 0, slow: 0, gone: 0 };
  for (;;) {
    try {
      const body = new FormData(); // anew each time: a body is read once
      body.append("image", file, file.name);
      const answer = await ask(`predict?${query}`, { method: "POST", body, signal });
      return { ...answer.results[0], model: answer.model, version: answer.version };
    } catch (error) {
      // A second try would end in the same way: that is the image's result.
      if (error.kind === "refused") return { top: [], error: error.message, model, version: null };
      if (!(error instanceof ServerError) || !(error.kind in TRIES)) throw error;
      tried[error.kind] += 1;
      if (tried[error.kind] >= TRIES[error.kind]) throw error;
      onWait(error);
      await pause(error.wait ?? 0.5 * 2 ** Math.min(tried[error.kind], 4), signal);
    }
  }
}

async function ask(address, request) {
  let response, answer;
  try {
    response = await fetch(address, { ...request, headers: token ? { Authorization: `Bearer ${token}` } : {} });
    const text = await response.text();
    try {
      answer = JSON.parse(text);
    } catch {
      answer = {}; // a proxy's page
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (request.body && !(await readable(request.body.get("image")))) {
      throw new ServerError("refused", "The file can no longer be read: choose it again.");
    }
    throw new ServerError("gone", "The server does not answer. Is it still running?");
  }
  if (response.ok && (answer.results?.length || answer.models)) return answer;
  throw refusal(response, answer);
}

async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

function refusal(response, answer) {
  const said = typeof answer.error === "string" ? answer.error : typeof answer.detail === "string" ? answer.detail : null;
  const wait = seconds(response.headers.get("Retry-After"));
  switch (response.status) {
    case 401:
    case 403:
      return new ServerError("token", "The server wants a token, or another one.");
    case 413:
      return new ServerError("refused", `The image is too large for this server${said ? `: ${said}` : "."}`);
    case 429:
      return new ServerError("busy", "The server is busy.", wait ?? 1);
    case 502:
    case 503:
      return new ServerError("gone", "The server is stopping or not ready yet.", wait);
    case 408:
    case 504:
      return new ServerError("slow", "The server did not finish in time.", wait);
    default:
      return new ServerError("refused", said ?? `The server refused the image (HTTP ${response.status}).`);
  }
}

function seconds(header) {
  const value = Number.parseFloat(header ?? "");
  return Number.isFinite(value) && value >= 0 ? Math.min(value, LONGEST_WAIT) : null;
}

/** Waits a little longer than asked, each time differently, so that requests do not return all at once. */
function pause(duration, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("canceled", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, 1000 * duration * (1 + 0.3 * Math.random()));
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
