// Files on their way into the next line of chat: chosen, pasted or dropped, each with its progress.

import { sizeOf } from '../chat.js';
import { h, icon, keyed, setText } from '../dom.js';
import { currentLanguage, t } from '../i18n.js';
import { toast } from '../notices.js';
import { LIMITS } from '../limits.js';
import { wordsFor } from '../views/form.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */
/** @typedef {{key: number, file: File, part: number, id: string | null, abort: AbortController}} Upload */

export class Uploads {
  #meeting;
  #changed;
  /** @type {Upload[]} */
  #all = [];
  #next = 1;
  #list = h('ul', { class: 'uploads', 'aria-label': t('files.title') });
  element = this.#list;

  /**
   * @param {Meeting} meeting
   * @param {() => void} changed something has arrived, failed or gone
   */
  constructor(meeting, changed) {
    this.#meeting = meeting;
    this.#changed = changed;
    this.#draw();
  }

  get isEmpty() {
    return this.#all.length === 0;
  }

  get isBusy() {
    return this.#all.some((upload) => upload.id === null);
  }

  /** @param {Iterable<File>} files */
  add(files) {
    for (const file of files) {
      if (this.#all.length >= LIMITS.attachments) {
        toast(t('files.too_many', { n: LIMITS.attachments }));
        break;
      }
      if (file.size > LIMITS.attachmentBytes) {
        toast(t('files.too_large', { name: file.name, size: sizeOf(LIMITS.attachmentBytes, currentLanguage()) }));
        continue;
      }
      /** @type {Upload} */
      const upload = { key: this.#next++, file, part: 0, id: null, abort: new AbortController() };
      this.#all.push(upload);
      void this.#run(upload);
    }
    this.#draw();
  }

  /** The ids of all that is here, which go into the line. */
  take() {
    const ids = this.#all.flatMap((upload) => upload.id ?? []);
    this.#all = [];
    this.#draw();
    return ids;
  }

  /** @param {Upload} upload */
  async #run(upload) {
    const slug = this.#meeting.state.room?.slug ?? '';
    try {
      const attachment = await this.#meeting.api.upload(slug, upload.file, (part) => {
        upload.part = part;
        this.#draw();
      }, upload.abort.signal);
      upload.id = attachment.id;
      upload.part = 1;
    } catch (error) {
      if (!upload.abort.signal.aborted) toast(t('files.failed', { name: upload.file.name, why: wordsFor(error) }));
      this.#all = this.#all.filter((other) => other !== upload);
    }
    this.#draw();
    this.#changed();
  }

  /** @param {number} key */
  #remove(key) {
    const upload = this.#all.find((one) => one.key === key);
    if (!upload) return;
    this.#all = this.#all.filter((one) => one !== upload);
    upload.abort.abort();
    if (upload.id) void this.#meeting.api.discard(this.#meeting.state.room?.slug ?? '', upload.id).catch(() => {});
    this.#draw();
    this.#changed();
  }

  #draw() {
    this.#list.hidden = this.isEmpty;
    keyed(this.#list, this.#all, {
      key: (upload) => String(upload.key),
      create: ({ key, file }) =>
        h(
          'li',
          { class: 'upload' },
          icon('file', 'small'),
          h('span', { class: 'person-words' }, h('span', { class: 'person-name' }, file.name), h('span', { class: 'quiet person-state' })),
          h('progress', { max: 1, 'aria-label': file.name }),
          h('button', { type: 'button', class: 'icon-button', 'aria-label': t('files.remove', { name: file.name }), title: t('files.remove.short'), data: { action: 'remove-file' }, onclick: () => this.#remove(key) }, icon('close', 'small')),
        ),
      update: (row, { file, part, id }) => {
        row.dataset.state = id ? 'here' : 'coming';
        const bar = row.querySelector('progress');
        if (bar) {
          bar.hidden = id !== null;
          // What is all sent is still being looked at by the server: no end in sight is shown.
          if (part < 1) bar.value = part;
          else bar.removeAttribute('value');
        }
        setText(/** @type {Element} */ (row.querySelector('.person-state')), sizeOf(file.size, currentLanguage()));
      },
    });
  }
}
