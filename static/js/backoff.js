// How long to wait before trying again. Pure: chance comes in as an argument.

/** Grows to this and no further: longer waits feel dead, shorter ones make a restart a stampede. */
const MAX_MS = 8000;
/** First wait. Shorter hammers a server that just stopped, longer is felt after a Wi-Fi hop. */
const FIRST_MS = 300;

/**
 * Wait before attempt number `attempt` (0 is the first): exponential, with the upper half jittered,
 * so that a thousand clients of a restarting server do not come back in one moment.
 * @param {number} attempt
 * @param {number} chance between 0 and 1
 * @returns {number} milliseconds
 */
export function waitBefore(attempt, chance) {
  const ceiling = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(attempt, 16));
  return Math.round(ceiling / 2 + (ceiling / 2) * chance);
}

/**
 * Wait after the server said that it restarts: spread over three seconds.
 * @param {number} chance between 0 and 1
 */
export function waitAfterRestart(chance) {
  return Math.round(500 + 2500 * chance);
}
