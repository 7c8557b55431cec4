// Whether anything still comes over a connection, told sooner than the browser tells it: Chromium takes 2.5 s and Firefox 5 s
// and more to call a connection without answers `disconnected`. Pure: readings and their time are arguments.

/** A reading later than this after the one before says nothing: the tab slept. */
const LATE_MS = 1_200;
/** Pauses of what comes regularly are no longer. Feedback comes every 0.1 s, reports every second or sooner. */
const PAUSE_MS = 800;
/** Who has not been heard regularly for this long may have stopped for good reasons. */
const STEADY_MS = 1_000;
/** Silence of this length is no stall of a lossy link any more. */
const SILENT_MS = 1_500;

/**
 * @typedef {'beats' | 'unsure' | 'still'} Beat `still`: what came regularly has stopped; `unsure`: that is not known yet, or nothing
 * has come regularly
 */

/** One connection. */
export class Pulse {
  /** Time of the reading before, none at the beginning.
   * @type {number | null} */
  #read = null;
  /** What was heard until then. */
  #heard = 0;
  #sent = 0;
  #changed = 0;
  #steadySince = 0;

  /** Whether what came regularly pauses, and may have stopped. @param {number} now milliseconds */
  isPausing(now) {
    const silence = now - this.#changed;
    return this.#wasSteady() && silence > 0 && silence < SILENT_MS;
  }

  /**
   * @param {number} now milliseconds
   * @param {number} heard grows whenever something came; it shrinks when a browser forgets ways that are dead
   * @param {number} [sent] grows while something goes out, which makes the other end answer; without it what comes needs no such reason
   * @returns {Beat}
   */
  read(now, heard, sent = Infinity) {
    if (this.#read === null || now - this.#read > LATE_MS) this.#steadySince = this.#changed = now;
    this.#read = now;
    if (heard > this.#heard) {
      if (now - this.#changed > PAUSE_MS) this.#steadySince = now;
      this.#sent = sent;
      this.#changed = now;
    }
    this.#heard = heard;
    const silence = now - this.#changed;
    if (!this.#wasSteady() || (silence > PAUSE_MS && silence < SILENT_MS)) return 'unsure';
    if (silence <= PAUSE_MS) return 'beats';
    return sent > this.#sent || sent === Infinity ? 'still' : 'unsure';
  }

  #wasSteady() {
    return this.#changed - this.#steadySince >= STEADY_MS;
  }
}

/**
 * Which connections have lost their way. What is received may end because nobody speaks or shows any more: while what is sent is
 * answered and no picture is awaited, the network is not to blame. Where one is lost, the other is too, but for signs of its life:
 * who sends nothing now has nothing else to notice it by.
 * @param {{publish: Beat, subscribe: Beat}} beats
 * @param {boolean} isAwaited whether the server says that it sends a picture
 */
export function lost({ publish, subscribe }, isAwaited) {
  const isReceivingLost = subscribe === 'still' && (isAwaited || publish !== 'beats');
  return {
    publish: publish === 'still' || (isReceivingLost && publish !== 'beats'),
    subscribe: isReceivingLost || (publish === 'still' && subscribe !== 'beats'),
  };
}
