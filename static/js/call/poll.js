// A poll in the chat: its answers as buttons with their share, and the form that asks a new one.

import { choose, tally } from '../chat.js';
import { h, icon, keyed, setText } from '../dom.js';
import { listOf, t } from '../i18n.js';
import { openDialog } from '../menu.js';
import { LIMITS } from '../types.js';
import { field } from '../views/form.js';
import { nameOf } from './line.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */
/** @typedef {import('../types.js').ChatMessage} ChatMessage */

/**
 * @param {Meeting} meeting
 * @param {HTMLElement | null} drawn the box of before
 * @param {ChatMessage} message with a poll
 * @returns {HTMLElement}
 */
export function pollBox(meeting, drawn, message) {
  const box = drawn ?? h('div', { class: 'poll', role: 'group' }, h('strong', { class: 'poll-question' }), h('div', { class: 'poll-options' }), h('p', { class: 'quiet poll-end' }));
  const { poll } = message;
  if (!poll) return box;
  const { voters, options } = tally(poll, meeting.state.userId);
  setText(/** @type {Element} */ (box.querySelector('.poll-question')), poll.question);
  box.setAttribute('aria-label', poll.question);
  box.dataset.closed = String(poll.is_closed);
  keyed(/** @type {Element} */ (box.querySelector('.poll-options')), options.map((option, n) => ({ ...option, n })), {
    key: ({ n }) => String(n),
    create: ({ n, text }) => {
      const button = h('button', { type: 'button', class: 'poll-option', data: { action: 'vote', option: n } }, icon('check', 'small'), h('span', null, text), h('span', { class: 'poll-count' }));
      button.addEventListener('click', () => {
        const now = meeting.state.messages.find((m) => m.id === message.id)?.poll;
        if (now && !now.is_closed) void meeting.order({ type: 'poll.vote', message_id: message.id, choices: choose(now, meeting.state.userId, n) });
      });
      return button;
    },
    update: (button, { text, count, part, who, mine }) => {
      button.setAttribute('aria-pressed', String(mine));
      button.toggleAttribute('disabled', poll.is_closed);
      button.style.setProperty('--part', String(part));
      const names = who.length > 0 ? listOf(who.map((id) => nameOf(meeting, id))) : '';
      button.title = names;
      button.setAttribute('aria-label', t('poll.option', { text, n: count }));
      setText(/** @type {Element} */ (button.lastElementChild), String(count));
    },
  });
  const words = [t('poll.voters', { n: voters }), poll.is_closed ? t('poll.closed') : poll.is_multiple ? t('poll.multiple') : ''];
  setText(/** @type {Element} */ (box.querySelector('.poll-end')), words.filter(Boolean).join(' · '));
  return box;
}

/**
 * @param {(poll: import('../types.js').NewPoll) => void} send
 */
export function openPollForm(send) {
  const question = field(t('poll.question'), { name: 'question', maxlength: LIMITS.question, autocomplete: 'off', autocapitalize: 'sentences' });
  const list = h('div', { class: 'form poll-form' });
  const multiple = h('input', { type: 'checkbox', name: 'multiple', id: 'poll-multiple' });
  const add = h('button', { type: 'button', class: 'button slim', data: { action: 'add-option' } }, icon('plus', 'small'), t('poll.add'));
  /** @type {ReturnType<typeof field>[]} */
  const options = [];
  const more = () => {
    const option = field(t('poll.answer', { n: options.length + 1 }), { name: `option-${options.length}`, maxlength: LIMITS.option, autocomplete: 'off', autocapitalize: 'sentences' });
    options.push(option);
    list.append(option.element);
    add.hidden = options.length >= LIMITS.options;
    return option;
  };
  more();
  more();
  add.addEventListener('click', () => more().input.focus());
  const form = h(
    'form',
    { class: 'form', novalidate: true },
    question.element,
    list,
    add,
    h('label', { class: 'row check', for: 'poll-multiple' }, multiple, t('poll.several')),
    h('div', { class: 'row ends dialog-end' }, h('span'), h('button', { type: 'submit', class: 'button primary', data: { action: 'send-poll' } }, t('poll.ask'))),
  );
  const dialog = openDialog(t('poll.new'), form);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const asked = question.input.value.trim();
    const answers = options.map((option) => option.input.value.trim()).filter(Boolean);
    if (!asked) return question.complain(t('poll.question.missing'));
    if (answers.length < 2) return options.find((option) => option.input.value.trim() === '')?.complain(t('poll.answers.missing'));
    send({ question: asked, options: answers, is_multiple: multiple.checked });
    dialog.close();
  });
  question.input.focus();
}
