// Where a line of chat is written: what it answers, for whom it is, names after an `@`, polls.

import { mentionAt } from '../chat.js';
import { h, icon, keyed, setText } from '../dom.js';
import { t } from '../i18n.js';
import { toggleMenu } from '../menu.js';
import { others } from '../state.js';
import { LIMITS } from '../limits.js';
import { showPollForm } from './later.js';
import { find, nameOf } from './line.js';
import { summary } from './summary.js';
import { Uploads } from './uploads.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */

/** The counter shows when this few characters are left. */
const COUNT_FROM = 200;
/** Names offered at once: more hide the chat. */
const NAMES_OFFERED = 5;

export class Composer {
  #meeting;
  #about = h('div', { class: 'about', hidden: true }, icon('reply', 'small'), h('span'), h('button', { type: 'button', class: 'icon-button', 'aria-label': t('chat.about.end'), title: t('chat.about.end'), data: { action: 'end-about' } }, icon('close', 'small')));
  #whisper = h('div', { class: 'about whisper', hidden: true }, icon('lock', 'small'), h('span'), h('button', { type: 'button', class: 'icon-button', 'aria-label': t('chat.whisper.end'), title: t('chat.whisper.end'), data: { action: 'end-whisper' } }, icon('close', 'small')));
  #names = h('ul', { class: 'names', role: 'listbox', id: 'mention-names', 'aria-label': t('people.title'), hidden: true });
  #input = h('textarea', { class: 'input', name: 'message', rows: 1, maxlength: LIMITS.chat, placeholder: t('chat.placeholder'), 'aria-label': t('chat.placeholder'), 'aria-autocomplete': 'list', 'aria-controls': 'mention-names', enterkeyhint: 'send' });
  #left = h('span', { class: 'quiet left-count', 'aria-live': 'polite' });
  #plus = h('button', { type: 'button', class: 'icon-button', 'aria-label': t('chat.plus'), title: t('chat.plus'), 'aria-haspopup': 'menu', 'aria-expanded': 'false', data: { action: 'plus' } }, icon('plus'));
  #file = h('input', { type: 'file', multiple: true, hidden: true, 'aria-label': t('files.add'), data: { input: 'files' } });
  #uploads;
  /** The line goes as soon as its files are here. */
  #isWaiting = false;
  #wait = h('p', { class: 'quiet wait', role: 'status' });
  /** @type {{from: number, found: string[], at: number} | null} */
  #offer = null;
  /** @type {string | null} */
  #editing = null;
  /** What was being written when an edit began. */
  #kept = '';
  /** @type {import('../state.js').Draft | null} */
  #drawn = null;
  element;

  /** @param {Meeting} meeting */
  constructor(meeting) {
    this.#meeting = meeting;
    this.#uploads = new Uploads(meeting, () => this.#uploaded());
    const send = h('button', { type: 'submit', class: 'icon-button send', 'aria-label': t('chat.send'), title: t('chat.send'), data: { action: 'send' } }, icon('send'));
    const form = h('form', { class: 'write' }, this.#plus, this.#input, send, this.#left);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#input.addEventListener('keydown', (event) => this.#pressed(event));
    this.#input.addEventListener('input', () => {
      this.#grow();
      this.#offerNames();
      if (this.#editing === null && meeting.state.draft.to === null) meeting.conversation.setTyping(this.#input.value.trim() !== '');
    });
    this.#input.addEventListener('blur', () => this.#close());
    this.#about.querySelector('button')?.addEventListener('click', () => this.#dispatch({ replyTo: null, editing: null }));
    this.#whisper.querySelector('button')?.addEventListener('click', () => this.#dispatch({ to: null }));
    this.#plus.addEventListener('click', () => this.#openMenu());
    this.#file.addEventListener('change', () => {
      this.#uploads.add(this.#file.files ?? []);
      this.#file.value = '';
      this.#input.focus();
    });
    this.#input.addEventListener('paste', (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length === 0) return;
      event.preventDefault();
      this.#uploads.add(files);
    });
    this.element = h('div', { class: 'composer' }, this.#names, this.#about, this.#whisper, this.#uploads.element, this.#wait, this.#file, form);
  }

  /**
   * Files that were dropped on the chat.
   * @param {Iterable<File>} files
   */
  addFiles(files) {
    this.#uploads.add(files);
    this.#input.focus();
  }

  /** A file has come, failed or gone: a line that waits for it may go. */
  #uploaded() {
    if (this.#isWaiting && !this.#uploads.isBusy) this.#send();
  }

  focus() {
    this.#input.focus();
  }

  draw() {
    const { draft } = this.#meeting.state;
    if (draft === this.#drawn) return;
    const isFirst = this.#drawn === null;
    this.#drawn = draft;
    const message = find(this.#meeting, draft.editing ?? draft.replyTo ?? '');
    this.#about.hidden = message === null;
    if (message) setText(/** @type {Element} */ (this.#about.querySelector('span')), draft.editing ? t('chat.editing') : t('chat.replying', { name: message.display_name, text: summary(message) }));
    this.#whisper.hidden = draft.to === null;
    if (draft.to) setText(/** @type {Element} */ (this.#whisper.querySelector('span')), t('chat.private_to', { name: nameOf(this.#meeting, draft.to) }));
    this.element.classList.toggle('private', draft.to !== null);
    if (draft.editing !== this.#editing) {
      if (this.#editing === null) this.#kept = this.#input.value;
      this.#editing = draft.editing;
      this.#input.value = message && draft.editing ? message.text : this.#kept;
      this.#grow();
    }
    if (!isFirst && (draft.editing || draft.replyTo || draft.to)) this.#input.focus();
  }

  /** @param {Partial<import('../state.js').Draft>} draft */
  #dispatch(draft) {
    this.#meeting.store.dispatch({ type: 'local.draft', draft });
    this.#input.focus();
  }

  #send() {
    const text = this.#input.value.trim();
    const { draft } = this.#meeting.state;
    if (draft.editing) {
      if (!text) return;
      const { editing } = draft;
      if (find(this.#meeting, editing)?.text !== text) void this.#meeting.order({ type: 'chat.edit', message_id: editing, text });
      this.#dispatch({ editing: null });
      return;
    }
    this.#isWaiting = this.#uploads.isBusy;
    setText(this.#wait, this.#isWaiting ? t('files.waiting') : '');
    if (this.#isWaiting || (!text && this.#uploads.isEmpty)) return;
    const attachments = this.#uploads.take();
    this.#input.value = '';
    this.#grow();
    this.#meeting.conversation.say(text, { ...this.#extras(), ...(attachments.length > 0 ? { attachments } : {}) });
  }

  /** @returns {import('../types.js').Extras} */
  #extras() {
    const { replyTo, to } = this.#meeting.state.draft;
    return { ...(replyTo ? { reply_to: replyTo } : {}), ...(to ? { to } : {}) };
  }

  #openMenu() {
    const people = others(this.#meeting.state);
    toggleMenu(this.#plus, t('chat.plus'), () => [
      { label: t('files.add'), icon: 'clip', action: 'add-files', pick: () => this.#file.click() },
      { label: t('poll.new'), icon: 'poll', action: 'new-poll', pick: () => showPollForm((poll) => this.#meeting.conversation.say('', { ...this.#extras(), poll })) },
      ...(people.length > 0 ? [{ heading: t('chat.whisper') }] : []),
      ...people.slice(0, 20).map((p) => ({ label: p.display_name, icon: 'lock', action: 'whisper', pick: () => this.#dispatch({ to: p.user_id, editing: null }) })),
    ]);
  }

  // ---- Names after an @ ----

  #offerNames() {
    const typed = mentionAt(this.#input.value, this.#input.selectionStart ?? 0);
    const query = typed?.query.toLocaleLowerCase() ?? '';
    const names = typed ? [...new Set(others(this.#meeting.state).map((p) => p.display_name))].filter((name) => name.toLocaleLowerCase().startsWith(query)) : [];
    const isDone = names.length === 1 && names[0]?.toLocaleLowerCase() === query;
    this.#offer = typed && names.length > 0 && !isDone ? { from: typed.from, found: names.slice(0, NAMES_OFFERED), at: 0 } : null;
    this.#drawOffer();
  }

  #drawOffer() {
    const offer = this.#offer;
    this.#names.hidden = !offer;
    if (offer) this.#input.setAttribute('aria-activedescendant', `mention-${offer.at}`);
    else this.#input.removeAttribute('aria-activedescendant');
    keyed(this.#names, offer?.found ?? [], {
      key: (name) => name,
      create: (name) => {
        const option = h('li', { role: 'option' }, name);
        // Before the field loses the focus.
        option.addEventListener('pointerdown', (event) => {
          event.preventDefault();
          this.#take(name);
        });
        return option;
      },
      update: (option, name) => {
        const at = offer?.found.indexOf(name) ?? 0;
        option.id = `mention-${at}`;
        option.setAttribute('aria-selected', String(at === offer?.at));
      },
    });
  }

  /** @param {string} name */
  #take(name) {
    if (!this.#offer) return;
    const { value } = this.#input;
    const end = this.#input.selectionStart ?? value.length;
    this.#input.setRangeText(`@${name} `, this.#offer.from, end, 'end');
    this.#close();
    this.#grow();
  }

  #close() {
    if (!this.#offer) return;
    this.#offer = null;
    this.#drawOffer();
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    // Enter that ends the composing of a word (Chinese, Japanese …) is not meant for us.
    if (event.isComposing) return;
    const offer = this.#offer;
    if (offer && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
      event.preventDefault();
      offer.at = (offer.at + (event.key === 'ArrowDown' ? 1 : offer.found.length - 1)) % offer.found.length;
      this.#drawOffer();
    } else if (offer && (event.key === 'Enter' || event.key === 'Tab')) {
      event.preventDefault();
      this.#take(offer.found[offer.at] ?? '');
    } else if (event.key === 'Escape' && (offer || this.#editing !== null)) {
      event.preventDefault();
      event.stopPropagation();
      if (offer) this.#close();
      else this.#dispatch({ editing: null });
    } else if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      this.#send();
    } else if (event.key === 'ArrowUp' && this.#input.value === '') {
      this.#editLast(event);
    }
  }

  /** An arrow up in an empty field takes the last own line back into it.
   * @param {KeyboardEvent} event
   */
  #editLast(event) {
    const { messages, userId } = this.#meeting.state;
    const last = messages.findLast((m) => m.user_id === userId && m.deleted_ms === undefined && m.algo === undefined && m.text !== '');
    if (!last) return;
    event.preventDefault();
    this.#dispatch({ editing: last.id, replyTo: null, to: null });
  }

  #grow() {
    this.#input.style.setProperty('height', 'auto');
    this.#input.style.setProperty('height', `${Math.min(140, this.#input.scrollHeight + 2)}px`);
    const left = LIMITS.chat - [...this.#input.value].length;
    setText(this.#left, left <= COUNT_FROM ? t('chat.left', { n: left }) : '');
  }
}
