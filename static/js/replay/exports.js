// One file of a recording: asked for, watched while it is made, downloaded.

import { h, icon, keyed, setText } from '../dom.js';
import { t } from '../i18n/replay.js';
import { openDialog } from '../menu.js';
import { wordsFor } from '../views/form.js';

/** @typedef {import('../types.js').Export} Export */
/** @typedef {import('../recordings.js').Recordings} Recordings */

const VIEWS = /** @type {const} */ (['grid', 'speaker', 'sound']);
/** How often what is being made is looked at. */
const LOOK_MS = 1_000;

/**
 * @param {Recordings} recordings
 * @param {string} id
 * @param {(file: string) => void} download
 */
export function openExports(recordings, id, download) {
  /** @type {Export[]} */
  let exports = [];
  let trouble = '';
  let isOpen = true;
  const rows = h('ul', { class: 'replay-files' });
  const wrong = h('p', { class: 'wrong', role: 'alert' });
  const dialog = openDialog(t('export.title'), h('p', { class: 'quiet' }, t('export.text')), rows, wrong);
  dialog.addEventListener('close', () => (isOpen = false));

  /** @param {() => Promise<unknown>} work */
  const tried = async (work) => {
    try {
      await work();
      trouble = '';
    } catch (error) {
      trouble = wordsFor(error);
    }
    await look();
  };
  const look = async () => {
    try {
      exports = (await recordings.exports(id)).exports;
    } catch (error) {
      trouble = wordsFor(error);
    }
    draw();
  };
  const draw = () => {
    setText(wrong, trouble);
    keyed(rows, VIEWS, {
      key: (view) => view,
      create: (view) => {
        const act = h('button', { type: 'button', class: 'button slim', data: { action: `export-${view}` } });
        act.addEventListener('click', () => {
          const found = exports.find((one) => one.view === view);
          if (found?.file) download(found.file);
          else if (found && found.state !== 'failed') void tried(() => recordings.deleteExport(id, view));
          else void tried(() => recordings.beginExport(id, view));
        });
        const drop = h('button', { type: 'button', class: 'icon-button', 'aria-label': t('export.delete'), title: t('export.delete'), data: { action: `export-delete-${view}` } }, icon('trash', 'small'));
        drop.addEventListener('click', () => void tried(() => recordings.deleteExport(id, view)));
        return h('li', { class: 'replay-file row' }, h('div', null, h('strong', null, t(`export.view.${view}`)), h('p', { class: 'quiet' }), h('progress', { max: 100, 'aria-label': t(`export.view.${view}`) })), h('div', { class: 'row' }, drop, act));
      },
      update: (row, view) => {
        const found = exports.find((one) => one.view === view);
        const state = found?.state ?? 'none';
        /** @type {HTMLElement} */ (row).dataset.state = state;
        setText(/** @type {Element} */ (row.querySelector('p')), found?.error ?? (found?.bytes ? t('export.size', { mb: Math.max(1, Math.round(found.bytes / 1e6)) }) : t(`export.state.${state}`)));
        const progress = /** @type {HTMLProgressElement} */ (row.querySelector('progress'));
        progress.hidden = state !== 'running';
        progress.value = found?.percent ?? 0;
        /** @type {HTMLElement} */ (row.querySelector('.icon-button')).hidden = !found?.file;
        setText(/** @type {Element} */ (row.querySelector('.button')), t(found?.file ? 'export.download' : state === 'queued' || state === 'running' ? 'export.stop' : state === 'failed' ? 'retry' : 'export.make'));
      },
    });
  };
  const watch = async () => {
    while (isOpen) {
      await look();
      await new Promise((done) => setTimeout(done, LOOK_MS));
    }
  };
  void watch();
}
