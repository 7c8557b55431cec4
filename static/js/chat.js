// How chat is shown: who stands together, where days begin, what is a link. Pure.

/** @typedef {import('./types.js').ChatMessage} ChatMessage */
/** @typedef {{client_id: string, text: string, sent_ms: number, failed: boolean}} PendingMessage */
/** @typedef {{key: string, text: string, sent_ms: number, state: 'sent' | 'sending' | 'failed', client_id: string | null, first: boolean, last: boolean}} Line */
/**
 * @typedef {{kind: 'day', key: string, ms: number}
 *   | {kind: 'unread', key: string}
 *   | {kind: 'line', key: string, mine: boolean, author: string, user_id: string, line: Line}} ChatItem
 */

/**
 * Everything the chat list shows, in order: day lines, one line before the first unread message, and
 * bubbles that know whether they begin or end a group (one person, one minute).
 * @param {readonly ChatMessage[]} messages oldest first
 * @param {readonly PendingMessage[]} pending
 * @param {{user_id: string | null, unreadFrom: number | null}} who
 * @returns {ChatItem[]}
 */
export function layoutChat(messages, pending, who) {
  /** @type {ChatItem[]} */
  const items = [];
  /** @type {{user_id: string, minute: number, line: Line} | null} */
  let previous = null;
  let day = '';
  let unreadShown = false;
  const shown = [
    ...messages.map((m) => ({ ...m, key: m.client_id && m.user_id === who.user_id ? m.client_id : m.id, state: /** @type {const} */ ('sent') })),
    ...pending.map((p) => ({
      key: p.client_id,
      seq: Number.MAX_SAFE_INTEGER,
      user_id: who.user_id ?? '',
      display_name: '',
      text: p.text,
      sent_ms: p.sent_ms,
      client_id: p.client_id,
      state: p.failed ? /** @type {const} */ ('failed') : /** @type {const} */ ('sending'),
    })),
  ];
  for (const message of shown) {
    const thisDay = dayOf(message.sent_ms);
    if (thisDay !== day) {
      day = thisDay;
      items.push({ kind: 'day', key: `day-${thisDay}`, ms: message.sent_ms });
      previous = null;
    }
    const mine = message.user_id === who.user_id;
    if (!unreadShown && !mine && who.unreadFrom !== null && message.seq >= who.unreadFrom) {
      unreadShown = true;
      items.push({ kind: 'unread', key: 'unread' });
      previous = null;
    }
    const minute = Math.floor(message.sent_ms / 60_000);
    const joins = previous !== null && previous.user_id === message.user_id && previous.minute === minute;
    if (joins && previous) previous.line.last = false;
    /** @type {Line} */
    const line = {
      key: message.key,
      text: message.text,
      sent_ms: message.sent_ms,
      state: message.state,
      client_id: message.client_id ?? null,
      first: !joins,
      last: true,
    };
    items.push({ kind: 'line', key: message.key, mine, author: message.display_name, user_id: message.user_id, line });
    previous = { user_id: message.user_id, minute, line };
  }
  return items;
}

/**
 * The local calendar day of a moment.
 * @param {number} ms
 */
export function dayOf(ms) {
  const date = new Date(ms);
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

/**
 * Puts messages together: each once, in the order of the room.
 * @param {readonly ChatMessage[]} held
 * @param {readonly ChatMessage[]} more
 * @returns {ChatMessage[]}
 */
export function mergeMessages(held, more) {
  const byId = new Map(held.map((message) => [message.id, message]));
  for (const message of more) byId.set(message.id, message);
  return [...byId.values()].sort((a, b) => a.seq - b.seq);
}

/**
 * Splits text into plain pieces and links. Only http and https become links; a closing bracket or a
 * full stop after an address belongs to the sentence.
 * @param {string} text
 * @returns {{text: string, href: string | null}[]}
 */
export function piecesOf(text) {
  /** @type {{text: string, href: string | null}[]} */
  const pieces = [];
  let rest = 0;
  for (const found of text.matchAll(/https?:\/\/[^\s<>"'`]+/gi)) {
    let address = found[0].replace(/[.,;:!?…»”]+$/u, '');
    while (/[)\]}]$/.test(address) && !balanced(address)) address = address.slice(0, -1).replace(/[.,;:!?]+$/, '');
    if (!URL.canParse(address)) continue;
    if (found.index > rest) pieces.push({ text: text.slice(rest, found.index), href: null });
    pieces.push({ text: address, href: address });
    rest = found.index + address.length;
  }
  if (rest < text.length) pieces.push({ text: text.slice(rest), href: null });
  return pieces;
}

/** @param {string} text */
function balanced(text) {
  const count = (/** @type {string} */ sign) => text.split(sign).length;
  return count('(') >= count(')') && count('[') >= count(']') && count('{') >= count('}');
}
