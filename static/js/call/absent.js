// Members of the room who are not here, under the list of those who are. Moderators change their roles, free them of
// what was ordered, or shut the door on them.

import { avatar } from '../avatar.js';
import { h, icon, keyed, setText } from '../dom.js';
import { t } from '../i18n/absent.js';
import { toggleMenu } from '../menu.js';
import { deedsForAbsent } from '../powers.js';
import { self } from '../state.js';
import { deedItem } from './deeds.js';
import { busy, trouble } from '../views/form.js';

/** @typedef {import('../types.js').Member} Member */
/** @typedef {import('../types.js').ServerMessage} ServerMessage */

/** After these the list may be another. */
const CHANGES = new Set(['member.left', 'member.kicked', 'member.unbanned', 'role.changed', 'media.forced', 'media.video_forced', 'state.snapshot']);
/** Changes come in crowds, at the end of a meeting above all: the list is asked for again after this pause. */
const PAUSE_MS = 400;

export class AbsentList {
  #meeting;
  /** @type {readonly Member[]} */
  #members = [];
  #asked = '';
  #count = h('span');
  #wrong = trouble();
  #again = h('button', { type: 'button', class: 'button slim', data: { action: 'retry-members' }, onclick: () => void this.#load() }, t('retry'));
  #list = h('ul', { class: 'absent-list' });
  /** @type {number | undefined} */
  #timer;
  element;

  /** @param {import('../meeting.js').Meeting} meeting */
  constructor(meeting) {
    this.#meeting = meeting;
    this.element = h('details', { class: 'absent', hidden: true }, h('summary', null, this.#count), this.#wrong.element, this.#again, this.#list);
    this.element.addEventListener('toggle', () => this.#draw());
    const heard = (/** @type {Event} */ event) => {
      // The call was drawn anew, in another language: another list stands there.
      if (!this.element.isConnected) return meeting.removeEventListener('message', heard);
      const { type } = /** @type {CustomEvent<ServerMessage>} */ (event).detail;
      if (!CHANGES.has(type)) return;
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => meeting.state.phase === 'joined' && void this.#load(), PAUSE_MS);
    };
    meeting.addEventListener('message', heard);
    void this.#load();
  }

  /** @param {string} asked what is searched for, in lower case */
  draw(asked) {
    this.#asked = asked;
    this.#draw();
  }

  async #load() {
    this.#again.hidden = true;
    let isHere = false;
    await busy(this.#again, this.#wrong, async () => {
      this.#members = (await this.#meeting.api.members(this.#meeting.state.room?.slug ?? '')).members;
      isHere = true;
    });
    this.#again.hidden = isHere;
    this.#draw();
  }

  #draw() {
    const here = new Set(this.#meeting.state.participants.map((p) => p.user_id));
    const away = this.#members.filter((member) => !here.has(member.user_id) && member.display_name.toLocaleLowerCase().includes(this.#asked));
    this.element.hidden = away.length === 0 && this.#again.hidden;
    setText(this.#count, t('absent.count', { n: away.length }));
    // A thousand rows that nobody has unfolded are not made.
    keyed(this.#list, this.element.open ? away : [], { key: (member) => member.user_id, create: (member) => this.#create(member), update: (row, member) => this.#update(row, member) });
  }

  /** @param {Member} member */
  #create(member) {
    const name = member.display_name;
    const menu = h('button', { type: 'button', class: 'icon-button', 'aria-haspopup': 'menu', 'aria-expanded': 'false', 'aria-label': t('tile.menu', { name }), title: t('tile.menu.short'), data: { action: 'absent-menu' } }, icon('more'));
    menu.addEventListener('click', () => {
      const now = this.#members.find((m) => m.user_id === member.user_id) ?? member;
      toggleMenu(menu, name, () => [{ heading: name }, ...deedsForAbsent(self(this.#meeting.state), now).map((deed) => deedItem(this.#meeting, deed, now))]);
    });
    return h(
      'li',
      { class: 'person', data: { name } },
      avatar(name, member.user_id),
      h('div', { class: 'person-words' }, h('span', { class: 'person-name' }, name), h('span', { class: 'quiet person-state' })),
      menu,
    );
  }

  /**
   * @param {HTMLElement} row
   * @param {Member} member
   */
  #update(row, member) {
    const { role, orders = {} } = member;
    row.dataset.role = role;
    const words = [t(`absent.role.${role}`), orders.microphone ? t('people.muted_by', { name: orders.microphone.display_name }) : '', orders.camera ? t('people.camera_by', { name: orders.camera.display_name }) : '', orders.screen ? t('people.screen_by', { name: orders.screen.display_name }) : ''];
    setText(/** @type {Element} */ (row.querySelector('.person-state')), words.filter(Boolean).join(' · '));
    row.querySelector('button')?.toggleAttribute('hidden', deedsForAbsent(self(this.#meeting.state), member).length === 0);
  }
}
