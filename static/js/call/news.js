// What a moderator's order, a hand or a knock is called: for the person concerned, for moderators, for everybody.

import { clock, t } from '../i18n.js';
import { may } from '../powers.js';
import { self } from '../state.js';

/** @typedef {import('../state.js').Meeting} Meeting */
/** @typedef {import('../types.js').ServerMessage} ServerMessage */
/** @typedef {import('../types.js').By} By */
/** @typedef {{text: string, isQuiet: boolean}} News quiet news is for screen readers only: others see it anyway */

/**
 * What there is to say of a message, or nothing.
 * @param {ServerMessage} message
 * @param {Meeting} before the state before it
 * @param {Meeting} now the state after it
 * @returns {News | null}
 */
export function newsOf(message, before, now) {
  const isModerator = may(self(now)?.role, 'set_state');
  const nameOf = (/** @type {string} */ userId) => (now.participants.find((p) => p.user_id === userId) ?? before.participants.find((p) => p.user_id === userId))?.display_name ?? '';
  /** Orders concern one person and those who give orders; the rest see the sign and need no words.
   * @param {string} userId @param {By} by @param {string} mine @param {string} theirs */
  const order = (userId, by, mine, theirs) => {
    if (userId === now.userId) return { text: mine, isQuiet: false };
    return isModerator && nameOf(userId) ? { text: signed(theirs, by, now), isQuiet: false } : null;
  };
  switch (message.type) {
    case 'hand.raised': {
      const person = now.participants.find((p) => p.id === message.participant_id);
      return person && person.id !== now.me ? { text: t('said.hand', { name: person.display_name }), isQuiet: !isModerator } : null;
    }
    case 'hand.lowered':
      if (!message.by || message.by.user_id === now.userId || now.me === null || !before.state.hands_up.includes(now.me) || now.state.hands_up.includes(now.me)) return null;
      return { text: t('you.hand_lowered', { by: message.by.display_name }), isQuiet: false };
    case 'role.changed': {
      const { role, by } = message;
      if (message.user_id === now.userId) return { text: t(`you.role.${role}`), isQuiet: false };
      const name = nameOf(message.user_id);
      return name ? { text: signed(t(`said.role.${role}`, { name }), by, now), isQuiet: role !== 'owner' && !isModerator } : null;
    }
    case 'media.forced':
    case 'media.video_forced': {
      const source = message.type === 'media.forced' ? message.source : 'camera';
      const { forced, by } = message;
      // Whoever is muted reads it above the stage as long as it holds.
      if (forced && source === 'microphone' && message.user_id === now.userId) return null;
      const name = nameOf(message.user_id);
      const mine = forced ? t(source === 'screen' ? 'you.forced.screen' : 'you.forced.camera', { by: by.display_name }) : t(`you.freed.${source}`);
      return order(message.user_id, by, mine, forced ? t(`said.forced.${source}`, { name }) : t(`said.freed.${source}`, { name }));
    }
    case 'speak.allowed': {
      const name = nameOf(message.user_id);
      const time = message.until_ms === undefined ? '' : clock(message.until_ms);
      if (!message.allowed) return order(message.user_id, message.by, t('you.speak_ended'), t('said.speak_ended', { name }));
      if (time) return order(message.user_id, message.by, t('you.may_speak_until', { time }), t('said.may_speak_until', { name, time }));
      return order(message.user_id, message.by, t('you.may_speak'), t('said.may_speak', { name }));
    }
    case 'member.kicked': {
      const name = message.display_name ?? nameOf(message.user_id);
      if (message.user_id === now.userId || !name) return null;
      return { text: signed(t(message.is_banned ? 'said.banned' : 'said.kicked', { name }), message.by, now), isQuiet: false };
    }
    case 'record.stopped': {
      const words = t(message.reason === 'stopped' || message.reason === 'empty' ? 'said.record_off' : message.reason === 'no_space' || message.reason === 'quota' ? 'said.record_full' : 'said.record_failed');
      return { text: message.by ? signed(words, message.by, now) : words, isQuiet: false };
    }
    case 'lobby.left':
      if (message.outcome === 'gone' || !message.by || message.by.user_id === now.userId) return null;
      return { text: signed(t(`said.knock.${message.outcome}`, { name: message.knock.display_name }), message.by, now), isQuiet: false };
    case 'state.changed':
      return changed(before, now, message.by, isModerator);
    default:
      return null;
  }
}

/**
 * @param {Meeting} before
 * @param {Meeting} now
 * @param {By} by
 * @param {boolean} isModerator
 * @returns {News | null}
 */
function changed(before, now, by, isModerator) {
  const a = before.state;
  const b = now.state;
  /** @type {string[]} */
  const words = [];
  if (a.mute_all !== b.mute_all) words.push(t(b.mute_all ? 'said.mute_all' : 'said.unmute_all'));
  if (a.is_locked !== b.is_locked) words.push(t(b.is_locked ? 'said.locked' : 'said.unlocked'));
  if (a.topic !== b.topic) words.push(b.topic ? t('said.topic', { topic: b.topic }) : t('said.no_topic'));
  if (isModerator && a.has_lobby !== b.has_lobby) words.push(t(b.has_lobby ? 'said.lobby' : 'said.no_lobby'));
  if (isModerator && a.capacity !== b.capacity) words.push(t('said.capacity', { n: b.capacity }));
  return words.length === 0 ? null : { text: signed(words.join('. '), by, now), isQuiet: false };
}

/**
 * With the name of whoever did it, unless it was me.
 * @param {string} text
 * @param {By} by
 * @param {Meeting} now
 */
function signed(text, by, now) {
  return by.user_id === now.userId ? text : t('said.by', { text, by: by.display_name });
}
