// What this person writes in a meeting: lines that arrive once whatever the link does, and the word that one is
// writing; and older lines when somebody reads back.

import { LIMITS } from './limits.js';
import { RequestError } from './socket.js';

/** @typedef {import('./types.js').ClientMessage} ClientMessage */

/** "Is writing" is renewed this often while keys are pressed. */
const TYPING_MS = 3_000;

/**
 * @typedef {object} ConversationWorld
 * @property {import('./store.js').Store<import('./state.js').Meeting, any>} store
 * @property {(message: ClientMessage) => Promise<any>} request
 * @property {(message: ClientMessage) => void} send
 * @property {(code: string) => void} refused a line was not taken
 * @property {import('./api.js').Api} api
 */

export class Conversation {
  #world;
  #saidTypingMs = 0;
  /** @type {number | undefined} */
  #typingEnds;

  /** @param {ConversationWorld} world */
  constructor(world) {
    this.#world = world;
  }

  /**
   * @param {string} text
   * @param {import('./types.js').Extras} [extras]
   */
  say(text, extras = {}) {
    const message = { client_id: crypto.randomUUID?.() ?? String(Math.random()).slice(2), text, sent_ms: Date.now(), failed: false, extras };
    this.#world.store.dispatch({ type: 'local.pending', message });
    this.setTyping(false);
    void this.#post(message);
  }

  /** @param {string} clientId of a line that was not sent */
  sayAgain(clientId) {
    const message = this.#world.store.state.pending.find((p) => p.client_id === clientId);
    if (!message) return;
    this.#world.store.dispatch({ type: 'local.resend', client_id: clientId });
    void this.#post(message);
  }

  /** The socket is back: what was on its way is sent once more, and arrives once. */
  resume() {
    for (const pending of this.#world.store.state.pending) if (!pending.failed) void this.#post(pending);
  }

  /** @param {boolean} isTyping */
  setTyping(isTyping) {
    const now = Date.now();
    clearTimeout(this.#typingEnds);
    if (isTyping) {
      this.#typingEnds = window.setTimeout(() => this.setTyping(false), TYPING_MS);
      if (now - this.#saidTypingMs < TYPING_MS) return;
      this.#saidTypingMs = now;
      this.#world.send({ type: 'chat.typing', is_typing: true });
    } else if (this.#saidTypingMs !== 0) {
      this.#saidTypingMs = 0;
      this.#world.send({ type: 'chat.typing', is_typing: false });
    }
  }

  /** Fetches the page of chat before the oldest message here. */
  async loadOlder() {
    const { store, api } = this.#world;
    const { messages, hasOlder, loadingOlder, room } = store.state;
    const oldest = messages[0];
    if (!hasOlder || loadingOlder || !room) return;
    store.dispatch({ type: 'local.loading', loading: true });
    try {
      const page = await api.messages(room.slug, oldest?.id ?? null, LIMITS.page);
      store.dispatch({ type: 'local.older', messages: page.messages, has_more: page.has_more });
    } catch (error) {
      store.dispatch({ type: 'local.loading', loading: false });
      throw error;
    }
  }

  stop() {
    clearTimeout(this.#typingEnds);
  }

  /** @param {import('./chat.js').PendingMessage} pending */
  async #post({ client_id: clientId, text, extras }) {
    const { store, request, refused } = this.#world;
    try {
      await request({ type: 'chat.message', text, client_id: clientId, ...extras });
    } catch (error) {
      // A lost line resends by itself when it is back; a refusal waits for the person.
      if (error instanceof RequestError && error.code === 'disconnected') return;
      if (store.state.pending.some((p) => p.client_id === clientId)) store.dispatch({ type: 'local.failed', client_id: clientId });
      refused(error instanceof RequestError ? error.code : 'internal');
    }
  }
}
