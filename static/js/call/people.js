// The list of people in the room: who waits to come in, raised hands in order, everybody; for moderators
// everything they may do. Of hundreds only the rows in sight stand in the page.

import { avatar } from '../avatar.js';
import { countOf } from '../crowd.js';
import { h, icon, keyed, setIcon, setProp, setText } from '../dom.js';
import { clock, t } from '../i18n.js';
import { toggleMenu } from '../menu.js';
import { placeOfHand, roster } from '../orders.js';
import { deedsFor, may } from '../powers.js';
import { self, volumeOf } from '../state.js';
import { copyLink } from '../copy.js';
import { linkTo } from '../route.js';
import { personItems } from './deeds.js';
import { absentList, showRoomSettings } from './later.js';
import { LobbyList } from './lobby.js';
import { rowsInSight, windowOf } from '../window.js';
import { volumeSlider } from './volume.js';

/** @typedef {import('../types.js').Participant} Participant */

/** From this many people on a search field helps; below it is noise. */
const SEARCH_FROM = 8;
/** From this many rows on they all have one height, and those out of sight are left out. */
const WINDOW_FROM = 60;
/** The height of such a row, as in `people.css`. */
const ROW = 56;

export class PeoplePanel {
  #meeting;
  #lobby;
  #list = h('ul');
  #search = h('input', { class: 'input', type: 'search', name: 'search', autocomplete: 'off', 'aria-label': t('people.search'), placeholder: t('people.search') });
  /** @type {readonly Participant[]} */
  #shown = [];
  /** What `#shown` was made of. @type {readonly unknown[]} */
  #shownOf = [];
  /** What each row was drawn of: while that is the same, nothing of it is touched.
   * @type {WeakMap<Element, readonly unknown[]>} */
  #drawnOf = new WeakMap();
  #coming = h('p', { class: 'quiet centre', hidden: true, role: 'status' }, t('people.coming'));
  #none = h('p', { class: 'quiet centre', hidden: true }, t('people.none'));
  #scroll = h('div', { class: 'people' }, this.#list, this.#none, this.#coming);
  #muteAll;
  #lowerAll;
  #orders;
  #room;
  /** @type {import('./absent.js').AbsentList | null | undefined} */
  #absent;
  element;

  /** @param {import('../meeting.js').Meeting} meeting */
  constructor(meeting) {
    this.#meeting = meeting;
    this.#lobby = new LobbyList(meeting);
    this.#search.addEventListener('input', () => {
      this.#scroll.scrollTop = 0;
      this.draw();
    });
    this.#scroll.addEventListener('scroll', () => this.#drawRows());
    this.#list.addEventListener('keydown', (event) => this.#pressed(event));
    new ResizeObserver(() => this.#drawRows()).observe(this.#scroll);
    this.#muteAll = h('button', { type: 'button', class: 'button slim', data: { action: 'mute-all' } });
    this.#muteAll.addEventListener('click', () => void meeting.order({ type: 'state.set', mute_all: !meeting.state.state.mute_all }));
    this.#lowerAll = h('button', { type: 'button', class: 'button slim', data: { action: 'lower-all' }, onclick: () => void meeting.order({ type: 'hand.lower', everybody: true }) }, t('people.lower_all'));
    this.#room = h('button', { type: 'button', class: 'button slim', data: { action: 'room-settings' }, onclick: () => showRoomSettings(meeting) }, t('room.title'));
    this.#orders = h('div', { class: 'orders' }, this.#muteAll, this.#lowerAll, this.#room);
    this.element = h(
      'div',
      { class: 'panel-body' },
      this.#lobby.element,
      this.#orders,
      this.#search,
      this.#scroll,
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
    const role = self(state)?.role;
    this.#lobby.draw();
    this.#orders.hidden = !may(role, 'set_state');
    // A breakout room is set by its main room.
    this.#room.hidden = state.room?.parent !== undefined;
    this.#muteAll.setAttribute('aria-pressed', String(state.state.mute_all));
    setText(this.#muteAll, t(state.state.mute_all ? 'people.unmute_all' : 'people.mute_all'));
    this.#lowerAll.hidden = state.state.hands_up.length === 0;
    this.#search.hidden = countOf(state) < SEARCH_FROM;
    const asked = this.#search.hidden ? '' : this.#search.value.trim().toLocaleLowerCase();
    const of = [state.participants, state.state.hands_up, state.me, asked];
    if (of.some((part, n) => part !== this.#shownOf[n])) {
      this.#shownOf = of;
      this.#shown = roster(state).filter((p) => p.display_name.toLocaleLowerCase().includes(asked));
    }
    this.#coming.hidden = state.people === null;
    this.#none.hidden = this.#shown.length > 0 || state.people !== null;
    this.#drawRows();
    if (this.#absent === undefined && state.room?.parent === undefined) this.#fetchAbsent();
    this.#absent?.draw(asked);
  }

  #drawRows() {
    const count = this.#shown.length;
    const isLong = count >= WINDOW_FROM;
    this.#list.classList.toggle('long', isLong);
    const focused = document.activeElement?.closest('.person');
    const held = isLong && focused && this.#list.contains(focused) ? this.#shown.findIndex((p) => p.id === focused.getAttribute('data-key')) : -1;
    const sight = isLong ? rowsInSight(count, ROW, this.#scroll.scrollTop, this.#scroll.clientHeight) : { from: 0, to: count };
    const { rows, before, after } = windowOf(count, ROW, sight, held);
    const me = self(this.#meeting.state);
    this.#list.style.paddingTop = isLong ? `${before}px` : '';
    this.#list.style.paddingBottom = isLong ? `${after}px` : '';
    keyed(this.#list, rows, {
      key: (n) => this.#at(n).id,
      create: (n) => this.#create(this.#at(n)),
      update: (row, n) => this.#update(row, this.#at(n), me, isLong ? { place: n + 1, count } : null),
    });
  }

  /** @param {number} n */
  #at(n) {
    return /** @type {Participant} */ (this.#shown[n]);
  }

  /**
   * Arrows go from person to person, also to rows that do not stand in the page yet.
   * @param {KeyboardEvent} event
   */
  #pressed(event) {
    const row = event.target instanceof Element ? event.target.closest('.person') : null;
    const from = this.#shown.findIndex((p) => p.id === row?.getAttribute('data-key'));
    if (from < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const last = this.#shown.length - 1;
    const isMe = (/** @type {number} */ n) => this.#at(n).id === this.#meeting.state.me;
    // I stand first and have no menu.
    const first = isMe(0) ? Math.min(1, last) : 0;
    const goals = { ArrowDown: from + 1, ArrowUp: from - 1, Home: first, End: last };
    const goal = goals[/** @type {keyof typeof goals} */ (event.key)];
    if (goal === undefined) return;
    event.preventDefault();
    this.#focus(Math.max(first, Math.min(last, goal)));
  }

  /** @param {number} n */
  #focus(n) {
    if (this.#list.classList.contains('long')) {
      const { scrollTop, clientHeight } = this.#scroll;
      if (n * ROW < scrollTop) this.#scroll.scrollTop = n * ROW;
      else if ((n + 1) * ROW > scrollTop + clientHeight) this.#scroll.scrollTop = (n + 1) * ROW - clientHeight;
      this.#drawRows();
    }
    const row = [...this.#list.children].find((child) => child.getAttribute('data-key') === this.#at(n).id);
    row?.querySelector('button')?.focus();
  }

  /** Who belongs to the room and is not here is asked for when the list is first opened. */
  #fetchAbsent() {
    this.#absent = null;
    absentList(this.#meeting).then((absent) => {
      this.#absent = absent;
      if (absent) this.#scroll.append(absent.element);
      else this.#absent = undefined;
    });
  }

  /** @param {Participant} participant */
  #create(participant) {
    const isMe = participant.id === this.#meeting.state.me;
    const menu = h('button', { type: 'button', class: 'icon-button', 'aria-haspopup': 'menu', 'aria-expanded': 'false' }, icon('more'));
    menu.addEventListener('click', () => {
      const now = this.#meeting.state.participants.find((p) => p.id === participant.id) ?? participant;
      const name = now.display_name;
      toggleMenu(menu, name, () => [{ heading: name }, { element: volumeSlider(this.#meeting, now.user_id, name) }, ...personItems(this.#meeting, now)]);
    });
    return h(
      'li',
      { class: 'person', data: { participant: participant.id } },
      avatar(participant.display_name, participant.user_id),
      h('div', { class: 'person-words' }, h('span', { class: 'person-name' }), h('span', { class: 'quiet person-state' })),
      h('span', { class: 'hand-place', hidden: true }, icon('hand', 'small'), h('span')),
      h('span', { class: 'person-signs', role: 'img' }, icon('cam-off', 'cam-sign'), icon('mic', 'mic-sign')),
      isMe ? null : menu,
    );
  }

  /**
   * @param {HTMLElement} row
   * @param {Participant} participant
   * @param {Participant | null} me
   * @param {{place: number, count: number} | null} stand where it stands among how many, where not all rows are in the page
   */
  #update(row, participant, me, stand) {
    const { state } = this.#meeting;
    const isMe = participant.id === state.me;
    const { mic_muted, mic_forced, cam_off, cam_forced } = participant.media;
    const isSpeaking = state.speakers.includes(participant.id) && !mic_muted && !mic_forced;
    const level = volumeOf(state, participant.user_id);
    const of = [participant, me, state.state, isSpeaking, level, stand?.place, stand?.count];
    const before = this.#drawnOf.get(row);
    if (before && of.every((part, n) => part === before[n])) return;
    this.#drawnOf.set(row, of);
    // For those who hear the list.
    setProp(row, 'aria-setsize', stand?.count);
    setProp(row, 'aria-posinset', stand?.place);
    row.dataset.speaking = String(isSpeaking);
    row.dataset.mic = mic_forced ? 'forced' : mic_muted ? 'muted' : 'on';
    row.dataset.name = participant.display_name;
    row.dataset.role = participant.role;
    setText(row.querySelector('.person-name') ?? row, isMe ? t('tile.you', { name: participant.display_name }) : participant.display_name);
    setText(row.querySelector('.person-state') ?? row, stateWords(participant, state.state.mute_all).join(' · '));
    const place = placeOfHand(state, participant.id);
    const hand = row.querySelector('.hand-place');
    if (hand) {
      hand.toggleAttribute('hidden', place === 0);
      setText(/** @type {Element} */ (hand.lastElementChild), String(place));
      setProp(hand, 'title', place > 0 && t('hand.place', { n: place }));
    }
    const micSign = row.querySelector('.mic-sign');
    if (micSign) {
      setIcon(micSign, mic_muted || mic_forced ? 'mic-off' : 'mic');
      micSign.classList.toggle('forced', mic_forced);
    }
    const camSign = row.querySelector('.cam-sign');
    camSign?.toggleAttribute('hidden', !(cam_off || cam_forced));
    camSign?.classList.toggle('forced', cam_forced);
    // What the signs say, for those who do not see them.
    const said = t(mic_forced ? 'tile.forced' : mic_muted ? 'tile.muted' : 'people.mic_on');
    row.querySelector('.person-signs')?.setAttribute('aria-label', cam_off || cam_forced ? `${said}, ${t('people.cam_off')}` : said);
    const button = row.querySelector('button');
    if (!button) return;
    const hasDeeds = deedsFor(me, participant, state.state).length > 0;
    button.dataset.action = hasDeeds ? 'person-menu' : 'volume';
    button.setAttribute('aria-label', t('tile.menu', { name: participant.display_name }));
    button.title = t('tile.menu.short');
    if (button.firstElementChild) setIcon(button.firstElementChild, level === 0 ? 'volume-off' : 'more');
    button.classList.toggle('changed', level < 1);
  }
}

/**
 * What is said under a name.
 * @param {Participant} participant
 * @param {boolean} isMuteAll
 */
function stateWords(participant, isMuteAll) {
  const { role, presence, tracks, media, orders = {} } = participant;
  const words = [
    role === 'owner' || role === 'admin' ? t(`role.${role}`) : '',
    presence === 'reconnecting' ? t('tile.away') : '',
    tracks.some((track) => track.source === 'screen') && !media.screen_forced ? t('people.sharing') : '',
    orders.microphone ? t('people.muted_by', { name: orders.microphone.display_name }) : '',
    orders.camera ? t('people.camera_by', { name: orders.camera.display_name }) : '',
    orders.screen ? t('people.screen_by', { name: orders.screen.display_name }) : '',
  ];
  if (isMuteAll && orders.may_speak && !orders.microphone) {
    words.push(orders.may_speak_until_ms ? t('people.may_speak_until', { time: clock(orders.may_speak_until_ms) }) : t('people.may_speak'));
  }
  return words.filter(Boolean);
}
