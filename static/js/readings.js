// Reads once a second how each picture of a meeting does.

import { readingOf, samplesOf } from './stats.js';

/** @typedef {import('./stats.js').Reading} Reading */
/** @typedef {import('./stats.js').Sample} Sample */
/** @typedef {import('./types.js').Source} Source */

const EVERY_MS = 1000;
/** Pictures that this device may send. */
const SHOWN = /** @type {const} */ (['camera', 'screen']);

/** `read` is fired after each reading. */
export class Readings extends EventTarget {
  /** What is received, by mid of the slot.
   * @type {Map<string, Reading>} */
  received = new Map();
  /** What is sent, by source, the smallest layer first.
   * @type {Map<Source, Reading[]>} */
  sent = new Map();
  /** Round trips to the server in milliseconds.
   * @type {{publish: number | null, subscribe: number | null}} */
  roundTrips = { publish: null, subscribe: null };

  /** @type {Map<string, Sample>} */
  #before = new Map();
  #meeting;
  #timer;
  #isReading = false;

  /** @param {import('./meeting.js').Meeting} meeting */
  constructor(meeting) {
    super();
    this.#meeting = meeting;
    this.#timer = setInterval(() => void this.#read(), EVERY_MS);
  }

  stop() {
    clearInterval(this.#timer);
  }

  async #read() {
    // A busy browser may take longer than a second to answer.
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      const { publish, subscribe } = this.#meeting.connections;
      const [up, down] = await Promise.all([values(publish), values(subscribe)]);
      /** @type {Map<string, Sample>} */
      const samples = new Map();
      const read = (/** @type {string} */ key, /** @type {Sample} */ sample) => {
        samples.set(key, sample);
        return readingOf(this.#before.get(key), sample);
      };
      this.received = new Map();
      for (const { mid, kind } of this.#meeting.slots) {
        const sample = kind === 'video' ? samplesOf(down, 'inbound-rtp', mid, 'video')[0] : undefined;
        if (sample) this.received.set(mid, read(`< ${mid}`, sample));
      }
      this.sent = new Map();
      for (const source of SHOWN) {
        const mid = this.#meeting.sentMid(source);
        if (mid === null) continue;
        const layers = samplesOf(up, 'outbound-rtp', mid, 'video').map((sample) => read(`> ${mid} ${sample.rid}`, sample));
        if (layers.length > 0) this.sent.set(source, layers.sort((a, b) => RIDS.indexOf(a.rid) - RIDS.indexOf(b.rid)));
      }
      this.roundTrips = { publish: roundTrip(up), subscribe: roundTrip(down) };
      this.#before = samples;
    } finally {
      this.#isReading = false;
    }
    this.dispatchEvent(new Event('read'));
  }
}

const RIDS = ['q', 'h', 'f'];

/**
 * @param {RTCPeerConnection | null} pc
 * @returns {Promise<any[]>}
 */
async function values(pc) {
  // A connection that is closed meanwhile has nothing to say.
  const report = await pc?.getStats().catch(() => null);
  return report ? [...report.values()] : [];
}

/** @param {any[]} report */
function roundTrip(report) {
  const transport = report.find((stats) => stats.type === 'transport');
  const pair = report.find((stats) => stats.type === 'candidate-pair' && (stats.id === transport?.selectedCandidatePairId || stats.selected));
  return pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000;
}
