// Parts of the call that few need and nobody at once: fetched when they are asked for, so that entering is quick.

import { h } from '../dom.js';
import { errorText } from '../i18n.js';
import { toast } from '../notices.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */

/** @param {Meeting} meeting */
export function showRoomSettings(meeting) {
  import('./roomsettings.js').then(({ openRoomSettings }) => openRoomSettings(meeting), unreachable);
}

/**
 * @param {import('../main.js').App} app
 * @param {Meeting} meeting
 */
export function showBreakouts(app, meeting) {
  import('./breakoutrooms.js').then(({ openBreakouts }) => openBreakouts(app, meeting), unreachable);
}

/**
 * By ear that a recording begins or ends; who cannot fetch the sound reads it.
 * @param {boolean} isOn
 */
export function chime(isOn) {
  import('./chime.js').then(({ play }) => play(isOn)).catch(() => {});
}

/** @param {Meeting} meeting */
export function showAudit(meeting) {
  import('./audit.js').then(({ openAudit }) => openAudit(meeting), unreachable);
}

/** @param {(poll: import('../types.js').NewPoll) => void} send */
export function showPollForm(send) {
  import('./pollform.js').then(({ openPollForm }) => openPollForm(send), unreachable);
}

/**
 * @param {import('../main.js').App} app
 * @param {Meeting} meeting
 */
export function showSettings(app, meeting) {
  import('./more.js').then(({ openSettings }) => openSettings(app, meeting), unreachable);
}

export function showShortcuts() {
  import('./more.js').then(({ openShortcuts }) => openShortcuts(), unreachable);
}

/**
 * @param {Meeting} meeting
 * @param {HTMLElement} place
 * @param {readonly import('../types.js').Attachment[]} files
 */
export function showFiles(meeting, place, files) {
  place.hidden = files.length === 0;
  if (files.length > 0 || place.firstChild) import('./files.js').then(({ drawFiles }) => drawFiles(meeting, place, files), unreachable);
}

/** The panel of connection details, fetched when it is first opened. */
export class LaterDetails {
  element = h('div', { class: 'later' });
  /** @type {import('./details.js').DetailsPanel | null} */
  #panel = null;
  #isAsked = false;
  /** @type {string | null} */
  #key = null;
  #make;

  /**
   * @param {Meeting} meeting
   * @param {import('../readings.js').Readings} readings
   * @param {() => import('../state.js').TileSpec[]} shown the tiles on the stage now
   */
  constructor(meeting, readings, shown) {
    this.#make = () => import('./details.js').then(({ DetailsPanel }) => new DetailsPanel(meeting, readings, shown));
  }

  draw() {
    if (this.#panel) return this.#panel.draw();
    if (this.#isAsked) return;
    this.#isAsked = true;
    this.#make().then(
      (panel) => {
        this.#panel = panel;
        this.element.append(panel.element);
        if (this.#key) panel.show(this.#key);
        else panel.draw();
      },
      () => {
        this.#isAsked = false;
        unreachable();
      },
    );
  }

  /**
   * Brings somebody's part into view.
   * @param {string} key of the tile
   */
  show(key) {
    this.#key = key;
    if (this.#panel) this.#panel.show(key);
    else this.draw();
  }
}

/**
 * The list of members who are not here; nothing when it cannot be fetched now.
 * @param {Meeting} meeting
 */
export function absentList(meeting) {
  return import('./absent.js').then(({ AbsentList }) => new AbsentList(meeting), () => null);
}

function unreachable() {
  toast(errorText('network'));
}
