// The list of people in the room.

import { avatar } from '../avatar.js';
import { h, icon, keyed, setIcon, setText } from '../dom.js';
import { t } from '../i18n.js';
import { toggleMenu } from '../menu.js';
import { volumeOf } from '../state.js';
import { copyLink } from '../views/rooms.js';
import { linkTo } from '../route.js';
import { volumeSlider } from './stage.js';

/** @typedef {import('../types.js').Participant} Participant */

/** From this many people on a search field helps; below it is noise. */
const SEARCH_FROM = 8;

export class PeoplePanel {
  #meeting;
  #list = h('ul', { class: 'people' });
  #search = h('input', { class: 'input', type: 'search', name: 'search', autocomplete: 'off', 'aria-label': t('people.search'), placeholder: t('people.search') });
  #none = h('p', { class: 'quiet centre', hidden: true }, t('people.none'));
  element;

  /** @param {import('../meeting.js').Meeting} meeting */
  constructor(meeting) {
    this.#meeting = meeting;
    this.#search.addEventListener('input', () => this.draw());
    this.element = h(
      'div',
      { class: 'panel-body' },
      this.#search,
      this.#list,
      this.#none,
      h(
        'button',
        { type: 'button', class: 'button wide', data: { action: 'copy-link' }, onclick: () => meeting.state.room && void copyLink(linkTo(location.origin, meeting.state.room)) },
        icon('link'),
        t('copy_link'),
      ),
    );
  }

  draw() {
    const { state } = this.#meeting;
    this.#search.hidden = state.participants.length < SEARCH_FROM;
    const asked = this.#search.hidden ? '' : this.#search.value.trim().toLocaleLowerCase();
    const me = state.participants.filter((p) => p.id === state.me);
    const shown = [...me, ...state.participants.filter((p) => p.id !== state.me)].filter((p) => p.display_name.toLocaleLowerCase().includes(asked));
    this.#none.hidden = shown.length > 0;
    keyed(this.#list, shown, { key: (p) => p.id, create: (p) => this.#create(p), update: (row, p) => this.#update(row, p) });
  }

  /** @param {Participant} participant */
  #create(participant) {
    const isMe = participant.id === this.#meeting.state.me;
    const volume = h('button', { type: 'button', class: 'icon-button', 'aria-haspopup': 'menu', 'aria-expanded': 'false', data: { action: 'volume' } }, icon('volume'));
    volume.addEventListener('click', () => {
      const now = this.#meeting.state.participants.find((p) => p.id === participant.id) ?? participant;
      toggleMenu(volume, t('tile.volume', { name: now.display_name }), () => [
        { heading: t('tile.volume', { name: now.display_name }) },
        { element: volumeSlider(this.#meeting, now.user_id, now.display_name) },
      ]);
    });
    return h(
      'li',
      { class: 'person', data: { participant: participant.id } },
      avatar(participant.display_name, participant.user_id),
      h('div', { class: 'person-words' }, h('span', { class: 'person-name' }), h('span', { class: 'quiet person-state' })),
      h('span', { class: 'person-signs' }, icon('cam-off', 'cam-sign'), icon('mic', 'mic-sign')),
      isMe ? null : volume,
    );
  }

  /**
   * @param {HTMLElement} row
   * @param {Participant} participant
   */
  #update(row, participant) {
    const { state } = this.#meeting;
    const isMe = participant.id === state.me;
    const { mic_muted, mic_forced, cam_off, cam_forced } = participant.media;
    row.dataset.speaking = String(state.speakers.includes(participant.id) && !mic_muted);
    row.dataset.mic = mic_forced ? 'forced' : mic_muted ? 'muted' : 'on';
    row.dataset.name = participant.display_name;
    setText(row.querySelector('.person-name') ?? row, isMe ? t('tile.you', { name: participant.display_name }) : participant.display_name);
    const isSharing = participant.tracks.some((track) => track.source === 'screen');
    const words = [
      participant.role === 'owner' || participant.role === 'admin' ? t(`role.${participant.role}`) : '',
      participant.presence === 'reconnecting' ? t('tile.away') : '',
      isSharing ? t('people.sharing') : '',
      mic_forced ? t('tile.forced') : '',
    ];
    setText(row.querySelector('.person-state') ?? row, words.filter(Boolean).join(' · '));
    const micSign = row.querySelector('.mic-sign');
    if (micSign) {
      setIcon(micSign, mic_muted || mic_forced ? 'mic-off' : 'mic');
      micSign.classList.toggle('forced', mic_forced);
    }
    row.querySelector('.cam-sign')?.toggleAttribute('hidden', !(cam_off || cam_forced));
    // What the signs say, for those who do not see them.
    const said = t(mic_muted || mic_forced ? 'tile.muted' : 'people.mic_on');
    row.querySelector('.person-signs')?.setAttribute('aria-label', cam_off || cam_forced ? `${said}, ${t('people.cam_off')}` : said);
    row.querySelector('.person-signs')?.setAttribute('role', 'img');
    const volume = row.querySelector('button');
    if (volume) {
      const level = volumeOf(state, participant.user_id);
      volume.setAttribute('aria-label', t('tile.volume', { name: participant.display_name }));
      volume.title = t('people.volume');
      const sign = volume.firstElementChild;
      if (sign) setIcon(sign, level === 0 ? 'volume-off' : 'volume');
      volume.classList.toggle('changed', level < 1);
    }
  }
}
