// A visit to a room: first the door (pre-join), then the call, then the goodbye. The visit outlives its views,
// so that a change of language or theme draws everything anew without touching the call.

import { LocalMedia } from '../media.js';
import { Meeting } from '../meeting.js';
import { preferences } from '../preferences.js';
import { callView } from './call.js';
import { leftView } from './left.js';
import { prejoinView } from './prejoin.js';
import { waitingView } from './waiting.js';

/** @typedef {import('../main.js').App} App */

export class RoomVisit {
  /** @type {LocalMedia | null} */
  local = null;
  /** @type {Meeting | null} */
  meeting = null;
  /** What REST tells about the room before one is in, asked once.
   * @type {Promise<{name: string, participants: number, asksKey: boolean, cover_id?: string} | null> | null} */
  #about = null;
  /** What the person typed as invite key, or null when none was asked for.
   * @type {string | null} */
  key = null;
  /** The room refused to open without a key. */
  needsKey = false;

  /**
   * @param {App} app
   * @param {string} slug
   * @param {string | null} code
   */
  constructor(app, slug, code) {
    this.app = app;
    this.slug = slug;
    this.code = code;
  }

  /**
   * What may be known about the room at its door: all of it with an identity, a little with an invite,
   * nothing (`null`) without both.
   */
  about() {
    const { api } = this.app;
    if (!this.#about) {
      if (api.user) {
        // Members and holders of an invite are let in without the key.
        this.#about = api.room(this.slug).then((room) => ({ ...room, asksKey: room.has_invite_key && !room.role && !this.code }));
      } else if (this.code) {
        this.#about = api.roomByInvite(this.code).then((room) => ({ ...room, asksKey: false }));
      } else {
        this.#about = Promise.resolve(null);
      }
    }
    return this.#about;
  }

  /** The devices for the pre-join page, opened once. */
  devices() {
    if (!this.local) {
      const { microphone, camera, micOn, camOn } = preferences();
      this.local = new LocalMedia({ microphone, camera });
      void this.local.open({ microphone: micOn, camera: camOn });
    }
    return this.local;
  }

  /**
   * Goes in.
   * @param {string} displayName
   * @param {(step: import('../state.js').Step) => void} onStep
   */
  async join(displayName, onStep) {
    const meeting = new Meeting(this.app.api, this.devices(), { slug: this.slug, code: this.code, key: this.key });
    const stop = meeting.store.subscribe((state) => onStep(state.step));
    try {
      await meeting.join(displayName);
    } finally {
      stop();
    }
    this.meeting = meeting;
    let shown = pageOf(meeting);
    meeting.store.subscribe(() => {
      const page = pageOf(meeting);
      if (page === shown || this.app.visit !== this) return;
      shown = page;
      if (page === 'left') this.local = null;
      this.app.show();
    });
    this.app.show();
  }

  /** Back to the door after the call. */
  again() {
    this.meeting = null;
    this.local = null;
    this.#about = null;
    this.app.show();
  }

  /** The page goes elsewhere. */
  end() {
    if (this.meeting) this.meeting.leave();
    this.local?.close();
    this.local = null;
  }
}

/**
 * @param {App} app
 * @param {{slug: string, code: string | null}} route
 * @returns {import('../main.js').View}
 */
export function roomView(app, route) {
  const visit = (app.visit ??= new RoomVisit(app, route.slug, route.code));
  const { meeting } = visit;
  if (!meeting) return prejoinView(app, visit);
  const page = pageOf(meeting);
  if (page === 'waiting') return waitingView(app, visit, meeting);
  return page === 'left' ? leftView(app, visit, meeting) : callView(app, meeting);
}

/** @param {Meeting} meeting */
function pageOf(meeting) {
  const { phase } = meeting.state;
  return phase === 'waiting' ? 'waiting' : phase === 'ended' ? 'left' : 'call';
}
