// Listens whether both connections of a meeting are answered, and says when they are not.

import { Pulse, lost } from './pulse.js';

/** @typedef {import('./pulse.js').Beat} Beat */

/** How often statistics are read: they cost a large meeting some milliseconds. */
const READ_MS = 500;
/** The same where the last reading has brought nothing new. */
const READ_SOON_MS = 100;
/** An alarm that led to nothing yet, as the socket was down too, is repeated after this. */
const NEXT_ALARM_MS = 5_000;

/**
 * @typedef {object} VigilWorld
 * @property {() => RTCPeerConnection | null} publish
 * @property {() => boolean} isAwaited whether the server says that it sends a picture
 * @property {() => number} received when something was played last, in whatever clock
 * @property {() => void} alarm a connection has gone still; said again while it stays so
 */

export class Vigil {
  #pulses = { publish: new Pulse(), subscribe: new Pulse() };
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  #world;
  /** @type {number | undefined} */
  #timer;
  #isOver = false;
  #alarmed = -NEXT_ALARM_MS;

  /** @param {VigilWorld} world */
  constructor(world) {
    this.#world = world;
    this.#next(READ_MS);
  }

  stop() {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  /** What is known of both is of the past: they are being repaired. */
  forget() {
    this.#pulses = { publish: new Pulse(), subscribe: new Pulse() };
  }

  /** Which connections are still by what can be read now. */
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
      const { publish, subscribe } = await this.read();
      if (this.#isOver) return;
      const now = performance.now();
      if ((publish || subscribe) && now - this.#alarmed >= NEXT_ALARM_MS) {
        this.#alarmed = now;
        this.#world.alarm();
      }
      this.#next(Object.values(this.#pulses).some((pulse) => pulse.isPausing(now)) ? READ_SOON_MS : READ_MS);
    }, ms);
  }
}

/**
 * What a connection that sends has carried.
 * @param {Iterable<[string, any]> | null | undefined} stats
 */
function countsOf(stats) {
  if (!stats) return null;
  const counts = { heard: 0, sent: 0 };
  for (const [, one] of stats) {
    if (one.type === 'candidate-pair') counts.heard += (one.bytesReceived ?? 0) + (one.responsesReceived ?? 0);
    else if (one.type === 'outbound-rtp') counts.sent += one.packetsSent ?? 0;
  }
  return counts;
}
