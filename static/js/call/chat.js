// The chat beside the stage: pinned lines, bubbles, own on the right, history above, a field below.

import { layoutChat } from '../chat.js';
import { h, icon, keyed, setText } from '../dom.js';
import { dayName, listOf, t } from '../i18n.js';
import { toast } from '../notices.js';
import { typingNames } from '../state.js';
import { wordsFor } from '../views/form.js';
import { Composer } from './composer.js';
import { createLine, updateLine } from './line.js';
import { PinBar } from './pins.js';

/** @typedef {import('../chat.js').ChatItem} ChatItem */

/** Nearer than this to the end counts as reading the newest: new lines then scroll into view. */
const NEAR_END_PX = 80;
/** Pages of history that are fetched to find the message that a quote or a pin means. */
const SEARCH_PAGES = 20;

export class ChatPanel {
  #meeting;
  #composer;
  #pins;
  #log = h('div', { class: 'log', role: 'log', 'aria-live': 'polite', 'aria-relevant': 'additions', 'aria-label': t('chat.title'), tabindex: '0' });
  #empty = h('p', { class: 'quiet centre chat-empty' }, t('chat.empty'));
  #older = h('button', { type: 'button', class: 'button slim older', data: { action: 'older' } }, t('chat.older'));
  #scroll = h('div', { class: 'log-scroll' });
  #newest = h('button', { type: 'button', class: 'icon-button to-newest', hidden: true, 'aria-label': t('chat.newest'), title: t('chat.newest'), data: { action: 'newest' } }, icon('arrow-down'));
  #typing = h('p', { class: 'typing quiet' });
  #isFirst = true;
  /** Whoever reads the newest line goes on reading it when pictures arrive or the field grows. */
  #sticks = true;
  /** @type {unknown[]} */
  #drawn = [];
  element;

  /** @param {import('../meeting.js').Meeting} meeting */
  constructor(meeting) {
    this.#meeting = meeting;
    this.#composer = new Composer(meeting);
    const jump = (/** @type {string} */ id) => void this.#jump(id);
    this.#pins = new PinBar(meeting, jump);
    this.jump = jump;
    this.#scroll.append(this.#older, this.#empty, this.#log);
    this.#older.addEventListener('click', () => void this.#loadOlder());
    this.#newest.addEventListener('click', () => this.#toEnd());
    const stay = new ResizeObserver(() => this.#sticks && this.#toEnd());
    stay.observe(this.#log);
    stay.observe(this.#scroll);
    this.#scroll.addEventListener('scroll', () => {
      this.#sticks = this.#isNearEnd();
      this.#newest.hidden = this.#isNearEnd();
      // Whoever scrolls up gets more without asking; if that fails, the button is there and says why.
      if (this.#scroll.scrollTop < 40) meeting.conversation.loadOlder().catch(() => {});
    });
    this.element = h('div', { class: 'panel-body chat' }, this.#pins.element, h('div', { class: 'log-box' }, this.#scroll, this.#newest), this.#typing, this.#composer.element);
    this.#takeDrops();
  }

  /** Files may be dropped anywhere on the chat. */
  #takeDrops() {
    const { element } = this;
    element.addEventListener('dragover', (event) => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      element.classList.add('dropping');
    });
    element.addEventListener('dragleave', (event) => {
      if (!element.contains(/** @type {Node | null} */ (event.relatedTarget))) element.classList.remove('dropping');
    });
    element.addEventListener('drop', (event) => {
      element.classList.remove('dropping');
      const files = [...(event.dataTransfer?.files ?? [])];
      if (files.length === 0) return;
      event.preventDefault();
      this.#composer.addFiles(files);
    });
  }

  focus() {
    this.#composer.focus();
  }

  draw() {
    const { state } = this.#meeting;
    const names = typingNames(state);
    setText(this.#typing, names.length === 0 ? '' : names.length > 3 ? t('chat.typing.many') : t('chat.typing', { names: listOf(names), n: names.length }));
    this.#composer.draw();
    this.#older.hidden = !state.hasOlder;
    this.#older.setAttribute('aria-busy', String(state.loadingOlder));
    this.#empty.hidden = state.messages.length + state.pending.length > 0;
    const now = [state.messages, state.pending, state.unreadFrom, state.pins, state.participants.map((p) => p.display_name).join()];
    if (now.every((part, n) => part === this.#drawn[n])) return;
    this.#drawn = now;
    this.#pins.draw();
    const items = layoutChat(state.messages, state.pending, { user_id: state.userId, unreadFrom: state.unreadFrom });
    const follows = this.#isFirst || this.#isNearEnd() || state.pending.length > 0;
    const fromEnd = this.#scroll.scrollHeight - this.#scroll.scrollTop;
    const before = this.#log.firstElementChild;
    keyed(this.#log, items, {
      key: (item) => item.key,
      create: (item) => this.#create(item),
      update: (element, item) => item.kind === 'line' && updateLine(this.#meeting, element, item),
    });
    if (this.#isFirst) {
      this.#isFirst = false;
      const unread = this.#log.querySelector('.unread-line');
      if (unread) {
        this.#sticks = false;
        unread.scrollIntoView({ block: 'start' });
      } else this.#toEnd();
    } else if (follows) this.#toEnd();
    else if (this.#log.firstElementChild !== before) this.#scroll.scrollTop = this.#scroll.scrollHeight - fromEnd;
    this.#newest.hidden = this.#isNearEnd();
  }

  /** @param {ChatItem} item */
  #create(item) {
    if (item.kind === 'day') return h('div', { class: 'day-line' }, h('span', null, dayName(item.ms, Date.now())));
    if (item.kind === 'unread') return h('div', { class: 'unread-line' }, h('span', null, t('chat.unread')));
    return createLine(this.#meeting, item, this.jump);
  }

  /**
   * Shows a message that may lie further back than what is loaded.
   * @param {string} id
   */
  async #jump(id) {
    try {
      for (let page = 0; page < SEARCH_PAGES && !this.#lineOf(id) && this.#meeting.state.hasOlder; page++) {
        await this.#meeting.conversation.loadOlder();
        this.draw();
      }
    } catch (error) {
      toast(wordsFor(error));
      return;
    }
    const line = this.#lineOf(id);
    if (!line) return toast(t('chat.not_found'));
    this.#sticks = false;
    line.scrollIntoView({ block: 'center' });
    line.classList.add('found');
    line.addEventListener('animationend', () => line.classList.remove('found'), { once: true });
  }

  /** @param {string} id */
  #lineOf(id) {
    return this.#log.querySelector(`.line[data-message="${CSS.escape(id)}"]`);
  }

  async #loadOlder() {
    try {
      await this.#meeting.conversation.loadOlder();
    } catch (error) {
      toast(wordsFor(error));
    }
  }

  #isNearEnd() {
    return this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight < NEAR_END_PX;
  }

  #toEnd() {
    this.#sticks = true;
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }
}
