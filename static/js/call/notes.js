// What stands between people and a good meeting, or should be known while it lasts: lines above the stage, never over
// a face.

import { breakoutHere, myBreakout } from '../breakouts.js';
import { copyLink } from '../copy.js';
import { h, icon, setText } from '../dom.js';
import { t } from '../i18n.js';
import { placeOfHand } from '../orders.js';
import { may, silencedBy } from '../powers.js';
import { linkTo } from '../route.js';
import { others, self } from '../state.js';
import { problemNotes } from '../views/prejoin.js';
import { showBreakouts } from './later.js';
import { recordingOf } from './recording.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */
/** @typedef {{action: string, label: string, act: () => void}} NoteButton */

/** Sound and picture may take this long before it is said that they are coming. */
const PATIENCE_MS = 2_000;

/** Recordings of which the person has read: told once, and again only for another.
 * @type {Set<string>} */
const known = new Set();

export class CallNotes {
  element = h('div', { class: 'call-notes', 'aria-live': 'polite' });
  #app;
  #meeting;
  #drawn = '';
  /** The trouble with devices that was put away. */
  #dismissed = '';
  /** @type {number | undefined} */
  #patience;
  #isSlow = false;
  #clock = window.setInterval(() => this.#count(), 1000);
  /** What comes and goes stands below what lasts. */
  #size = new ResizeObserver(() => document.body.style.setProperty('--notes', `${this.element.offsetHeight}px`));

  /**
   * @param {import('../main.js').App} app
   * @param {Meeting} meeting
   */
  constructor(app, meeting) {
    this.#app = app;
    this.#meeting = meeting;
    this.#size.observe(this.element);
  }

  stop() {
    clearTimeout(this.#patience);
    clearInterval(this.#clock);
    this.#size.disconnect();
    document.body.style.removeProperty('--notes');
  }

  draw() {
    const { state, local } = this.#meeting;
    // Most connections are up before anybody wonders: only a slow one is spoken of.
    if (state.flow !== 'connecting') {
      clearTimeout(this.#patience);
      this.#patience = undefined;
      this.#isSlow = false;
    } else {
      this.#patience ??= window.setTimeout(() => {
        this.#isSlow = true;
        this.draw();
      }, PATIENCE_MS);
    }
    const isAlone = state.phase === 'joined' && others(state).length === 0;
    const { breakouts } = state;
    const now = JSON.stringify([
      silencedBy(self(state)), placeOfHand(state, state.me) > 0, state.phase, state.restarting, state.flow, this.#isSlow, state.saving, state.silent, isAlone, local.screen !== null,
      local.microphone.problem, local.camera.problem, this.#dismissed, self(state)?.role, state.broadcast, state.calls, state.departure, recordingOf(state), state.state.record_consent, breakouts?.ends_ms, breakouts?.opened_ms, myBreakout(state)?.id,
    ]);
    if (now === this.#drawn) return;
    this.#drawn = now;
    this.element.replaceChildren(...this.#connection(), ...this.#recording(), ...this.#rooms(), ...this.#devices(), ...(isAlone && !breakouts ? this.#alone() : []));
    this.#count();
  }

  #connection() {
    const { state } = this.#meeting;
    if (state.phase === 'reconnecting') return [note('care', null, t(state.restarting ? 'note.restarting' : 'note.reconnecting'))];
    if (state.flow === 'blocked') return [note('care', 'warn', t('note.blocked'))];
    if (state.saving) return [note('care', 'warn', t('note.saving'))];
    return this.#isSlow ? [note('', null, t('note.media'))] : [];
  }

  /** Whoever is recorded reads so before going on, and may leave. */
  #recording() {
    const meeting = this.#meeting;
    const { state } = meeting;
    const recording = recordingOf(state);
    const { recording: now, record_consent: consent } = state.state;
    if (recording === null || known.has(recording)) return [];
    if (now?.by?.user_id === state.userId) return [];
    const read = () => {
      known.add(recording);
      this.#drawn = '';
      this.draw();
    };
    const who = now?.by ? t('record.notice_by', { name: now.by.display_name }) : t('record.notice');
    return [note('care', 'record', consent ? `${who} ${consent}` : who, { action: 'record-leave', label: t('bar.leave'), act: () => meeting.leave() }, { action: 'record-ok', label: t('breakout.read'), act: read })];
  }

  /** Breakout rooms: where one goes, is, or may go; and words for all of them. */
  #rooms() {
    const meeting = this.#meeting;
    const { state } = meeting;
    const { breakouts, broadcast, departure } = state;
    const { visit } = this.#app;
    const shown = [];
    if (broadcast && broadcast.by.user_id !== state.userId) shown.push(note('care', 'chat', t('breakout.broadcast', { by: broadcast.by.display_name, text: broadcast.text }), { action: 'read-broadcast', label: t('breakout.read'), act: () => meeting.store.dispatch({ type: 'local.read' }) }));
    if (!breakouts || !visit) return shown;
    const isModerator = may(self(state)?.role, 'break_out');
    const here = breakoutHere(state);
    for (const call of isModerator ? state.calls : []) {
      const room = breakouts.rooms[call.room];
      if (!room || room.id === here?.id) continue;
      const put = { action: 'read-call', label: t('breakout.read'), act: () => meeting.store.dispatch({ type: 'local.answered', room: call.room }) };
      shown.push(note('care', 'hand', t('said.help', { name: call.by.display_name, room: room.name }), put, { action: 'answer-call', label: t('breakout.go'), act: () => void visit.move(room) }));
    }
    const all = { action: 'breakouts', label: t('breakout.all'), act: () => showBreakouts(this.#app, meeting) };
    if (here) {
      const back = { action: 'breakout-back', label: t('breakout.back'), act: () => visit.stay(null) };
      const help = { action: 'breakout-help', label: t('breakout.help'), act: () => void meeting.order({ type: 'breakout.help' }) };
      shown.push(note('', 'rooms', t('breakout.here', { name: here.name }), isModerator ? all : help, back));
    } else if (departure) {
      const { room } = departure;
      shown.push(note('care', 'rooms', t('breakout.yours', { name: room.name }), { action: 'breakout-stay', label: t('breakout.stay'), act: () => visit.stay(room) }, { action: 'breakout-go', label: t('breakout.go'), act: () => void visit.move(room) }));
    } else {
      const mine = myBreakout(state);
      const go = mine ? { action: 'breakout-go', label: t('breakout.go'), act: () => void visit.move(mine) } : null;
      shown.push(note('', 'rooms', mine ? t('breakout.yours', { name: mine.name }) : t('breakout.open'), isModerator || breakouts.self_choice ? all : null, go));
    }
    return shown;
  }

  #devices() {
    const meeting = this.#meeting;
    const { state, local } = meeting;
    const shown = [];
    if (state.silent) shown.push(note('care', 'volume', t('note.silent'), { action: 'hear', label: t('note.silent.do'), act: () => void meeting.hear() }));
    const silenced = silencedBy(self(state));
    if (silenced?.by) shown.push(note('care', 'mic-off', t('note.muted_by', { name: silenced.by })));
    else if (silenced) {
      shown.push(note('', 'mic-off', t('note.mute_all'), placeOfHand(state, state.me) > 0 ? null : { action: 'raise-hand', label: t('hand.raise.short'), act: () => meeting.setHand(true) }));
    }
    if (local.screen) shown.push(note('', 'screen', t('note.sharing'), { action: 'stop-screen', label: t('note.sharing.stop'), act: () => local.stopScreen() }));
    const problems = JSON.stringify([local.microphone.problem, local.camera.problem]);
    if (problems !== this.#dismissed) {
      shown.push(
        ...problemNotes(local, () => {
          this.#dismissed = problems;
          this.draw();
        }),
      );
    }
    return shown;
  }

  #alone() {
    const { room } = this.#meeting.state;
    if (!room) return [];
    return [note('', 'people', t('note.alone'), { action: 'copy-link', label: t('copy_link'), act: () => void copyLink(linkTo(location.origin, room)) })];
  }

  /** The time that is left, where a note tells it; not said aloud each second. */
  #count() {
    const { breakouts, departure } = this.#meeting.state;
    const place = this.element.querySelector('.breakout-note .note-time');
    if (!(place instanceof HTMLElement)) return;
    const at = departure?.at_ms ?? breakouts?.ends_ms;
    place.hidden = at === undefined;
    if (at !== undefined) setText(place, timeLeft(at - Date.now()));
  }
}

/**
 * One line above the stage. Without an icon it turns a wheel: something is under way.
 * @param {'' | 'care'} mood
 * @param {string | null} sign
 * @param {string} text
 * @param {...(NoteButton | null)} buttons
 */
function note(mood, sign, text, ...buttons) {
  const pressed = buttons.flatMap((button) => (button ? [h('button', { type: 'button', class: 'button slim', data: { action: button.action }, onclick: button.act }, button.label)] : []));
  return h(
    'div',
    { class: ['note', mood, sign === 'rooms' ? 'breakout-note' : ''].filter(Boolean).join(' ') },
    sign ? icon(sign) : h('span', { class: 'spinner', 'aria-hidden': 'true' }),
    h('span', null, text),
    h('span', { class: 'note-time', role: 'timer', 'aria-live': 'off', hidden: true }),
    pressed.length > 1 ? h('span', { class: 'note-buttons' }, ...pressed) : pressed,
  );
}

/**
 * A time that is left, as a clock shows it.
 * @param {number} ms
 */
export function timeLeft(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
