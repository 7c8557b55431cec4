// The chat of a recording beside its pictures: lines appear when they were said.

import { avatar } from '../avatar.js';
import { piecesOf } from '../chat.js';
import { h, keyed } from '../dom.js';
import { t } from '../i18n/replay.js';
import { timecode } from './pace.js';

/** @typedef {import('../types.js').ChatMessage} ChatMessage */

/** Pages of chat that are looked through for a meeting that is long past. */
const MAX_PAGES = 40;
const PAGE = 100;

/**
 * The lines of a room that were said while it was recorded, in order.
 * @param {import('../api.js').Api} api
 * @param {import('./story.js').Story} story
 * @returns {Promise<{at: number, text: string, message: ChatMessage}[]>}
 */
export async function linesOf(api, story) {
  const { room, began_at_ms } = story.contents;
  /** @type {ChatMessage[]} */
  let found = [];
  /** @type {string | null} */
  let before = null;
  for (let page = 0; page < MAX_PAGES; page++) {
    /** @type {{messages: ChatMessage[], has_more: boolean}} */
    const { messages, has_more } = await api.messages(room.slug, before, PAGE);
    found = [...messages, ...found];
    const oldest = messages[0];
    if (!has_more || !oldest || oldest.sent_ms < began_at_ms) break;
    before = oldest.id;
  }
  return found
    .map((message) => ({ at: message.sent_ms - began_at_ms, text: message.text, message }))
    .filter(({ at, message }) => at >= 0 && at <= story.duration && message.deleted_ms === undefined);
}

export class Said {
  #list = h('div', { class: 'log replay-log' });
  #scroll;
  #shown = -1;

  /**
   * @param {{at: number, text: string, message: ChatMessage}[] | null} lines `null`: not for this person
   * @param {(at: number) => void} seek
   */
  constructor(lines, seek) {
    this.lines = lines ?? [];
    this.seek = seek;
    this.#scroll = h('div', { class: 'log-scroll', tabindex: '0', role: 'log', 'aria-label': t('replay.chat') }, this.#list);
    this.element = h(
      'aside',
      { class: 'replay-side', 'aria-label': t('replay.chat') },
      h('h2', null, t('replay.chat')),
      this.lines.length > 0 ? this.#scroll : h('p', { class: 'quiet chat-empty' }, lines === null ? t('replay.no_right_to_chat') : t('replay.no_chat')),
    );
  }

  /** @param {number} at */
  draw(at) {
    const count = this.lines.filter((line) => line.at <= at).length;
    if (count === this.#shown) return;
    this.#shown = count;
    const { scrollTop, scrollHeight, clientHeight } = this.#scroll;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < 40;
    keyed(this.#list, this.lines.slice(0, count), { key: ({ message }) => message.id, create: (line) => this.#line(line) });
    if (isAtEnd) this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  /** @param {{at: number, text: string, message: ChatMessage}} line */
  #line({ at, message }) {
    const { display_name, user_id, text, reactions = [] } = message;
    const words = message.algo === undefined ? piecesOf(text).map((piece) => (piece.href === null ? piece.text : h('a', { href: piece.href, target: '_blank', rel: 'noopener noreferrer' }, piece.text))) : [t('replay.sealed')];
    return h(
      'div',
      { class: 'line first last', data: { message: message.id } },
      h('span', { class: 'line-avatar' }, avatar(display_name, user_id)),
      h(
        'div',
        { class: 'bubble-row' },
        h('div', { class: 'bubble' }, h('span', { class: 'bubble-author' }, display_name), h('p', { class: 'bubble-text' }, ...words), h('span', { class: 'bubble-end' }, h('button', { type: 'button', class: 'replay-jump', 'aria-label': t('replay.jump', { time: timecode(at) }), onclick: () => this.seek(at) }, timecode(at)))),
      ),
      h('div', { class: 'feelings', hidden: reactions.length === 0 }, ...reactions.map(({ emoji, user_ids }) => h('span', { class: 'feeling' }, `${emoji}${user_ids.length}`))),
    );
  }
}
