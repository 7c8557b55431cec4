// What happened while the line was down: asked for page by page with the last number known. What comes live
// meanwhile waits until the pages are through, so that everything is applied in order and once.

import { isTalk } from './talk.js';

/** @typedef {import('./types.js').ServerMessage} ServerMessage */

/** More than this waiting live is no meeting any more; then order gives way to memory. */
const MAX_HELD = 2_000;

export class Catchup {
  /** Everything up to this number is known; nothing before the first `sync.info`.
   * @type {number | null} */
  #known = null;
  /** The newest number heard live while pages are on their way. */
  #live = 0;
  /** @type {ServerMessage[]} */
  #held = [];
  /** Grows with every line: an older run is over. */
  #turn = 0;
  #isRunning = false;
  #ask;
  #deliver;

  /**
   * @param {(afterSeq: number) => Promise<{upto_seq: number, has_more: boolean}>} ask for a page, which is also delivered as a message
   * @param {(message: ServerMessage) => void} deliver what had to wait
   */
  constructor(ask, deliver) {
    this.#ask = ask;
    this.#deliver = deliver;
  }

  /** The last number that is known. */
  get known() {
    return this.#known;
  }

  /**
   * @param {ServerMessage} message
   * @returns {boolean} whether it may be applied now; else it is delivered later
   */
  take(message) {
    if (message.type === 'joined') {
      this.#turn++;
      this.#release();
    } else if (message.type === 'sync.info') {
      if (this.#known === null) this.#known = message.next_seq - 1;
      else if (!this.#isRunning && message.next_seq - 1 > this.#known) void this.#run(this.#turn);
    } else if ('seq' in message) {
      if (!this.#isRunning) {
        this.#known = Math.max(this.#known ?? 0, message.seq);
      } else if (isTalk(message) && this.#held.length < MAX_HELD) {
        this.#live = Math.max(this.#live, message.seq);
        this.#held.push(message);
        return false;
      } else {
        this.#live = Math.max(this.#live, message.seq);
      }
    }
    return true;
  }

  /** @param {number} turn */
  async #run(turn) {
    this.#isRunning = true;
    try {
      for (;;) {
        const page = await this.#ask(this.#known ?? 0);
        if (turn !== this.#turn) return;
        this.#known = Math.max(this.#known ?? 0, page.upto_seq);
        if (!page.has_more) break;
      }
      this.#known = Math.max(this.#known ?? 0, this.#live);
    } catch {
      // The line is gone or the server busy: the next line asks again from the last number known.
    }
    if (turn === this.#turn) this.#release();
  }

  #release() {
    this.#isRunning = false;
    this.#live = 0;
    const held = this.#held;
    this.#held = [];
    for (const message of held) this.#deliver(message);
  }
}
