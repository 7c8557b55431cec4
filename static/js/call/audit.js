// Who did what as a moderator, newest first, for moderators.

import { h, icon, keyed } from '../dom.js';
import { clock, dayName } from '../i18n.js';
import { t } from '../i18n/audit.js';
import { openDialog } from '../menu.js';
import { busy, trouble } from '../views/form.js';

/** @typedef {import('../types.js').AuditEntry} AuditEntry */
/** @typedef {import('../types.js').RoomState} RoomState */

/** @param {import('../meeting.js').Meeting} meeting */
export function openAudit(meeting) {
  const slug = meeting.state.room?.slug ?? '';
  /** @type {AuditEntry[]} */
  let entries = [];
  const list = h('ol', { class: 'audit' });
  const none = h('p', { class: 'quiet', hidden: true }, t('audit.none'));
  const wrong = trouble();
  const older = h('button', { type: 'button', class: 'button slim older', data: { action: 'older-audit' } }, t('audit.older'));
  const load = () =>
    busy(older, wrong, async () => {
      const page = await meeting.api.audit(slug, entries.at(-1)?.seq ?? null);
      entries = [...entries, ...page.entries];
      older.hidden = !page.has_more;
      none.hidden = entries.length > 0;
      keyed(list, rowsOf(entries), {
        key: (row) => row.key,
        create: (row) => ('entry' in row ? line(row.entry) : h('li', { class: 'day-line' }, h('span', null, row.day))),
        // What a change of the room changed is known once the one before it is here.
        update: (element, row) => {
          const words = element.querySelector('.audit-words');
          if ('entry' in row && words) words.textContent = wordsOf(row.entry, before(entries, row.entry));
        },
      });
    });
  older.addEventListener('click', () => void load());
  openDialog(t('audit.title'), h('div', { class: 'form' }, none, list, wrong.element, older));
  void load();
}

/** @param {AuditEntry} entry */
function line(entry) {
  return h(
    'li',
    { class: 'audit-line', data: { audit: entry.action } },
    h('time', { class: 'quiet', datetime: new Date(entry.at_ms).toISOString() }, clock(entry.at_ms)),
    h('span', { class: 'person-words' }, h('span', { class: 'audit-words' }), h('span', { class: 'quiet person-state' }, icon('user', 'small'), entry.by.display_name)),
  );
}

/**
 * Entries with a line where a day begins.
 * @param {readonly AuditEntry[]} entries
 * @returns {({key: string, entry: AuditEntry} | {key: string, day: string})[]}
 */
function rowsOf(entries) {
  let day = '';
  return entries.flatMap((entry) => {
    const row = { key: String(entry.seq), entry };
    const name = dayName(entry.at_ms, Date.now());
    if (name === day) return [row];
    day = name;
    return [{ key: `day-${name}`, day: name }, row];
  });
}

/**
 * How the room was before an entry changed it, as far as the log here reaches.
 * @param {readonly AuditEntry[]} entries newest first
 * @param {AuditEntry} entry
 * @returns {RoomState | null}
 */
function before(entries, entry) {
  return entries.find((other) => other.seq < entry.seq && other.action === 'state.changed')?.detail.state ?? null;
}

/**
 * What an entry says.
 * @param {AuditEntry} entry
 * @param {RoomState | null} earlier how the room was before it
 */
export function wordsOf({ action, target, detail }, earlier) {
  const name = target?.display_name ?? detail.display_name ?? t('chat.somebody');
  switch (action) {
    case 'role.changed': {
      const role = /** @type {import('../types.js').Role} */ (detail.role);
      return t(`said.role.${role}`, { name });
    }
    case 'media.forced':
    case 'media.video_forced': {
      const source = /** @type {import('../types.js').Forcible} */ (action === 'media.forced' ? detail.source : 'camera');
      return detail.forced ? t(`said.forced.${source}`, { name }) : t(`said.freed.${source}`, { name });
    }
    case 'speak.allowed':
      if (!detail.allowed) return t('said.speak_ended', { name });
      return detail.until_ms ? t('said.may_speak_until', { name, time: clock(detail.until_ms) }) : t('said.may_speak', { name });
    case 'member.kicked': {
      const words = t(detail.is_banned ? 'said.banned' : 'said.kicked', { name });
      return detail.reason ? t('audit.because', { words, reason: detail.reason }) : words;
    }
    case 'member.unbanned':
      return t('audit.unbanned', { name });
    case 'lobby.left':
      return t(detail.outcome === 'admitted' ? 'said.knock.admitted' : 'said.knock.refused', { name: detail.knock?.display_name ?? name });
    case 'hand.lowered':
      return detail.participant_id ? t('audit.hand') : t('audit.hands');
    case 'chat.deleted':
      return t('audit.deleted', { name });
    case 'chat.pinned':
      return t(detail.pinned ? 'audit.pinned' : 'audit.unpinned', { name });
    case 'poll.closed':
      return t('audit.poll_closed', { name });
    case 'breakout.opened':
      return t('audit.breakout', { n: detail.breakouts?.rooms.length ?? 0 });
    case 'breakout.assigned':
      return t('audit.assigned', { n: Object.keys(detail.assignments ?? {}).length });
    case 'breakout.broadcast':
      return t('audit.broadcast', { text: detail.text });
    case 'breakout.closing':
      return t('audit.closing', { time: clock(detail.ends_ms) });
    case 'breakout.closed':
      return t('audit.breakout_closed');
    case 'room.changed':
      return t('audit.room', { name: detail.name });
    case 'invite.created':
      return t('audit.invite');
    case 'invite.revoked':
      return t('audit.invite_revoked');
    case 'stream_key.created':
      return t('audit.stream_key', { name: detail.stream_key?.name ?? '' });
    case 'stream_key.revoked':
      return t('audit.stream_key_revoked', { name: detail.name ?? '' });
    case 'record.started':
      return t('audit.record');
    case 'record.stopped':
      return t('said.record_off');
    case 'state.changed':
      return stateWords(detail.state, earlier);
    default:
      return t('audit.other', { action });
  }
}

/**
 * @param {RoomState} now
 * @param {RoomState | null} earlier
 */
function stateWords(now, earlier) {
  if (!earlier) return t('audit.state');
  const words = [
    now.mute_all === earlier.mute_all ? '' : t(now.mute_all ? 'said.mute_all' : 'said.unmute_all'),
    now.is_locked === earlier.is_locked ? '' : t(now.is_locked ? 'said.locked' : 'said.unlocked'),
    now.has_lobby === earlier.has_lobby ? '' : t(now.has_lobby ? 'said.lobby' : 'said.no_lobby'),
    now.topic === earlier.topic ? '' : now.topic ? t('said.topic', { topic: now.topic }) : t('said.no_topic'),
    now.capacity === earlier.capacity ? '' : t('said.capacity', { n: now.capacity }),
  ].filter(Boolean);
  return words.length > 0 ? words.join('. ') : t('audit.state');
}
