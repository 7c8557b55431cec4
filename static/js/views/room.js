// A visit to a room: first the door (pre-join), then the call, then the goodbye. The visit outlives its views,
// so that a change of language or theme draws everything anew without touching the call.

import { breakoutHere, myBreakout } from '../breakouts.js';
import { t } from '../i18n.js';
import { LocalMedia } from '../media.js';
import { Meeting } from '../meeting.js';
import { toast } from '../notices.js';
import { preferences } from '../preferences.js';
import { ApiError } from '../session.js';
import { self } from '../state.js';
import { callView } from './call.js';
import { wordsFor } from './form.js';
import { leftView } from './left.js';
import { movingView } from './moving.js';
import { prejoinView } from './prejoin.js';
import { waitingView } from './waiting.js';

/** @typedef {import('../main.js').App} App */
/** @typedef {import('../types.js').Breakout} Breakout */

/** From the word that one belongs in a breakout room to going there: time to read it, and to say that one stays. */
const DEPARTURE_MS = 6_000;

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
  /** Name of the room to which one is under way.
   * @type {string | null} */
  destination = null;
  /** Where the person belongs and does not want to be now: the breakout room and when it was opened.
   * @type {string | null} */
  #declined = null;
  /** @type {number | undefined} */
  #departure;

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
   * Goes in; after a reload in a breakout room, back to where one was.
   * @param {string} displayName
   * @param {(step: import('../state.js').Step) => void} onStep
   */
  async join(displayName, onStep) {
    const before = remembered(this.slug);
    if (before) {
      try {
        return this.#watch(await this.#enter(before, displayName, onStep), before);
      } catch (error) {
        if (error instanceof ApiError && error.code === 'network') throw error;
        // It is over, or one belongs elsewhere.
        remember(this.slug, null);
      }
    }
    this.#watch(await this.#enter(null, displayName, onStep), null);
  }

  /**
   * Goes to a breakout room, or (`null`) back to the main room, with camera and microphone as they are.
   * @param {Breakout | null} room
   */
  async move(room) {
    const from = this.meeting;
    if (!from || this.destination !== null) return;
    clearTimeout(this.#departure);
    const name = self(from.state)?.display_name ?? preferences().name;
    this.destination = room?.name ?? t('breakout.main');
    this.meeting = null;
    from.part();
    this.app.show();
    try {
      this.#watch(await this.#enter(room, name), room);
    } catch (error) {
      toast(wordsFor(error));
      await this.#goBack(room, name);
    }
  }

  /**
   * Not now: stays in the main room, or goes back there, whatever room one belongs in.
   * @param {Breakout | null} room
   */
  stay(room) {
    const meeting = this.meeting;
    if (!meeting) return;
    this.#declined = keyOf(meeting, room ?? myBreakout(meeting.state));
    clearTimeout(this.#departure);
    if (breakoutHere(meeting.state)) void this.move(null);
    else meeting.store.dispatch({ type: 'local.departure', departure: null });
  }

  /**
   * @param {{slug: string} | null} room
   * @param {string} name
   * @param {(step: import('../state.js').Step) => void} [onStep]
   */
  async #enter(room, name, onStep = () => {}) {
    const invitation = room ? { slug: room.slug, code: null, key: null } : { slug: this.slug, code: this.code, key: this.key };
    const meeting = new Meeting(this.app.api, this.devices(), invitation);
    const stop = meeting.store.subscribe((state) => onStep(state.step));
    try {
      await meeting.join(name);
    } finally {
      stop();
    }
    return meeting;
  }

  /**
   * A breakout room that cannot be entered leads back; from a main room that cannot be entered, to its door.
   * @param {Breakout | null} room that was not entered
   * @param {string} name
   */
  async #goBack(room, name) {
    if (this.app.visit !== this) return;
    try {
      if (room === null) return this.again();
      this.#watch(await this.#enter(null, name), null);
    } catch {
      this.again();
    }
  }

  /**
   * @param {Meeting} meeting that is shown from now on
   * @param {{slug: string} | null} breakout
   */
  #watch(meeting, breakout) {
    this.destination = null;
    if (this.app.visit !== this) return meeting.leave();
    remember(this.slug, breakout);
    this.meeting = meeting;
    let shown = pageOf(meeting);
    meeting.store.subscribe(() => {
      if (this.app.visit !== this || this.meeting !== meeting) return;
      // The breakout room is over, or one belongs elsewhere: the main room knows where.
      if (meeting.state.ended === 'sent_back') return void this.move(null);
      this.#follow(meeting);
      const page = pageOf(meeting);
      if (page === shown) return;
      shown = page;
      if (page === 'left') {
        this.local = null;
        remember(this.slug, null);
      }
      this.app.show();
    });
    this.#follow(meeting);
    this.app.show();
  }

  /**
   * Whoever belongs in a breakout room goes there by themselves, after a moment.
   * @param {Meeting} meeting
   */
  #follow(meeting) {
    const { state } = meeting;
    const room = breakoutHere(state) ? null : myBreakout(state);
    const key = keyOf(meeting, room);
    if (room === null || key === this.#declined || state.phase !== 'joined') {
      clearTimeout(this.#departure);
      if (state.departure) meeting.store.dispatch({ type: 'local.departure', departure: null });
    } else if (state.departure?.room.id !== room.id) {
      clearTimeout(this.#departure);
      meeting.store.dispatch({ type: 'local.departure', departure: { room, at_ms: Date.now() + DEPARTURE_MS } });
      this.#departure = window.setTimeout(() => this.meeting === meeting && void this.move(room), DEPARTURE_MS);
    }
  }

  /** Back to the door after the call. */
  again() {
    this.meeting = null;
    this.destination = null;
    this.local?.close();
    this.local = null;
    this.#about = null;
    this.app.show();
  }

  /** The page goes elsewhere. */
  end() {
    clearTimeout(this.#departure);
    remember(this.slug, null);
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
  if (!meeting) return visit.destination === null ? prejoinView(app, visit) : movingView(app, visit.destination);
  const page = pageOf(meeting);
  if (page === 'waiting') return waitingView(app, visit, meeting);
  return page === 'left' ? leftView(app, visit, meeting) : callView(app, meeting);
}

/**
 * What a person declines: this room of those that were opened then.
 * @param {Meeting} meeting
 * @param {Breakout | null} room
 */
function keyOf(meeting, room) {
  return room ? `${room.id} ${meeting.state.breakouts?.opened_ms}` : null;
}

/** Of this tab: the breakout room of a meeting that a reload leads back to. @param {string} slug of the main room */
const placeOf = (slug) => `veche.breakout.${slug}`;

/**
 * @param {string} slug
 * @param {{slug: string} | null} breakout
 */
function remember(slug, breakout) {
  try {
    if (breakout) sessionStorage.setItem(placeOf(slug), breakout.slug);
    else sessionStorage.removeItem(placeOf(slug));
  } catch {
    // Without storage a reload leads to the main room.
  }
}

/**
 * @param {string} slug
 * @returns {{slug: string} | null}
 */
function remembered(slug) {
  try {
    const breakout = sessionStorage.getItem(placeOf(slug));
    return breakout ? { slug: breakout } : null;
  } catch {
    return null;
  }
}

/** @param {Meeting} meeting */
function pageOf(meeting) {
  const { phase } = meeting.state;
  return phase === 'waiting' ? 'waiting' : phase === 'ended' ? 'left' : 'call';
}
