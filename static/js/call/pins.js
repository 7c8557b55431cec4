// What moderators have pinned, above the chat: the newest, or all of them.

import { h, icon, keyed, setText } from '../dom.js';
import { t } from '../i18n.js';
import { may } from '../powers.js';
import { self } from '../state.js';
import { summary } from './summary.js';

export class PinBar {
  #meeting;
  #jump;
  #list = h('ul', { class: 'pins-list' });
  #all = h('button', { type: 'button', class: 'icon-button', 'aria-expanded': 'false', data: { action: 'all-pins' } }, icon('chevron-down', 'small'));
  #isOpen = false;
  element = h('section', { class: 'pins', 'aria-label': t('pins.title'), hidden: true }, this.#list, this.#all);

  /**
   * @param {import('../meeting.js').Meeting} meeting
   * @param {(id: string) => void} jump
   */
  constructor(meeting, jump) {
    this.#meeting = meeting;
    this.#jump = jump;
    this.#all.addEventListener('click', () => {
      this.#isOpen = !this.#isOpen;
      this.draw();
    });
  }

  draw() {
    const { state } = this.#meeting;
    const { pins } = state;
    this.element.hidden = pins.length === 0;
    this.#all.hidden = pins.length < 2;
    this.#all.setAttribute('aria-expanded', String(this.#isOpen));
    this.#all.setAttribute('aria-label', t('pins.all', { n: pins.length }));
    this.#all.title = t('pins.all', { n: pins.length });
    const mayPin = may(self(state)?.role, 'pin');
    keyed(this.#list, this.#isOpen ? pins : pins.slice(0, 1), {
      key: (m) => m.id,
      create: (m) => {
        const jump = h('button', { type: 'button', class: 'pinned-line', data: { action: 'show-pin' }, onclick: () => this.#jump(m.id) }, icon('pin', 'small'), h('strong'), h('span'));
        const unpin = h('button', { type: 'button', class: 'icon-button', 'aria-label': t('line.unpin'), title: t('line.unpin'), data: { action: 'unpin' }, onclick: () => void this.#meeting.order({ type: 'chat.pin', message_id: m.id, pinned: false }) }, icon('close', 'small'));
        return h('li', null, jump, unpin);
      },
      update: (row, m) => {
        setText(/** @type {Element} */ (row.querySelector('strong')), m.display_name);
        setText(/** @type {Element} */ (row.querySelector('.pinned-line > span')), summary(m));
        row.lastElementChild?.toggleAttribute('hidden', !mayPin);
      },
    });
  }
}
