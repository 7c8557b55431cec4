// How long to wait before trying again. Pure: chance comes in as an argument.

/** Grows to this and no further: longer waits feel dead, shorter ones make a restart a stampede. */
const MAX_MS = 8000;
/** As long as the server keeps somebody's place it is worth asking often. */
const MAX_WHILE_KEPT_MS = 1200;
/** Attempts of that time: with their own time-outs they fill the 25 s. */
const ATTEMPTS_WHILE_KEPT = 5;
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
  const most = attempt < ATTEMPTS_WHILE_KEPT ? MAX_WHILE_KEPT_MS : MAX_MS;
  const ceiling = Math.min(most, FIRST_MS * 2 ** Math.min(attempt, 16));
  return Math.round(ceiling / 2 + (ceiling / 2) * chance);
}

/**
 * Wait after the server said that it restarts: spread over three seconds.
 * @param {number} chance between 0 and 1
 */
export function waitAfterRestart(chance) {
  return Math.round(500 + 2500 * chance);
}
