// The chat beside the stage: bubbles, own on the right, history above, a field below.

import { avatar } from '../avatar.js';
import { layoutChat, piecesOf } from '../chat.js';
import { h, icon, keyed, setText } from '../dom.js';
import { clock, dayName, listOf, t } from '../i18n.js';
import { toast } from '../notices.js';
import { typingNames } from '../state.js';
import { LIMITS } from '../types.js';
import { wordsFor } from '../views/form.js';

/** @typedef {import('../chat.js').ChatItem} ChatItem */

/** Nearer than this to the end counts as reading the newest: new lines then scroll into view. */
const NEAR_END_PX = 80;
/** The counter shows when this few characters are left. */
const COUNT_FROM = 200;

export class ChatPanel {
  #meeting;
  #log = h('div', { class: 'log', role: 'log', 'aria-live': 'polite', 'aria-relevant': 'additions', 'aria-label': t('chat.title'), tabindex: '0' });
  #empty = h('p', { class: 'quiet centre chat-empty' }, t('chat.empty'));
  #older = h('button', { type: 'button', class: 'button slim older', data: { action: 'older' } }, t('chat.older'));
  #scroll = h('div', { class: 'log-scroll' });
  #newest = h('button', { type: 'button', class: 'icon-button to-newest', hidden: true, 'aria-label': t('chat.newest'), title: t('chat.newest'), data: { action: 'newest' } }, icon('arrow-down'));
  #typing = h('p', { class: 'typing quiet' });
  #input = h('textarea', { class: 'input', name: 'message', rows: 1, maxlength: LIMITS.chat, placeholder: t('chat.placeholder'), 'aria-label': t('chat.placeholder'), enterkeyhint: 'send' });
  #left = h('span', { class: 'quiet left-count', 'aria-live': 'polite' });
  #isFirst = true;
  #drawn = '';
  element;

  /** @param {import('../meeting.js').Meeting} meeting */
  constructor(meeting) {
    this.#meeting = meeting;
    this.#scroll.append(this.#older, this.#empty, this.#log);
    const send = h('button', { type: 'submit', class: 'icon-button send', 'aria-label': t('chat.send'), title: t('chat.send'), data: { action: 'send' } }, icon('send'));
    const form = h('form', { class: 'write' }, this.#input, send, this.#left);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#input.addEventListener('keydown', (event) => {
      // Enter that ends the composing of a word (Chinese, Japanese …) is not meant for us.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    this.#input.addEventListener('input', () => {
      this.#grow();
      meeting.setTyping(this.#input.value.trim() !== '');
    });
    this.#older.addEventListener('click', () => void this.#loadOlder());
    this.#newest.addEventListener('click', () => this.#toEnd());
    this.#scroll.addEventListener('scroll', () => {
      this.#newest.hidden = this.#isNearEnd();
      // Whoever scrolls up gets more without asking; if that fails, the button is there and says why.
      if (this.#scroll.scrollTop < 40) meeting.loadOlder().catch(() => {});
    });
    this.element = h('div', { class: 'panel-body chat' }, this.#scroll, this.#newest, this.#typing, form);
  }

  focus() {
    this.#input.focus();
  }

  draw() {
    const { state } = this.#meeting;
    const names = typingNames(state);
    setText(this.#typing, names.length === 0 ? '' : names.length > 3 ? t('chat.typing.many') : t('chat.typing', { names: listOf(names), n: names.length }));
    this.#older.hidden = !state.hasOlder;
    this.#older.setAttribute('aria-busy', String(state.loadingOlder));
    this.#empty.hidden = state.messages.length + state.pending.length > 0;
    const items = layoutChat(state.messages, state.pending, { user_id: state.userId, unreadFrom: state.unreadFrom });
    const now = JSON.stringify([items.length, items.at(-1), items[0], state.pending, state.unreadFrom]);
    if (now === this.#drawn) return;
    this.#drawn = now;
    const follows = this.#isFirst || this.#isNearEnd() || state.pending.length > 0;
    const fromEnd = this.#scroll.scrollHeight - this.#scroll.scrollTop;
    const before = this.#log.firstElementChild;
    keyed(this.#log, items, {
      key: (item) => item.key,
      create: (item) => this.#create(item),
      update: (element, item) => this.#update(element, item),
    });
    if (this.#isFirst) {
      this.#isFirst = false;
      const unread = this.#log.querySelector('.unread-line');
      if (unread) unread.scrollIntoView({ block: 'start' });
      else this.#toEnd();
    } else if (follows) this.#toEnd();
    else if (this.#log.firstElementChild !== before) this.#scroll.scrollTop = this.#scroll.scrollHeight - fromEnd;
    this.#newest.hidden = this.#isNearEnd();
  }

  #send() {
    const text = this.#input.value.trim();
    if (!text) return;
    this.#input.value = '';
    this.#grow();
    this.#meeting.sendChat(text);
  }

  async #loadOlder() {
    try {
      await this.#meeting.loadOlder();
    } catch (error) {
      toast(wordsFor(error));
    }
  }

  #grow() {
    this.#input.style.setProperty('height', 'auto');
    this.#input.style.setProperty('height', `${Math.min(140, this.#input.scrollHeight + 2)}px`);
    const left = LIMITS.chat - [...this.#input.value].length;
    setText(this.#left, left <= COUNT_FROM ? t('chat.left', { n: left }) : '');
  }

  #isNearEnd() {
    return this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight < NEAR_END_PX;
  }

  #toEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  /** @param {ChatItem} item */
  #create(item) {
    if (item.kind === 'day') return h('div', { class: 'day-line' }, h('span', null, dayName(item.ms, Date.now())));
    if (item.kind === 'unread') return h('div', { class: 'unread-line' }, h('span', null, t('chat.unread')));
    const { line, mine } = item;
    const text = h('p', { class: 'bubble-text' });
    for (const piece of piecesOf(line.text)) {
      text.append(piece.href ? h('a', { href: piece.href, target: '_blank', rel: 'noopener noreferrer' }, piece.text) : piece.text);
    }
    return h(
      'div',
      { class: mine ? 'line mine' : 'line', data: { author: item.user_id } },
      mine ? null : h('span', { class: 'line-avatar' }, avatar(item.author, item.user_id)),
      h(
        'div',
        { class: 'bubble' },
        h('span', { class: mine ? 'hush' : 'bubble-author' }, mine ? t('chat.you') : item.author),
        text,
        h('span', { class: 'bubble-end' }, h('time', { datetime: new Date(line.sent_ms).toISOString() }, clock(line.sent_ms)), icon('clock', 'small')),
      ),
    );
  }

  /**
   * @param {HTMLElement} element
   * @param {ChatItem} item
   */
  #update(element, item) {
    if (item.kind !== 'line') return;
    const { line } = item;
    element.classList.toggle('first', line.first);
    element.classList.toggle('last', line.last);
    element.dataset.state = line.state;
    const time = element.querySelector('time');
    if (time) setText(time, clock(line.sent_ms));
    const again = element.querySelector('.resend');
    if (line.state === 'failed' && !again && line.client_id !== null) {
      const id = line.client_id;
      element.append(
        h('div', { class: 'resend wrong', role: 'alert' }, t('chat.failed'), ' ', h('button', { type: 'button', data: { action: 'resend' }, onclick: () => this.#meeting.resend(id) }, t('retry'))),
      );
    } else if (line.state !== 'failed') {
      again?.remove();
    }
  }
}
