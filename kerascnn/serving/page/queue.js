// A queue of a few parallel requests.

const PARALLEL = 4;

/**
 * Runs `job(item)` for each item, a few at a time, in order. When a job throws an error whose kind is `gone` or `token`, the
 * items that have not begun are left: each would fail in the same way. Returns that error, or null.
 */
export async function run(items, job, signal) {
  let next = 0;
  let fatal = null;
  async function worker() {
    while (next < items.length && !fatal && !signal.aborted) {
      const item = items[next];
      next += 1;
      try {
        await job(item);
      } catch (error) {
        if (error.kind === "gone" || error.kind === "token") fatal ??= error;
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(PARALLEL, items.length) }, worker));
  return fatal;
}
