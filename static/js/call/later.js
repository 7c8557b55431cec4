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

/**
 * A panel beside the stage that is fetched when it is first opened, or before, when there is time.
 * @template {{element: HTMLElement, draw: () => void}} Panel
 */
export class LaterPanel {
  element = h('div', { class: 'later' });
  /** @type {Panel | null} */
  #panel = null;
  /** @type {Promise<void> | null} */
  #fetched = null;
  #make;

  /** @param {() => Promise<Panel>} make */
  constructor(make) {
    this.#make = make;
  }

  draw() {
    if (this.#panel) this.#panel.draw();
    // Closed again before it came: it is drawn when it is seen.
    else this.use((panel) => this.element.hidden || panel.draw());
  }

  /**
   * Does something with the panel, once it is here.
   * @param {(panel: Panel) => void} act
   */
  use(act) {
    if (this.#panel) return act(this.#panel);
    this.fetch().then(() => this.#panel && act(this.#panel), unreachable);
  }

  /** Fetches the panel; a failure is not said, and tried again when the panel is opened. */
  fetch() {
    this.#fetched ??= this.#make().then(
      (panel) => {
        this.#panel = panel;
        this.element.append(panel.element);
      },
      (error) => {
        this.#fetched = null;
        throw error;
      },
    );
    return this.#fetched;
  }
}

/** @param {Meeting} meeting */
export function chatPanel(meeting) {
  return new LaterPanel(() => import('./chat.js').then(({ ChatPanel }) => new ChatPanel(meeting)));
}

/** @param {Meeting} meeting */
export function peoplePanel(meeting) {
  return new LaterPanel(() => import('./people.js').then(({ PeoplePanel }) => new PeoplePanel(meeting)));
}

/**
 * @param {Meeting} meeting
 * @param {import('../readings.js').Readings} readings
 * @param {() => import('../tiles.js').TileSpec[]} shown the tiles on the stage now
 */
export function detailsPanel(meeting, readings, shown) {
  return new LaterPanel(() => import('./details.js').then(({ DetailsPanel }) => new DetailsPanel(meeting, readings, shown)));
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
