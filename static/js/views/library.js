// The recordings of a room: watched, renamed, downloaded, deleted.
//
// Tests read: .recorded [data-recording] id, [data-state]; actions recording-menu, rename, files, download,
// delete-recording, copy-link.

import { sizeOf } from '../chat.js';
import { copyLink } from '../copy.js';
import { fill, h, icon } from '../dom.js';
import { clock, currentLanguage, dayName } from '../i18n.js';
import { t } from '../i18n/library.js';
import { LIMITS } from '../limits.js';
import { openDialog, toggleMenu } from '../menu.js';
import { may } from '../powers.js';
import { Recordings } from '../recordings.js';
import { ApiError } from '../session.js';
import { timecode } from '../replay/pace.js';
import { busy, field, trouble, wordsFor } from './form.js';
import { entrance } from './entrance.js';
import { bring } from '../pieces.js';
import { policyForm } from './policy.js';

/** @typedef {import('../types.js').Recording} Recording */
/** @typedef {import('../types.js').Room} Room */

/** A recording that is being finished is looked at again after this long. */
const AGAIN_MS = 3_000;

/**
 * @param {import('../main.js').App} app
 * @param {string} slug
 * @returns {import('../main.js').View}
 */
export function libraryView(app, slug) {
  const page = new Library(app, slug);
  return { screen: 'library', title: t('library.title'), element: page.element, isEntrance: true, dispose: () => page.stop() };
}

class Library {
  #app;
  #slug;
  #recordings;
  #title = h('h1', null, t('library.title'));
  #list = h('div', { class: 'recordings' });
  #policy = h('div');
  #upload = h('div');
  /** Those of the pages that are here, newest first.
   * @type {Recording[]} */
  #held = [];
  /** @type {Room | null} */
  #room = null;
  /** @type {number | undefined} */
  #again;
  #isGone = false;
  element;

  /**
   * @param {import('../main.js').App} app
   * @param {string} slug
   */
  constructor(app, slug) {
    this.#app = app;
    this.#slug = slug;
    this.#recordings = new Recordings(app.api);
    const back = h('a', { class: 'button slim', href: `/r/${slug}`, data: { page: 'room' } }, icon('chevron-left', 'small'), t('library.room'));
    this.element = entrance(app, 'rooms library', h('div', { class: 'row ends library-head' }, this.#title, back), this.#upload, this.#list, this.#policy);
    if (app.api.user) void this.#load(true);
    else fill(this.#list, h('p', { class: 'note' }, icon('info'), h('span', null, t('library.signed_out'), ' ', h('a', { href: '/signin', data: { page: 'signin' } }, t('signin.link')))));
  }

  stop() {
    this.#isGone = true;
    clearTimeout(this.#again);
  }

  /** @param {boolean} isFirst */
  async #load(isFirst = false) {
    if (isFirst) fill(this.#list, h('p', { class: 'row quiet' }, h('span', { class: 'spinner', 'aria-hidden': 'true' }), t('library.loading')));
    try {
      const [room, page] = await Promise.all([this.#room ?? this.#app.api.room(this.#slug), this.#recordings.of(this.#slug, null)]);
      if (this.#isGone) return;
      if (!this.#room && may(room.role, 'update')) fill(this.#policy, policyForm(this.#recordings, this.#slug));
      if (!this.#room && may(room.role, 'record')) fill(this.#upload, this.#uploadField());
      this.#room = room;
      this.#title.textContent = t('library.of', { name: room.name });
      this.#app.present({ screen: 'library', title: t('library.of', { name: room.name }), isEntrance: true });
      this.#held = page.recordings;
      this.#draw(page.has_more);
      if (page.recordings.some(isRunning)) this.#again = window.setTimeout(() => void this.#load(), AGAIN_MS);
    } catch (error) {
      if (this.#isGone) return;
      if (error instanceof ApiError && error.code === 'forbidden') return fill(this.#list, h('p', { class: 'note' }, icon('lock'), h('span', null, t('library.forbidden'))));
      fill(this.#list, h('div', { class: 'note bad', role: 'alert' }, icon('warn'), h('span', null, wordsFor(error)), h('button', { type: 'button', class: 'button slim', onclick: () => void this.#load(true) }, t('retry'))));
    }
  }

  /** A file from here, beside what the server recorded. */
  #uploadField() {
    const wrong = trouble();
    const file = h('input', { type: 'file', accept: 'video/webm,video/x-matroska,video/mp4,audio/ogg,.mkv,.ogg', name: 'recording', class: 'hush', tabindex: '-1', 'aria-hidden': true });
    const choose = h('button', { type: 'button', class: 'button slim', data: { action: 'upload-recording' }, onclick: () => file.click() }, icon('plus', 'small'), t('library.upload'));
    const bar = h('progress', { max: 1, value: '0', 'aria-label': t('library.uploading') });
    const words = h('span', { class: 'quiet' });
    const stop = h('button', { type: 'button', class: 'button slim plain', data: { action: 'cancel-upload' } }, t('cancel'));
    const way = h('div', { class: 'row upload-way', hidden: true }, bar, words, stop);
    file.addEventListener('change', async () => {
      const chosen = file.files?.[0];
      file.value = '';
      if (!chosen) return;
      const whole = new AbortController();
      const draw = (/** @type {number} */ part) => {
        bar.value = part;
        words.textContent = new Intl.NumberFormat(currentLanguage(), { style: 'percent' }).format(part);
      };
      stop.onclick = () => whole.abort();
      draw(0);
      way.hidden = false;
      choose.hidden = true;
      await busy(choose, wrong, async () => {
        try {
          await bring(this.#app.api, this.#slug, chosen, draw, whole.signal);
        } catch (error) {
          if (!whole.signal.aborted) throw error;
        }
        await this.#load();
      });
      way.hidden = true;
      choose.hidden = false;
    });
    return h('div', { class: 'form' }, h('div', { class: 'row' }, choose, way), wrong.element, file);
  }

  /** @param {boolean} hasMore whether there are older ones */
  #draw(hasMore) {
    if (this.#held.length === 0) return fill(this.#list, h('p', { class: 'quiet' }, t('library.none')));
    const wrong = trouble();
    const older = h('button', { type: 'button', class: 'button slim older', data: { action: 'older' } }, t('library.older'));
    older.addEventListener('click', () =>
      busy(older, wrong, async () => {
        const page = await this.#recordings.of(this.#slug, this.#held.at(-1)?.id ?? null);
        this.#held = [...this.#held, ...page.recordings];
        this.#draw(page.has_more);
      }),
    );
    fill(this.#list, h('ul', null, ...this.#held.map((recording) => this.#row(recording))), wrong.element, hasMore ? older : null);
  }

  /** @param {Recording} recording */
  #row(recording) {
    const { id, title, state } = recording;
    const name = title || t('library.untitled');
    const menu = h('button', { type: 'button', class: 'icon-button', 'aria-haspopup': 'menu', 'aria-expanded': 'false', 'aria-label': t('tile.menu', { name }), title: t('tile.menu.short'), data: { action: 'recording-menu' } }, icon('more'));
    menu.addEventListener('click', () => this.#open(recording, menu));
    const words = h('span', { class: 'room-words' }, h('strong', null, name), h('span', { class: 'quiet' }, about(recording).join(' · ')), warning(recording));
    const link = isRunning(recording)
      ? h('span', { class: 'room-link' }, h('span', { class: 'recorded-sign live' }, h('i')), words)
      : h('a', { class: 'room-link', href: `/recordings/${id}`, data: { page: 'replay' } }, h('span', { class: 'recorded-sign' }, icon('play')), words);
    return h('li', { class: 'room recorded', data: { recording: id, state } }, link, menu);
  }

  /**
   * @param {Recording} recording
   * @param {HTMLButtonElement} anchor
   */
  #open(recording, anchor) {
    const name = recording.title || t('library.untitled');
    const mayChange = may(this.#room?.role, 'record');
    toggleMenu(anchor, name, () => [
      { heading: name },
      { label: t('copy_link'), icon: 'link', action: 'copy-link', pick: () => void copyLink(`${location.origin}/recordings/${recording.id}`) },
      ...(isRunning(recording) ? [] : [{ label: t('library.files'), icon: 'download', action: 'files', pick: () => void this.#files(recording) }]),
      ...(mayChange ? [{ label: t('library.rename'), icon: 'edit', action: 'rename', pick: () => this.#rename(recording) }] : []),
      ...(mayChange && !isRunning(recording) ? [{ label: t('library.delete'), icon: 'trash', action: 'delete-recording', isGrave: true, pick: () => this.#delete(recording) }] : []),
    ]);
  }

  /** @param {Recording} recording */
  #rename(recording) {
    const title = field(t('library.name'), { name: 'title', maxlength: LIMITS.recordingTitle, autocomplete: 'off', autocapitalize: 'sentences', value: recording.title });
    const wrong = trouble();
    const save = h('button', { type: 'submit', class: 'button primary', data: { action: 'save-title' } }, t('save'));
    const form = h('form', { class: 'form', novalidate: true }, title.element, wrong.element, h('div', { class: 'row ends' }, h('span'), save));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const wanted = title.input.value.trim();
      if (!wanted) return title.complain(t('library.name.missing'));
      void busy(save, wrong, async () => {
        await this.#recordings.rename(recording.id, wanted);
        dialog.close();
        await this.#load();
      });
    });
    const dialog = openDialog(t('library.rename'), form);
    title.input.select();
  }

  /** @param {Recording} recording */
  #delete(recording) {
    const name = recording.title || t('library.untitled');
    const wrong = trouble();
    const yes = h('button', { type: 'button', class: 'button danger', data: { action: 'confirm' } }, t('library.delete.do'));
    const dialog = openDialog(t('library.delete.title', { name }), h('p', { class: 'quiet' }, t('library.delete.text')), wrong.element, h('div', { class: 'row ends dialog-end' }, h('span'), yes));
    yes.addEventListener('click', () =>
      busy(yes, wrong, async () => {
        await this.#recordings.remove(recording.id);
        dialog.close();
        await this.#load();
      }),
    );
  }

  /** @param {Recording} recording */
  async #files({ id, title }) {
    const wrong = trouble();
    const list = h('ul', { class: 'recorded-files' }, h('li', { class: 'row quiet' }, h('span', { class: 'spinner', 'aria-hidden': 'true' }), t('library.loading')));
    openDialog(title || t('library.untitled'), wrong.element, list);
    try {
      const { files = [] } = await this.#recordings.one(id);
      fill(list, files.length === 0 ? h('li', { class: 'quiet' }, t('library.files.none')) : files.map((file) => this.#file(id, file, wrong)));
    } catch (error) {
      fill(list);
      wrong.say(wordsFor(error));
    }
  }

  /**
   * @param {string} id of the recording
   * @param {import('../types.js').RecordingFile} file
   * @param {{say: (message: string | null) => void}} wrong
   */
  #file(id, file, wrong) {
    const who = file.source === 'screen' ? t('library.screen', { name: file.display_name }) : file.display_name || file.name;
    const facts = [timecode(file.duration_ms), file.codecs.map((codec) => codec.toUpperCase()).join(' + '), sizeOf(file.bytes, currentLanguage())];
    const save = h('button', { type: 'button', class: 'icon-button', 'aria-label': t('library.download', { name: file.name }), title: t('library.download', { name: file.name }), data: { action: 'download' } }, icon('download'));
    save.addEventListener('click', () =>
      busy(save, wrong, async () => {
        const { url } = await this.#recordings.link(id, file.name);
        h('a', { href: url, download: file.name }).click();
      }),
    );
    return h('li', { class: 'ban' }, h('div', { class: 'person-words' }, h('span', { class: 'person-name' }, who), h('span', { class: 'quiet person-state' }, facts.filter(Boolean).join(' · '))), save);
  }
}

/** @param {Recording} recording */
function isRunning({ state, duration_ms }) {
  return state === 'recording' && duration_ms === undefined;
}

/**
 * When, how long, how large, by whom.
 * @param {Recording} recording
 */
function about({ started_ms, duration_ms, bytes, by, origin, expires_ms }) {
  const name = by?.display_name ?? '';
  return [
    `${dayName(started_ms, Date.now())}, ${clock(started_ms)}`,
    duration_ms === undefined ? '' : timecode(duration_ms),
    bytes > 0 ? sizeOf(bytes, currentLanguage()) : '',
    name === '' ? '' : t(origin === 'upload' ? 'library.uploaded_by' : 'library.by', { name }),
    expires_ms === undefined ? '' : t('library.until', { day: dayName(expires_ms, Date.now()) }),
  ].filter(Boolean);
}

/** @param {Recording} recording */
function warning(recording) {
  const { state, end } = recording;
  if (isRunning(recording)) return h('span', { class: 'recorded-note' }, t(recording.ended_ms === undefined ? 'library.running' : 'library.finishing'));
  if (state === 'recovered') return h('span', { class: 'recorded-note' }, t('library.recovered'));
  if (state === 'out_of_space') return h('span', { class: 'recorded-note' }, t(end === 'quota' ? 'library.quota' : 'library.out_of_space'));
  return state === 'failed' ? h('span', { class: 'recorded-note' }, t('library.failed')) : null;
}
