// Listens whether both connections of a meeting are answered, and says when they are not.

import { Pulse, lost } from './pulse.js';

/** How often statistics are read: they cost a large meeting some milliseconds. */
const READ_MS = 500;
/** The same where the last reading has brought nothing new. */
const READ_SOON_MS = 100;
/** An alarm for a connection that led to nothing yet, as the socket was down too, is repeated after this. */
const NEXT_ALARM_MS = 5_000;

/**
 * @typedef {object} VigilWorld
 * @property {() => RTCPeerConnection | null} publish
 * @property {() => boolean} isAwaited whether the server says that it sends a picture
 * @property {() => number} received when something was played last, in whatever clock
 * @property {() => Promise<unknown>} alarm a connection has gone still; said again while it stays so, never before it was seen to
 */

/** @typedef {{publish: boolean, subscribe: boolean}} Lost which connections are still */

export class Vigil {
  #pulses = { publish: new Pulse(), subscribe: new Pulse() };
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  #world;
  /** @type {number | undefined} */
  #timer;
  #isOver = false;
  #isAlarming = false;
  /** When there was an alarm for each. */
  #alarmed = { publish: -NEXT_ALARM_MS, subscribe: -NEXT_ALARM_MS };

  /** @param {VigilWorld} world */
  constructor(world) {
    this.#world = world;
    this.#next(READ_MS);
  }

  stop() {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  /**
   * What is known of these is of the past: they are being repaired. The other one may be found to be dead a moment later.
   * @param {Lost} repaired
   */
  forget({ publish, subscribe }) {
    if (publish) this.#pulses.publish = new Pulse();
    if (subscribe) this.#pulses.subscribe = new Pulse();
  }

  /**
   * Which connections are still by what can be read now.
   * @returns {Promise<Lost>}
   */
  async read() {
    const pc = this.#world.publish();
    if (pc !== this.#pc) {
      // What another connection carried is nothing to measure this one by.
      this.#pc = pc;
      this.#pulses.publish = new Pulse();
    }
    const counts = countsOf(await pc?.getStats().catch(() => null));
    const now = performance.now();
    return lost({
      publish: pc === this.#pc && counts ? this.#pulses.publish.read(now, counts.heard, counts.sent) : 'unsure',
      subscribe: this.#pulses.subscribe.read(now, this.#world.received()),
    }, this.#world.isAwaited());
  }

  /** @param {number} ms */
  #next(ms) {
    this.#timer = window.setTimeout(async () => {
      const still = await this.read();
      if (this.#isOver) return;
      const now = performance.now();
      this.#tell(now, still);
      this.#next(Object.values(this.#pulses).some((pulse) => pulse.isPausing(now)) ? READ_SOON_MS : READ_MS);
    }, ms);
  }

  /** @param {number} now @param {Lost} still */
  #tell(now, still) {
    const ends = /** @type {const} */ (['publish', 'subscribe']).filter((end) => still[end]);
    if (this.#isAlarming || !ends.some((end) => now - this.#alarmed[end] >= NEXT_ALARM_MS)) return;
    for (const end of ends) this.#alarmed[end] = now;
    this.#isAlarming = true;
    void this.#world.alarm().finally(() => (this.#isAlarming = false));
  }
}

/**
 * What a connection that sends has carried. Answers to checks (`responsesReceived`) are no sign of life: Chromium checks ways
 * through every network of the machine, and those of another one are answered while the one in use is dead.
 * @param {Iterable<[string, any]> | null | undefined} stats
 */
function countsOf(stats) {
  if (!stats) return null;
  const counts = { heard: 0, sent: 0 };
  for (const [, one] of stats) {
    if (one.type === 'candidate-pair') counts.heard += one.bytesReceived ?? 0;
    else if (one.type === 'outbound-rtp') counts.sent += one.packetsSent ?? 0;
  }
  return counts;
}
