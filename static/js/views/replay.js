// A recording, watched: all its files in step, who speaks on a timeline, the chat beside it.
//
// Tests read: `main.replay[data-state]` (`loading`, `paused`, `playing`, `waiting`, `ended`), `data-at` (ms on the
// recording's clock), tiles as in a call, and the actions of the bar.

import { copyLink } from '../copy.js';
import { fill, h, icon, setIcon } from '../dom.js';
import { clock, dayName } from '../i18n.js';
import { t } from '../i18n/replay.js';
import { openDialog, toggleMenu } from '../menu.js';
import { toast } from '../notices.js';
import { Recordings } from '../recordings.js';
import { openExports } from '../replay/exports.js';
import { Clock, RATES, momentOf, timecode } from '../replay/pace.js';
import { Players } from '../replay/players.js';
import { Said, linesOf } from '../replay/said.js';
import { Stage } from '../replay/stage.js';
import { Story } from '../replay/story.js';
import { Timeline } from '../replay/timeline.js';
import { ApiError } from '../session.js';
import { entrance } from './entrance.js';
import { wordsFor } from './form.js';

/** How often files are brought into step. */
const STEP_MS = 100;
/** The right to the files lasts five minutes. */
const PERMIT_MS = 4 * 60_000;
const NARROW = '(max-width: 900px)';

/**
 * @param {import('../main.js').App} app
 * @param {{id: string, at: string | null}} route
 * @returns {import('../main.js').View}
 */
export function replayView(app, { id, at }) {
  const main = h('main', { class: 'replay', data: { state: 'loading' } }, h('p', { class: 'row quiet replay-loading' }, h('span', { class: 'spinner', 'aria-hidden': 'true' }), t('replay.loading')));
  const element = h('div', { class: 'replay-page' }, main);
  /** @type {Replay | null} */
  let replay = null;
  let isGone = false;
  void open(app, id)
    .then((found) => {
      if (isGone) return;
      replay = new Replay(app, id, found, main);
      replay.seek(momentOf(at));
      app.present({ screen: 'replay', title: found.title, isEntrance: false });
    })
    .catch((error) => {
      if (isGone) return;
      const isMissing = error instanceof ApiError && (error.code === 'not_found' || error.code === 'forbidden');
      const words = isMissing ? t('replay.not_found') : error instanceof ApiError && error.code === 'unauthorized' ? t('replay.signed_out') : error instanceof ApiError ? wordsFor(error) : t('replay.failed');
      const signIn = app.api.user ? null : h('a', { class: 'button primary', href: '/signin', data: { page: 'signin' } }, t('signin.link'));
      fill(element, entrance(app, 'replay-wrong', h('h1', null, t('replay.title')), h('p', { class: 'note bad', role: 'alert' }, icon('warn'), h('span', null, words)), signIn));
    });
  return {
    screen: 'replay',
    title: t('replay.title'),
    element,
    isEntrance: false,
    follow(next) {
      if (next.name !== 'replay' || next.id !== id) return false;
      replay?.seek(momentOf(next.at));
      return true;
    },
    dispose() {
      isGone = true;
      replay?.close();
    },
  };
}

/**
 * @param {import('../main.js').App} app
 * @param {string} id
 */
async function open(app, id) {
  const recordings = new Recordings(app.api);
  const recording = await recordings.one(id);
  const [contents] = await Promise.all([recording.origin === 'upload' ? contentsOf(recording) : recordings.contents(id), recordings.watch(id)]);
  const story = new Story(contents);
  // A recording is worth watching without its chat.
  const lines = await linesOf(app.api, story).catch(() => null);
  return { title: recording.title || contents.room.name, story, lines };
}

/**
 * What there is to tell of a file that somebody brought.
 * @param {import('../types.js').Recording} recording
 * @returns {import('../replay/story.js').Contents}
 */
function contentsOf({ id, room_id, slug, title, started_ms, duration_ms, files = [] }) {
  const person = (/** @type {import('../types.js').RecordingFile} */ file) => file.participant_id ?? file.name;
  return {
    recording: id,
    room: { id: room_id, slug, name: title },
    state: 'complete',
    began_at_ms: started_ms,
    duration_ms: duration_ms ?? 0,
    files: files.map((file) => ({ name: file.name, participant_id: person(file), user_id: file.user_id ?? '', display_name: file.display_name || title, source: file.source === 'screen' ? 'screen' : 'camera', tracks: (file.codecs.length > 0 ? file.codecs : ['']).map((codec) => ({ codec })), offset_ms: file.offset_ms, duration_ms: file.duration_ms })),
    moments: files.map((file) => ({ at_ms: file.offset_ms, kind: 'joined', participant_id: person(file), user_id: file.user_id ?? '', display_name: file.display_name || title })),
    gaps: [],
  };
}

class Replay {
  #clock = new Clock();
  #isPlaying = false;
  #isWaiting = false;
  #drawn = '';
  /** @type {number[]} */
  #timers = [];

  /**
   * @param {import('../main.js').App} app
   * @param {string} id
   * @param {{title: string, story: Story, lines: Awaited<ReturnType<typeof linesOf>> | null}} found
   * @param {HTMLElement} main
   */
  constructor(app, id, { title, story, lines }, main) {
    this.app = app;
    this.id = id;
    this.story = story;
    this.main = main;
    this.recordings = new Recordings(app.api);
    const seek = (/** @type {number} */ to) => this.seek(to);
    this.players = new Players(story, (name) => `/api/v1/recordings/${encodeURIComponent(id)}/files/${encodeURIComponent(name)}`, () => this.recordings.watch(id));
    this.stage = new Stage(this.players, () => this.#draw(true));
    this.timeline = new Timeline(story, lines ?? [], seek);
    this.said = new Said(lines, seek);
    this.play = button('play', t('replay.play'), 'play', () => this.toggle());
    this.rate = h('button', { type: 'button', class: 'icon-button letters', 'aria-haspopup': 'menu', 'aria-expanded': 'false', data: { action: 'speed' } });
    this.rate.addEventListener('click', () => this.#openRates());
    this.view = button('grid', t('replay.view'), 'view', () => this.#turn());
    this.sound = button('volume', t('replay.volume'), 'volume', () => this.#openVolume());
    this.waiting = h('div', { class: 'replay-waiting', hidden: true }, h('span', { class: 'spinner', 'aria-hidden': 'true' }), t('replay.waiting'));
    this.nobody = h('p', { class: 'replay-nobody quiet', hidden: true }, t('replay.nobody'));
    this.side = button('chat', t('replay.side'), 'chat', () => this.#toggleSide());
    this.more = button('more', t('replay.more'), 'more', () => this.#openMore());
    this.more.setAttribute('aria-haspopup', 'menu');
    const state = { recovered: t('replay.recovered'), out_of_space: t('replay.out_of_space'), recording: t('replay.running'), failed: t('replay.broken'), complete: '' }[story.contents.state];
    const began = story.contents.began_at_ms;
    fill(
      main,
      h(
        'header',
        { class: 'replay-head' },
        h('a', { class: 'icon-button', href: `/r/${story.contents.room.slug}/recordings`, data: { page: 'library' }, 'aria-label': story.contents.room.name, title: story.contents.room.name }, icon('chevron-left')),
        h('div', null, h('h1', null, title), h('p', { class: 'quiet' }, t('replay.began', { day: dayName(began, Date.now()), time: clock(began) }))),
      ),
      state ? h('p', { class: 'note care' }, icon('info'), h('span', null, state)) : null,
      h('div', { class: 'replay-middle' }, h('div', { class: 'replay-pictures' }, this.stage.element, this.nobody, this.waiting), this.said.element),
      h(
        'footer',
        { class: 'replay-foot' },
        this.timeline.element,
        h(
          'div',
          { class: 'replay-bar', role: 'toolbar', 'aria-label': t('replay.title'), title: t('replay.keys') },
          button('back', t('replay.back'), 'back', () => this.#step(-10_000)),
          this.play,
          button('ahead', t('replay.ahead'), 'ahead', () => this.#step(10_000)),
          this.rate,
          this.sound,
          this.view,
          this.side,
          this.more,
        ),
      ),
    );
    if (matchMedia(NARROW).matches) main.dataset.side = 'closed';
    addEventListener('keydown', this.#key);
    this.#timers.push(
      window.setInterval(() => this.#tick(), STEP_MS),
      window.setInterval(() => void this.recordings.watch(id).catch(() => {}), PERMIT_MS),
    );
    this.#showRate();
    this.#tick();
  }

  get #at() {
    return Math.min(this.story.duration, this.#clock.at(performance.now()));
  }

  /** Goes to a moment. @param {number} to */
  seek(to) {
    this.#clock.set(performance.now(), Math.min(this.story.duration, Math.max(0, to)));
    this.#tick();
  }

  toggle() {
    // From the end it begins anew.
    if (!this.#isPlaying && this.#at >= this.story.duration) this.seek(0);
    this.#isPlaying = !this.#isPlaying;
    this.#tick();
  }

  #tick() {
    const now = performance.now();
    if (this.#isPlaying && this.#at >= this.story.duration) this.#isPlaying = false;
    this.#isWaiting = this.players.sync(this.#at, { isPlaying: this.#isPlaying, rate: this.#clock.rate });
    const isRunning = this.#isPlaying && !this.#isWaiting;
    if (isRunning !== this.#clock.isRunning) this.#clock.run(now, isRunning);
    this.#draw(false);
  }

  /** @param {boolean} isResized */
  #draw(isResized) {
    const at = this.#at;
    const state = this.#isPlaying ? (this.#isWaiting ? 'waiting' : 'playing') : at >= this.story.duration && at > 0 ? 'ended' : 'paused';
    this.main.dataset.state = state;
    this.main.dataset.at = String(Math.round(at));
    this.waiting.hidden = !this.#isWaiting || !this.#isPlaying;
    this.timeline.draw(at);
    this.said.draw(at);
    const now = this.story.at(at);
    this.nobody.hidden = now.tiles.length > 0;
    // Most moments look like the one before.
    const seen = JSON.stringify([now, this.stage.view, this.players.all().map(({ index, isSeen }) => [index, isSeen]), [...this.players.failed]]);
    if (seen !== this.#drawn || isResized) {
      this.#drawn = seen;
      this.stage.draw(now);
    }
    const name = this.#isPlaying ? t('replay.pause') : t('replay.play');
    if (this.play.title !== name) {
      this.play.title = name;
      this.play.setAttribute('aria-label', name);
      setIcon(/** @type {Element} */ (this.play.firstElementChild), this.#isPlaying ? 'pause' : 'play');
    }
  }

  /** @param {number} by */
  #step(by) {
    this.seek(this.#at + by);
  }

  #showRate() {
    const { rate } = this.#clock;
    this.rate.textContent = t('replay.rate', { rate });
    this.rate.setAttribute('aria-label', t('replay.speed_now', { rate }));
    this.rate.title = t('replay.speed');
  }

  /** @param {number} rate */
  #speed(rate) {
    this.#clock.speed(performance.now(), rate);
    this.#showRate();
    this.#tick();
  }

  #openRates() {
    toggleMenu(this.rate, t('replay.speed'), () => RATES.map((rate) => ({ label: t('replay.rate', { rate }), checked: rate === this.#clock.rate, action: `rate-${rate}`, pick: () => this.#speed(rate) })));
  }

  #openMore() {
    toggleMenu(this.more, t('replay.more'), () => [
      { label: t('replay.link'), icon: 'link', action: 'link', pick: () => void copyLink(this.#link()) },
      { label: t('replay.files'), icon: 'download', action: 'files', pick: () => this.#openFiles() },
      { label: t('export.title'), icon: 'file', action: 'exports', pick: () => openExports(this.recordings, this.id, (file) => void this.#download(file)) },
      { label: t('replay.full'), icon: 'expand', action: 'full', pick: () => this.#fullScreen() },
    ]);
  }

  #openVolume() {
    toggleMenu(this.sound, t('replay.volume'), () => {
      const slider = h('input', { type: 'range', min: 0, max: 100, value: Math.round(this.players.volume * 100), name: 'volume', 'aria-label': t('replay.volume') });
      slider.addEventListener('input', () => this.#loud(Number(slider.value) / 100));
      return [{ element: h('div', { class: 'menu-slider row' }, icon('volume', 'small'), slider) }];
    });
  }

  /** @param {number} volume */
  #loud(volume) {
    this.players.volume = volume;
    setIcon(/** @type {Element} */ (this.sound.firstElementChild), volume > 0 ? 'volume' : 'volume-off');
  }

  #turn() {
    this.stage.view = this.stage.view === 'grid' ? 'speaker' : 'grid';
    setIcon(/** @type {Element} */ (this.view.firstElementChild), this.stage.view);
    const name = `${t('replay.view')}: ${t(`replay.view.${this.stage.view}`)}`;
    this.view.title = name;
    this.view.setAttribute('aria-label', name);
    this.main.dataset.view = this.stage.view;
    this.#draw(true);
  }

  #toggleSide() {
    this.main.dataset.side = this.main.dataset.side === 'closed' ? 'open' : 'closed';
  }

  #link() {
    return `${location.origin}/recordings/${this.id}#t=${Math.floor(this.#at / 1000)}`;
  }

  #fullScreen() {
    if (document.fullscreenElement) void document.exitFullscreen();
    else this.main.requestFullscreen().catch(() => {});
  }

  #openFiles() {
    const { files } = this.story.contents;
    const row = (/** @type {import('../replay/story.js').FileEntry} */ file) => {
      const get = h('button', { type: 'button', class: 'icon-button', 'aria-label': t('replay.download', { name: file.name }), title: t('replay.download', { name: file.name }), data: { action: 'download' } }, icon('download'));
      get.addEventListener('click', () => void this.#download(file.name));
      const about = [file.source === 'screen' ? t('replay.screen_of', { name: file.display_name }) : file.display_name, timecode(file.duration_ms ?? 0), file.tracks.map(({ codec }) => codec.toUpperCase()).join(' + ')];
      return h('li', { class: 'replay-file row' }, h('div', null, h('strong', null, file.name), h('p', { class: 'quiet' }, about.join(' · '))), get);
    };
    openDialog(t('replay.files'), files.length > 0 ? h('ul', { class: 'replay-files' }, ...files.map(row)) : h('p', { class: 'quiet' }, t('replay.files.none')));
  }

  /** @param {string} name */
  async #download(name) {
    try {
      const { url } = await this.recordings.link(this.id, name);
      h('a', { href: url, download: name }).click();
    } catch (error) {
      toast(wordsFor(error));
    }
  }

  #key = (/** @type {KeyboardEvent} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (target.matches('textarea, select, input:not([type=range])')) return;
    const isOnButton = target.matches('button, a, [role=menuitem]');
    const isOnSlider = target.matches('input[type=range]');
    /** @type {Record<string, () => void>} */
    const keys = {
      ...(isOnButton ? {} : { ' ': () => this.toggle() }),
      ...(isOnSlider && !target.matches('.replay-slider') ? {} : { ArrowLeft: () => this.#step(-5000), ArrowRight: () => this.#step(5000) }),
      k: () => this.toggle(),
      j: () => this.#step(-10_000),
      l: () => this.#step(10_000),
      '<': () => this.#nextRate(-1),
      '>': () => this.#nextRate(1),
      m: () => this.#loud(this.players.volume > 0 ? 0 : 1),
      g: () => this.#turn(),
      f: () => this.#fullScreen(),
      ...(isOnSlider ? {} : { Home: () => this.seek(0), End: () => this.seek(this.story.duration) }),
    };
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key] ?? { KeyK: keys.k, KeyJ: keys.j, KeyL: keys.l, KeyM: keys.m, KeyG: keys.g, KeyF: keys.f }[event.code];
    if (!act) return;
    event.preventDefault();
    act();
  };

  /** @param {1 | -1} by */
  #nextRate(by) {
    const index = RATES.findIndex((rate) => rate === this.#clock.rate);
    const next = RATES[index + by];
    if (next !== undefined) this.#speed(next);
  }

  close() {
    for (const timer of this.#timers) clearInterval(timer);
    removeEventListener('keydown', this.#key);
    this.stage.close();
    this.timeline.close();
    this.players.close();
  }
}

/** @param {string} sign @param {string} name @param {string} action @param {() => void} act */
function button(sign, name, action, act) {
  return h('button', { type: 'button', class: 'icon-button', 'aria-label': name, title: name, data: { action }, onclick: act }, icon(sign));
}
