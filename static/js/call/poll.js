// A poll in the chat: its answers as buttons with their share.

import { choose, tally } from '../chat.js';
import { h, icon, keyed, setText } from '../dom.js';
import { listOf, t } from '../i18n.js';
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
