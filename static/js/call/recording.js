// That a meeting is recorded: a sign that stays while it lasts, and a sound when it begins, ends, or is come upon.

import { h, setText } from '../dom.js';
import { clock, t } from '../i18n.js';
import { toggleMenu } from '../menu.js';
import { may } from '../powers.js';
import { self } from '../state.js';
import { chime } from './later.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */

/** What was told by ear last: another drawing of the same call says nothing again.
 * @type {string | null} */
let told = null;

/**
 * Names the recording that runs, or none.
 * @param {import('../state.js').Meeting} state
 */
export function recordingOf({ room, state }) {
  return state.recording_active ? (state.recording?.recording_id ?? `${room?.id}`) : null;
}

export class RecordingSign {
  #words = h('span');
  #time = h('span', { class: 'note-time', 'aria-hidden': 'true' });
  element = h('button', { type: 'button', class: 'recording', 'aria-haspopup': 'menu', 'aria-expanded': 'false', hidden: true, data: { action: 'recording' } }, h('i', { 'aria-hidden': 'true' }), this.#words, this.#time);
  #meeting;
  #ticker = window.setInterval(() => this.#count(), 1000);

  /** @param {Meeting} meeting */
  constructor(meeting) {
    this.#meeting = meeting;
    this.element.addEventListener('click', () => this.#open());
  }

  stop() {
    clearInterval(this.#ticker);
  }

  draw() {
    const { state } = this.#meeting;
    if (state.phase !== 'joined') return;
    const recording = recordingOf(state);
    this.element.hidden = recording === null;
    setText(this.#words, t('record.on'));
    this.#count();
    if (recording === told) return;
    told = recording;
    chime(recording !== null);
  }

  #count() {
    const since = this.#meeting.state.state.recording?.since_ms;
    setText(this.#time, since === undefined || this.element.hidden ? '' : lasted(Date.now() - since));
  }

  #open() {
    const { state } = this.#meeting;
    const { recording, record_consent: consent } = state.state;
    const by = recording?.by?.display_name;
    toggleMenu(this.element, t('record.on'), () => [
      { heading: by ? t('record.by', { name: by, time: clock(recording?.since_ms ?? 0) }) : t('record.notice') },
      ...(consent ? [{ heading: consent }] : []),
      ...recordItems(this.#meeting, may(self(state)?.role, 'record')),
    ]);
  }
}

/**
 * Beginning and ending a recording, for those who may.
 * @param {Meeting} meeting
 * @param {boolean} isAllowed
 * @returns {import('../menu.js').MenuItem[]}
 */
export function recordItems(meeting, isAllowed) {
  if (!isAllowed) return [];
  if (meeting.state.state.recording_active) return [{ label: t('record.stop'), icon: 'stop', action: 'record-stop', pick: () => void meeting.order({ type: 'record.stop' }) }];
  return [{ label: t('record.start'), icon: 'record', action: 'record-start', pick: () => void meeting.order({ type: 'record.start' }) }];
}

/** @param {number} ms */
function lasted(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((part) => String(part).padStart(2, '0'));
  return seconds < 3600 ? parts.join(':') : [Math.floor(seconds / 3600), ...parts].join(':');
}
