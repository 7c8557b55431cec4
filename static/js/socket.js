// The room's WebSocket: comes back by itself, answers requests, knows when the line is dead.

import { waitAfterRestart, waitBefore } from './backoff.js';

/** @typedef {import('./types.js').ClientMessage} ClientMessage */
/** @typedef {import('./types.js').ServerMessage} ServerMessage */

/** Close codes of the server (`protocol/src/server.rs`). */
export const CLOSE = { tooSlow: 4001, replaced: 4002, roomClosed: 4003, kicked: 4004, flooding: 4005, refused: 4007, sentBack: 4008, signedOut: 4009, restarting: 1012 };

/** After these nobody comes back by themselves. */
const FINAL = new Set([CLOSE.replaced, CLOSE.roomClosed, CLOSE.kicked, CLOSE.flooding, CLOSE.refused, CLOSE.sentBack, CLOSE.signedOut]);

/** A ping this often: less notices a dead line late, more wakes phones for nothing. */
const PING_MS = 3_000;
/** Nothing heard for this long means the line is dead; the server calls us reconnecting after 10 s. */
const DEAD_MS = 7_000;
/** A line whose network has changed is dead when a ping is not answered by then, */
const TEST_MS = 3_000;
/** or not by then, while a new request is answered. */
const TEST_SOON_MS = 400;
/** Somebody whose place is kept for 25 s tries often, because what was sent into a dead network is not sent again soon. */
const REENTER_MS = 3_000;
/** After so many of them the link may just be slow. */
const QUICK_ATTEMPTS = 4;
/** An attempt to connect takes no longer. */
const CONNECT_MS = 10_000;
/** A request without an answer fails after this. */
const ANSWER_MS = 10_000;

/** A refusal by the server (`error` message), a lost line (`disconnected`) or no answer (`timeout`). */
export class RequestError extends Error {
  /**
   * @param {string} code
   * @param {string} reason
   */
  constructor(code, reason) {
    super(reason);
    this.name = 'RequestError';
    this.code = code;
  }
}

/**
 * @typedef {object} SocketEvents
 * @property {(withinMs: number) => Promise<string>} address where to connect now: fetches a one-use ticket
 * @property {() => void} connecting a line is being made
 * @property {(message: ServerMessage) => void} message
 * @property {(why: {restarting: boolean}) => void} dropped the line is lost and will be tried again
 * @property {(why: {code: number} | {error: unknown}) => void} ended for good: the server said so, or `address` cannot be had
 * @property {(error: unknown) => boolean} isFinal whether a failure of `address` is worth no second try
 */

export class RoomSocket {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Map<string, {resolve: (message: any) => void, reject: (error: RequestError) => void, timer: number}>} */
  #waiting = new Map();
  #events;
  #attempt = 0;
  #nextId = 1;
  #heardMs = 0;
  #pingedMs = 0;
  #isOver = false;
  #wasInside = false;
  /** A test of the line that is under way.
   * @type {Promise<boolean> | null} */
  #test = null;
  /** Who waits for the next word.
   * @type {Set<() => void>} */
  #listening = new Set();
  /** Grows with each attempt to connect: what an older one brings is too late. */
  #turn = 0;
  /** @type {number | undefined} */
  #retry;
  /** @type {number} */
  #pulse;

  /** @param {SocketEvents} events */
  constructor(events) {
    this.#events = events;
    this.#pulse = window.setInterval(() => this.#beat(), PING_MS);
    addEventListener('online', this.#hurry);
    document.addEventListener('visibilitychange', this.#hurry);
    void this.#connect();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /**
   * Says something that needs no answer; lost when the line is down.
   * @param {ClientMessage} message
   */
  send(message) {
    if (this.isOpen) this.#socket?.send(JSON.stringify(message));
  }

  /**
   * Asks, and waits for the message that carries our id in `re`.
   * @param {ClientMessage} message
   * @returns {Promise<any>}
   */
  request(message) {
    if (!this.isOpen) return Promise.reject(new RequestError('disconnected', 'no connection'));
    const id = String(this.#nextId++);
    return new Promise((resolve, reject) => {
      const timer = window.setTimeout(() => {
        this.#waiting.delete(id);
        reject(new RequestError('timeout', 'no answer'));
      }, ANSWER_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#socket?.send(JSON.stringify({ ...message, id }));
    });
  }

  /** Ends it: no reconnect, nothing is called any more. */
  close() {
    this.#isOver = true;
    clearInterval(this.#pulse);
    clearTimeout(this.#retry);
    removeEventListener('online', this.#hurry);
    document.removeEventListener('visibilitychange', this.#hurry);
    this.#abandon();
    this.#socket?.close(1000);
    this.#socket = null;
  }

  /** @param {string} [known] where to, if that is known already */
  async #connect(known) {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    /** @type {string} */
    let address;
    const turn = ++this.#turn;
    const withinMs = this.#wasInside && this.#attempt <= QUICK_ATTEMPTS ? REENTER_MS : CONNECT_MS;
    try {
      address = known ?? (await this.#events.address(withinMs));
    } catch (error) {
      if (this.#isOver || turn !== this.#turn) return;
      if (this.#events.isFinal(error)) {
        this.close();
        this.#events.ended({ error });
      } else {
        this.#again(waitBefore(this.#attempt++, Math.random()));
      }
      return;
    }
    if (this.#isOver || turn !== this.#turn) return;
    this.#events.connecting();
    const socket = new WebSocket(address);
    this.#socket = socket;
    this.#heardMs = Date.now();
    setTimeout(() => {
      if (socket === this.#socket && socket.readyState === WebSocket.CONNECTING) this.#drop(socket);
    }, withinMs);
    socket.onmessage = (event) => this.#heard(socket, event.data);
    socket.onclose = (event) => this.#lost(socket, event.code);
  }

  /**
   * @param {WebSocket} socket
   * @param {unknown} frame
   */
  #heard(socket, frame) {
    if (socket !== this.#socket || typeof frame !== 'string') return;
    this.#heardMs = Date.now();
    for (const heard of this.#listening) heard();
    /** @type {ServerMessage} */
    let message;
    try {
      message = JSON.parse(frame);
    } catch {
      return;
    }
    if (message.type === 'joined') {
      this.#attempt = 0;
      this.#wasInside = true;
    }
    this.#events.message(message);
    for (const each of message.type === 'events.batch' ? message.events : [message]) this.#answered(each);
  }

  /** @param {ServerMessage} message */
  #answered(message) {
    const re = 're' in message ? message.re : undefined;
    const asked = re === undefined || re === null ? undefined : this.#waiting.get(String(re));
    if (!asked) return;
    this.#waiting.delete(String(re));
    clearTimeout(asked.timer);
    if (message.type === 'error') asked.reject(new RequestError(message.code, message.reason));
    else asked.resolve(message);
  }

  /**
   * @param {WebSocket} socket
   * @param {number} code
   * @param {string} [next] where the next one leads to, if that is known
   */
  #lost(socket, code, next) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.#abandon();
    if (this.#isOver) return;
    if (FINAL.has(code)) {
      this.close();
      this.#events.ended({ code });
      return;
    }
    const restarting = code === CLOSE.restarting;
    this.#events.dropped({ restarting });
    if (this.#isOver) return;
    if (next !== undefined) {
      void this.#connect(next);
      return;
    }
    this.#again(restarting ? waitAfterRestart(Math.random()) : waitBefore(this.#attempt++, Math.random()));
  }

  /** @param {number} ms */
  #again(ms) {
    clearTimeout(this.#retry);
    this.#retry = window.setTimeout(() => void this.#connect(), ms);
  }

  /** The network is back, or somebody looks again: a waiting retry happens now, a silent line is tested. */
  #hurry = () => {
    if (document.visibilityState === 'hidden' || this.#isOver) return;
    if (this.#retry !== undefined) {
      this.#attempt = 0;
      this.#again(0);
    } else {
      this.#beat();
    }
  };

  #beat() {
    const socket = this.#socket;
    if (!socket) return;
    const now = Date.now();
    // A background tab's timer may run once a minute: only a ping that nothing followed proves silence.
    if (this.#pingedMs > this.#heardMs && now - this.#heardMs > DEAD_MS) {
      this.#drop(socket);
    } else if (socket.readyState === WebSocket.OPEN) {
      this.#pingedMs = now;
      socket.send('{"type":"ping"}');
    }
  }

  /**
   * The network has changed under the line, or seems to: a word from the server, or a new line.
   * @returns {Promise<boolean>} whether the line stands
   */
  test() {
    this.#test ??= this.#testLine().finally(() => (this.#test = null));
    return this.#test;
  }

  async #testLine() {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return false;
    const began = Date.now();
    this.#pingedMs = began;
    socket.send('{"type":"ping"}');
    const answer = this.#nextWord();
    const isAnswered = await Promise.race([answer.heard, after(TEST_SOON_MS)]);
    // A slow network answers neither; one that has changed answers what is asked over it now.
    const address = isAnswered ? null : await Promise.race([answer.heard, this.#events.address(TEST_MS).catch(() => null)]);
    const rest = address === null ? after(began + TEST_MS - Date.now()) : false;
    const isSilent = !isAnswered && !(await Promise.race([answer.heard, rest]));
    answer.forget();
    if (socket !== this.#socket) return false;
    if (isSilent) this.#drop(socket, typeof address === 'string' ? address : undefined);
    return !isSilent;
  }

  #nextWord() {
    /** @type {() => void} */
    let listener = () => {};
    const heard = new Promise((/** @type {(heard: true) => void} */ resolve) => {
      listener = () => resolve(true);
      this.#listening.add(listener);
    });
    return { heard, forget: () => this.#listening.delete(listener) };
  }

  /**
   * Lets go of a line that is dead; `close` alone would wait for an answer that cannot come.
   * @param {WebSocket} socket
   * @param {string} [next] where the next one leads to, if that is known
   */
  #drop(socket, next) {
    socket.onclose = null;
    socket.onmessage = null;
    socket.close();
    this.#lost(socket, 1006, next);
  }

  #abandon() {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new RequestError('disconnected', 'the connection was lost'));
    }
    this.#waiting.clear();
  }
}

/** @param {number} ms @returns {Promise<false>} */
function after(ms) {
  return new Promise((done) => setTimeout(() => done(false), ms));
}
