// One direction of a bad link: what becomes of a datagram and when it arrives. It neither sleeps nor sends, and
// the same seed and the same datagrams give the same fates.

/**
 * @typedef {object} Weather
 * @property {number} loss share of datagrams lost at random
 * @property {number} delayMs
 * @property {number} jitterMs up to so much more, evenly
 * @property {boolean} reorders whether jitter may let a later datagram overtake; else it only holds up
 * @property {number} rateKbit 0: as fast as it comes
 * @property {number} queueMs how long the queue before the rate limit may become; the rest is dropped at its tail
 * @property {boolean} isDown nothing passes
 */

/** @type {Weather} */
export const CLEAR = { loss: 0, delayMs: 0, jitterMs: 0, reorders: false, rateKbit: 0, queueMs: 300, isDown: false };

/** What IPv4 and UDP put before a datagram: it takes its time on the line too. */
const HEADERS = 28;

export class Wire {
  /** @param {number} seed @param {Partial<Weather>} [weather] */
  constructor(seed, weather = {}) {
    this.seed = seed >>> 0;
    this.weather = { ...CLEAR, ...weather };
    this.freeAt = 0;
    this.lastArrival = 0;
    this.counts = { carried: 0, bytes: 0, lost: 0, dropped: 0 };
  }

  /** Changes what is named and leaves the rest. @param {Partial<Weather>} weather */
  set(weather) {
    this.weather = { ...this.weather, ...weather };
  }

  /**
   * When a datagram that sets out now arrives; null if it does not.
   * @param {number} now in ms @param {number} bytes
   * @returns {number | null}
   */
  carry(now, bytes) {
    const { loss, delayMs, jitterMs, reorders, rateKbit, queueMs, isDown } = this.weather;
    // Chance is asked alike for every datagram, so that one setting does not shift the dice of another.
    const [isUnlucky, jitter] = [this.#chance() < loss, this.#chance() * jitterMs];
    if (isDown || isUnlucky) {
      this.counts.lost += 1;
      return null;
    }
    let due = now;
    if (rateKbit > 0) {
      if (this.freeAt - now > queueMs) {
        this.counts.dropped += 1;
        return null;
      }
      this.freeAt = Math.max(now, this.freeAt) + ((bytes + HEADERS) * 8) / rateKbit;
      due = this.freeAt;
    }
    due += delayMs + jitter;
    if (!reorders) due = Math.max(due, this.lastArrival);
    this.lastArrival = Math.max(due, this.lastArrival);
    this.counts.carried += 1;
    this.counts.bytes += bytes;
    return due;
  }

  /** Evenly in [0, 1): mulberry32. */
  #chance() {
    this.seed = (this.seed + 0x6d2b79f5) >>> 0;
    let t = this.seed;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** Hands things over at their time, in order of time, things of the same time in order of coming. */
export class Departures {
  constructor() {
    /** @type {{at: number, run: () => void}[]} */
    this.waiting = [];
    /** @type {NodeJS.Timeout | undefined} */
    this.timer = undefined;
    this.timerAt = Infinity;
  }

  /** @param {number} at on the clock of `performance.now()` @param {() => void} run */
  add(at, run) {
    let index = this.waiting.length;
    while (index > 0 && /** @type {{at: number}} */ (this.waiting[index - 1]).at > at) index -= 1;
    this.waiting.splice(index, 0, { at, run });
    this.#wind();
  }

  clear() {
    clearTimeout(this.timer);
    this.waiting = [];
  }

  #wind() {
    const first = this.waiting[0];
    if (!first || this.timerAt <= first.at) return;
    clearTimeout(this.timer);
    this.timerAt = first.at;
    this.timer = setTimeout(() => this.#leave(), Math.max(0, first.at - performance.now()));
  }

  #leave() {
    this.timerAt = Infinity;
    // Timers count whole milliseconds.
    const now = performance.now() + 0.5;
    let count = 0;
    while ((this.waiting[count]?.at ?? Infinity) <= now) count += 1;
    for (const { run } of this.waiting.splice(0, count)) run();
    this.#wind();
  }
}
