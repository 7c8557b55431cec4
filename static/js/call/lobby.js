// Who waits in the lobby, on top of the people list.

import { avatar } from '../avatar.js';
import { h, keyed, setText } from '../dom.js';
import { t } from '../i18n.js';
import { may } from '../powers.js';
import { self } from '../state.js';

/** @typedef {import('../types.js').Knock} Knock */

export class LobbyList {
  #meeting;
  #title = h('h3', { class: 'section-title' });
  #list = h('ul', { class: 'knocks' });
  #all;
  element;

  /** @param {import('../meeting.js').Meeting} meeting */
  constructor(meeting) {
    this.#meeting = meeting;
    this.#all = h('button', { type: 'button', class: 'button slim', data: { action: 'admit-all' }, onclick: () => void meeting.order({ type: 'lobby.admit' }) }, t('lobby.admit_all'));
    this.element = h('section', { class: 'lobby', 'aria-label': t('lobby.title'), hidden: true }, h('div', { class: 'row ends' }, this.#title, this.#all), this.#list);
  }

  draw() {
    const { state } = this.#meeting;
    const knocks = may(self(state)?.role, 'admit') ? state.lobby : [];
    this.element.hidden = knocks.length === 0;
    this.#all.hidden = knocks.length < 2;
    setText(this.#title, t('lobby.count', { n: knocks.length }));
    keyed(this.#list, knocks, { key: (knock) => knock.id, create: (knock) => this.#create(knock) });
  }

  /** @param {Knock} knock */
  #create(knock) {
    const name = knock.display_name;
    const admit = () => void this.#meeting.order({ type: 'lobby.admit', participant_id: knock.id });
    const refuse = () => void this.#meeting.order({ type: 'lobby.refuse', participant_id: knock.id });
    return h(
      'li',
      { class: 'knock', data: { name } },
      avatar(name, knock.user_id),
      h('span', { class: 'person-name' }, name),
      h('button', { type: 'button', class: 'button slim plain', 'aria-label': t('lobby.refuse.named', { name }), data: { action: 'refuse' }, onclick: refuse }, t('lobby.refuse')),
      h('button', { type: 'button', class: 'button slim primary', 'aria-label': t('lobby.admit.named', { name }), data: { action: 'admit' }, onclick: admit }, t('lobby.admit')),
    );
  }
}
