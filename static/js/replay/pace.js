// How a file keeps step with the recording's clock. Pure.

/** Sound and picture this far apart are felt by nobody. */
const FINE_MS = 40;
/** Beyond this, a jump is heard less than a minute of catching up. */
const JUMP_MS = 400;
/** A voice a twentieth faster sounds as it does. */
const NUDGE = 0.05;

/**
 * What is to be done with a file that stands at `is` and should stand at `should`.
 * @param {number} is ms
 * @param {number} should ms
 * @param {number} rate of the whole replay
 * @returns {{jump: true} | {jump: false, rate: number}}
 */
export function pace(is, should, rate) {
  const behind = should - is;
  if (Math.abs(behind) > JUMP_MS * Math.max(1, rate)) return { jump: true };
  if (Math.abs(behind) <= FINE_MS) return { jump: false, rate };
  return { jump: false, rate: rate * (behind > 0 ? 1 + NUDGE : 1 - NUDGE) };
}

/** Speeds that are offered. */
export const RATES = /** @type {const} */ ([0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 3]);

/**
 * The recording's clock: goes on while playing, stands while something is waited for.
 */
export class Clock {
  #at = 0;
  #since = 0;
  #isRunning = false;
  rate = 1;

  /** @param {number} now ms of any steady clock */
  at(now) {
    return this.#isRunning ? this.#at + (now - this.#since) * this.rate : this.#at;
  }

  get isRunning() {
    return this.#isRunning;
  }

  /** @param {number} now @param {boolean} isRunning */
  run(now, isRunning) {
    this.set(now, this.at(now));
    this.#isRunning = isRunning;
  }

  /** @param {number} now @param {number} at */
  set(now, at) {
    this.#at = at;
    this.#since = now;
  }

  /** @param {number} now @param {number} rate */
  speed(now, rate) {
    this.set(now, this.at(now));
    this.rate = rate;
  }
}

/**
 * A time as people say it: `1:02:03`, `2:03`.
 * @param {number} ms
 */
export function timecode(ms) {
  const all = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes, seconds] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/**
 * The moment that a link names: seconds, or `1h2m3s`.
 * @param {string | null} text
 */
export function momentOf(text) {
  if (!text) return 0;
  const parts = /^(?:(\d{1,3})h)?(?:(\d{1,4})m)?(?:(\d{1,6})s?)?$/.exec(text);
  if (!parts) return 0;
  const [hours, minutes, seconds] = parts.slice(1).map((part) => Number(part ?? 0));
  return ((hours ?? 0) * 3600 + (minutes ?? 0) * 60 + (seconds ?? 0)) * 1000;
}
