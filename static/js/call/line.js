// One line of chat: what it answers, its words, poll and files, what people feel about it, and its menu.

import { avatar } from '../avatar.js';
import { mentions, piecesOf } from '../chat.js';
import { h, icon, keyed, setText } from '../dom.js';
import { clock, listOf, t } from '../i18n.js';
import { toggleMenu } from '../menu.js';
import { toast } from '../notices.js';
import { may } from '../powers.js';
import { self } from '../state.js';
import { powersOver } from '../talk.js';
import { confirm } from './deeds.js';
import { showFiles } from './later.js';
import { pollBox } from './poll.js';
import { OFFERED } from './reactions.js';
import { summary } from './summary.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */
/** @typedef {import('../types.js').ChatMessage} ChatMessage */
/** @typedef {Extract<import('../chat.js').ChatItem, {kind: 'line'}>} LineItem */

/**
 * @param {Meeting} meeting
 * @param {LineItem} item
 * @param {(id: string) => void} jump shows another message
 */
export function createLine(meeting, item, jump) {
  const { mine, author, user_id } = item;
  const more = h('button', { type: 'button', class: 'line-more', 'aria-haspopup': 'menu', 'aria-expanded': 'false', 'aria-label': t('line.menu', { name: mine ? t('chat.you') : author }), title: t('tile.menu.short'), data: { action: 'message-menu' } }, icon('more', 'small'));
  const quote = h('button', { type: 'button', class: 'quote', data: { action: 'quote' } }, h('strong'), h('span'));
  const bubble = h(
    'div',
    { class: 'bubble' },
    h('span', { class: mine ? 'hush' : 'bubble-author' }, mine ? t('chat.you') : author),
    h('span', { class: 'private-mark', hidden: true }, icon('lock', 'small'), h('span')),
    quote,
    h('p', { class: 'bubble-text' }),
    h('div', { class: 'files', hidden: true }),
    h('span', { class: 'bubble-end' }, icon('pin', 'small pin-sign'), h('span', { class: 'edited', hidden: true }, t('chat.edited')), h('time', { datetime: new Date(item.line.sent_ms).toISOString() }, clock(item.line.sent_ms)), icon('clock', 'small sending')),
  );
  const element = h(
    'div',
    { class: mine ? 'line mine' : 'line', data: { author: user_id } },
    mine ? null : h('span', { class: 'line-avatar' }, avatar(author, user_id)),
    h('div', { class: 'bubble-row' }, bubble, more),
    h('div', { class: 'feelings', hidden: true }),
  );
  more.addEventListener('click', () => {
    const message = messageOf(meeting, element);
    if (message) openMenu(meeting, message, more);
  });
  quote.addEventListener('click', () => {
    const id = quote.dataset.id;
    if (id) jump(id);
  });
  return element;
}

/**
 * @param {Meeting} meeting
 * @param {HTMLElement} element
 * @param {LineItem} item
 */
export function updateLine(meeting, element, item) {
  const { line } = item;
  const { message, extras } = line;
  const { state } = meeting;
  element.classList.toggle('first', line.first);
  element.classList.toggle('last', line.last);
  element.classList.toggle('private', extras.to !== undefined);
  element.classList.toggle('deleted', message?.deleted_ms !== undefined);
  element.dataset.state = line.state;
  element.dataset.message = message?.id ?? '';
  const part = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (element.querySelector(selector));
  setText(part('time'), clock(line.sent_ms));
  part('.edited').hidden = message?.edited_ms === undefined;
  part('.pin-sign').toggleAttribute('hidden', message?.pinned_ms === undefined);
  part('.line-more').hidden = !message || message.deleted_ms !== undefined;

  const mark = part('.private-mark');
  mark.hidden = extras.to === undefined;
  if (extras.to) setText(/** @type {Element} */ (mark.lastElementChild), item.mine ? t('chat.private_to', { name: nameOf(meeting, extras.to) }) : t('chat.private'));

  drawQuote(meeting, part('.quote'), extras.reply_to);
  drawText(meeting, part('.bubble-text'), line.text, message);
  drawPoll(meeting, element, message);
  showFiles(meeting, part('.files'), message?.attachments ?? []);
  drawFeelings(meeting, part('.feelings'), message);

  const again = element.querySelector('.resend');
  if (line.state === 'failed' && !again && line.client_id !== null) {
    const id = line.client_id;
    element.append(h('div', { class: 'resend wrong', role: 'alert' }, t('chat.failed'), ' ', h('button', { type: 'button', data: { action: 'resend' }, onclick: () => meeting.conversation.sayAgain(id) }, t('retry'))));
  } else if (line.state !== 'failed') {
    again?.remove();
  }
  element.classList.toggle('calls-me', message !== null && !item.mine && mentions(message.text, [self(state)?.display_name ?? '']).length > 0);
}

/**
 * @param {Meeting} meeting
 * @param {HTMLElement} quote
 * @param {string | undefined} id
 */
function drawQuote(meeting, quote, id) {
  quote.hidden = id === undefined;
  if (id === undefined) return;
  quote.dataset.id = id;
  const message = find(meeting, id);
  setText(/** @type {Element} */ (quote.firstElementChild), message?.display_name ?? '');
  setText(/** @type {Element} */ (quote.lastElementChild), message ? summary(message) : t('chat.earlier'));
}

/**
 * @param {Meeting} meeting
 * @param {HTMLElement} place
 * @param {string} text
 * @param {ChatMessage | null} message
 */
function drawText(meeting, place, text, message) {
  const names = meeting.state.participants.map((p) => p.display_name);
  const shown = message?.deleted_ms !== undefined ? t('chat.deleted') : message?.algo ? t('chat.sealed') : text;
  const now = JSON.stringify([shown, names]);
  if (place.dataset.drawn === now) return;
  place.dataset.drawn = now;
  place.hidden = shown === '';
  place.replaceChildren();
  for (const piece of piecesOf(shown)) {
    if (piece.href) {
      place.append(h('a', { href: piece.href, target: '_blank', rel: 'noopener noreferrer' }, piece.text));
      continue;
    }
    let rest = 0;
    for (const { from, to } of mentions(piece.text, names)) {
      place.append(piece.text.slice(rest, from), h('strong', { class: 'mention' }, piece.text.slice(from, to)));
      rest = to;
    }
    place.append(piece.text.slice(rest));
  }
}

/**
 * @param {Meeting} meeting
 * @param {HTMLElement} element
 * @param {ChatMessage | null} message
 */
function drawPoll(meeting, element, message) {
  const box = element.querySelector('.poll');
  if (!message?.poll) return box?.remove();
  const poll = pollBox(meeting, /** @type {HTMLElement | null} */ (box), message);
  if (!box) element.querySelector('.bubble-end')?.before(poll);
}

/**
 * @param {Meeting} meeting
 * @param {HTMLElement} place
 * @param {ChatMessage | null} message
 */
function drawFeelings(meeting, place, message) {
  const feelings = message?.reactions ?? [];
  place.hidden = feelings.length === 0;
  const { userId } = meeting.state;
  const isMine = (/** @type {import('../types.js').Feeling} */ f) => userId !== null && f.user_ids.includes(userId);
  keyed(place, feelings, {
    key: (f) => f.emoji,
    create: (f) => {
      const chip = h('button', { type: 'button', class: 'feeling', data: { action: 'feel', emoji: f.emoji } }, h('span', { class: 'emoji' }, f.emoji), h('span'));
      chip.addEventListener('click', () => {
        const now = find(meeting, message?.id ?? '')?.reactions?.find((other) => other.emoji === f.emoji);
        if (message) void meeting.order({ type: 'chat.react', message_id: message.id, emoji: f.emoji, on: !now || !isMine(now) });
      });
      return chip;
    },
    update: (chip, f) => {
      chip.setAttribute('aria-pressed', String(isMine(f)));
      const names = listOf(f.user_ids.map((id) => nameOf(meeting, id)));
      chip.title = names;
      chip.setAttribute('aria-label', `${f.emoji} ${f.user_ids.length}: ${names}`);
      setText(/** @type {Element} */ (chip.lastElementChild), String(f.user_ids.length));
    },
  });
}

/**
 * @param {Meeting} meeting
 * @param {ChatMessage} message
 * @param {HTMLButtonElement} anchor
 */
function openMenu(meeting, message, anchor) {
  const role = self(meeting.state)?.role;
  const powers = powersOver(meeting.state, message, may(role, 'delete_messages'));
  const dispatch = (/** @type {Partial<import('../state.js').Draft>} */ draft) => meeting.store.dispatch({ type: 'local.draft', draft });
  const name = message.display_name;
  toggleMenu(anchor, t('line.menu', { name }), () => {
    /** @type {import('../menu.js').MenuItem[]} */
    const items = [];
    if (powers.react) {
      const buttons = OFFERED.map(([emoji, label]) =>
        h('button', { type: 'button', class: 'menu-item reaction', 'aria-label': t(label), title: t(label), data: { emoji } }, emoji),
      );
      for (const button of buttons) {
        button.addEventListener('click', () => {
          const emoji = String(button.dataset.emoji);
          const isOn = find(meeting, message.id)?.reactions?.some((f) => f.emoji === emoji && f.user_ids.includes(meeting.state.userId ?? ''));
          /** @type {HTMLElement | null} */ (button.closest('[popover]'))?.hidePopover();
          void meeting.order({ type: 'chat.react', message_id: message.id, emoji, on: !isOn });
        });
      }
      items.push({ element: h('div', { class: 'reactions' }, ...buttons) });
    }
    // Whoever answers a private word answers privately.
    const other = message.user_id === meeting.state.userId ? (message.to ?? null) : message.user_id;
    if (powers.reply) items.push({ label: t('line.reply'), icon: 'reply', action: 'reply', pick: () => dispatch({ replyTo: message.id, editing: null, to: message.to === undefined ? null : other }) });
    if (message.user_id !== meeting.state.userId) items.push({ label: t('line.whisper', { name }), icon: 'lock', action: 'whisper', pick: () => dispatch({ to: message.user_id, editing: null }) });
    if (powers.edit) items.push({ label: t('line.edit'), icon: 'edit', action: 'edit', pick: () => dispatch({ editing: message.id, replyTo: null, to: null }) });
    if (message.text) items.push({ label: t('line.copy'), icon: 'copy', action: 'copy-text', pick: () => void copy(message.text) });
    if (powers.pin) {
      const isPinned = message.pinned_ms !== undefined;
      items.push({ label: t(isPinned ? 'line.unpin' : 'line.pin'), icon: isPinned ? 'unpin' : 'pin', action: 'pin-message', pick: () => void meeting.order({ type: 'chat.pin', message_id: message.id, pinned: !isPinned }) });
    }
    if (powers.closePoll) items.push({ label: t('poll.close'), icon: 'check', action: 'close-poll', pick: () => void meeting.order({ type: 'poll.close', message_id: message.id }) });
    if (powers.delete) {
      items.push({ label: t('line.delete'), icon: 'trash', action: 'delete-message', isGrave: true, pick: () => confirm(meeting, t('line.delete.title'), t('line.delete.text'), t('line.delete.do'), { type: 'chat.delete', message_id: message.id }) });
    }
    return items;
  });
}

/** @param {string} text */
async function copy(text) {
  await navigator.clipboard.writeText(text).then(() => toast(t('line.copied')), () => toast(t('line.not_copied')));
}

/**
 * @param {Meeting} meeting
 * @param {HTMLElement} element
 */
function messageOf(meeting, element) {
  return find(meeting, element.dataset.message ?? '');
}

/**
 * @param {Meeting} meeting
 * @param {string} id
 */
export function find(meeting, id) {
  return meeting.state.messages.find((m) => m.id === id) ?? meeting.state.pins.find((m) => m.id === id) ?? null;
}

/**
 * A person's name, of those here or of those who wrote.
 * @param {Meeting} meeting
 * @param {string} userId
 */
export function nameOf(meeting, userId) {
  const { participants, messages } = meeting.state;
  return participants.find((p) => p.user_id === userId)?.display_name ?? messages.find((m) => m.user_id === userId)?.display_name ?? t('chat.somebody');
}
