// How chat is shown: who stands together, where days begin, what is a link. Pure.

/** @typedef {import('./types.js').ChatMessage} ChatMessage */
/** @typedef {import('./types.js').Extras} Extras */
/** @typedef {{client_id: string, text: string, sent_ms: number, failed: boolean, extras?: Extras}} PendingMessage */
/** @typedef {{key: string, text: string, sent_ms: number, state: 'sent' | 'sending' | 'failed', client_id: string | null, first: boolean, last: boolean,
 *   message: ChatMessage | null, extras: Extras}} Line */
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
  /** @type {{user_id: string, to: string | undefined, minute: number, line: Line} | null} */
  let previous = null;
  let day = '';
  let unreadShown = false;
  const shown = [
    ...messages.map((m) => ({ ...m, key: m.client_id && m.user_id === who.user_id ? m.client_id : m.id, state: /** @type {const} */ ('sent'), message: /** @type {ChatMessage | null} */ (m), extras: { reply_to: m.reply_to, to: m.to } })),
    ...pending.map((p) => ({
      key: p.client_id,
      seq: Number.MAX_SAFE_INTEGER,
      user_id: who.user_id ?? '',
      display_name: '',
      text: p.text,
      sent_ms: p.sent_ms,
      client_id: p.client_id,
      state: p.failed ? /** @type {const} */ ('failed') : /** @type {const} */ ('sending'),
      message: null,
      extras: p.extras ?? {},
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
    const joins = previous !== null && previous.user_id === message.user_id && previous.to === message.extras.to && previous.minute === minute;
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
      message: message.message,
      extras: message.extras,
    };
    items.push({ kind: 'line', key: message.key, mine, author: message.display_name, user_id: message.user_id, line });
    previous = { user_id: message.user_id, to: message.extras.to, minute, line };
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

/**
 * Where a text names somebody: `@` and the name as people see it, whatever the case. Of two names that begin alike
 * the longer one counts.
 * @param {string} text
 * @param {readonly string[]} names
 * @returns {{from: number, to: number, name: string}[]}
 */
export function mentions(text, names) {
  /** @type {{from: number, to: number, name: string}[]} */
  const found = [];
  const longest = [...new Set(names)].filter((name) => name !== '').sort((a, b) => b.length - a.length);
  const lower = text.toLocaleLowerCase();
  for (let at = text.indexOf('@'); at >= 0; at = text.indexOf('@', at + 1)) {
    if (at > 0 && /[\p{L}\p{N}]/u.test(text[at - 1] ?? '')) continue;
    const name = longest.find((n) => lower.startsWith(n.toLocaleLowerCase(), at + 1) && !/[\p{L}\p{N}]/u.test(text[at + 1 + n.length] ?? ''));
    if (name) found.push({ from: at, to: at + 1 + name.length, name });
  }
  return found;
}

/**
 * What is being typed after the last `@` before the caret, when it could become a name.
 * @param {string} text
 * @param {number} caret
 * @returns {{from: number, query: string} | null}
 */
export function mentionAt(text, caret) {
  const from = text.lastIndexOf('@', caret - 1);
  if (from < 0 || (from > 0 && /[\p{L}\p{N}]/u.test(text[from - 1] ?? ''))) return null;
  const query = text.slice(from + 1, caret);
  return query.length <= 32 && !/[\n@]/.test(query) ? { from, query } : null;
}

/**
 * The result of a poll: votes for each option, and the part of those who voted.
 * @param {import('./types.js').Poll} poll
 * @param {string | null} userId
 */
export function tally(poll, userId) {
  const voters = poll.votes.length;
  const mine = poll.votes.find((vote) => vote.user_id === userId)?.choices ?? [];
  const options = poll.options.map((text, n) => {
    const who = poll.votes.filter((vote) => vote.choices.includes(n)).map((vote) => vote.user_id);
    return { text, count: who.length, part: voters === 0 ? 0 : who.length / voters, who, mine: mine.includes(n) };
  });
  return { voters, mine, options };
}

/**
 * My choices after a press on an option: it comes or goes, and alone where only one may be chosen.
 * @param {import('./types.js').Poll} poll
 * @param {string | null} userId
 * @param {number} option
 * @returns {number[]}
 */
export function choose(poll, userId, option) {
  const { mine } = tally(poll, userId);
  if (mine.includes(option)) return mine.filter((n) => n !== option);
  return poll.is_multiple ? [...mine, option].sort((a, b) => a - b) : [option];
}

/**
 * A size as people read it.
 * @param {number} bytes
 * @param {string} language
 */
export function sizeOf(bytes, language) {
  const [unit, by] = bytes >= 1_000_000 ? ['megabyte', 1_000_000] : bytes >= 1000 ? ['kilobyte', 1000] : ['byte', 1];
  return new Intl.NumberFormat(language, { style: 'unit', unit: String(unit), unitDisplay: 'short', maximumFractionDigits: 1 }).format(bytes / Number(by));
}
