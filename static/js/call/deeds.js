// What a moderator may do to one person: menu items, and a question first where it cannot be undone.

import { h } from '../dom.js';
import { t } from '../i18n.js';
import { openDialog } from '../menu.js';
import { deedsFor, orderOf } from '../powers.js';
import { self } from '../state.js';
import { LIMITS } from '../limits.js';
import { busy, field, trouble } from '../views/form.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */
/** @typedef {import('../types.js').Participant} Participant */
/** @typedef {import('../types.js').Order} Order */
/** @typedef {import('../powers.js').Deed} Deed */
/** @typedef {import('../powers.js').Person} Person */

/** @type {Record<Deed, string>} */
const ICONS = {
  force_mic: 'mic-off',
  release_mic: 'mic',
  force_camera: 'cam-off',
  release_camera: 'cam',
  stop_share: 'screen-off',
  release_screen: 'screen',
  let_speak: 'mic',
  let_speak_for: 'clock',
  end_speak: 'mic-off',
  lower_hand: 'hand-down',
  make_admin: 'shield',
  make_member: 'user',
  make_guest: 'user',
  give_room: 'key',
  kick: 'leave',
  ban: 'ban',
};

/**
 * What one may do about somebody else: everybody writes to them alone, moderators do more.
 * @param {Meeting} meeting
 * @param {Participant} them
 * @returns {import('../menu.js').MenuItem[]}
 */
export function personItems(meeting, them) {
  const whisper = () => {
    meeting.store.dispatch({ type: 'local.panel', panel: 'chat' });
    meeting.store.dispatch({ type: 'local.draft', draft: { to: them.user_id, editing: null } });
  };
  const isMe = them.user_id === meeting.state.userId;
  return [...(isMe ? [] : [{ label: t('deed.whisper'), icon: 'lock', action: 'whisper', pick: whisper }]), ...deedItems(meeting, them)];
}

/**
 * @param {Meeting} meeting
 * @param {Participant} them
 * @returns {import('../menu.js').MenuItem[]}
 */
function deedItems(meeting, them) {
  return deedsFor(self(meeting.state), them, meeting.state.state).map((deed) => deedItem(meeting, deed, them));
}

/**
 * @param {Meeting} meeting
 * @param {Deed} deed
 * @param {Person} them
 * @returns {import('../menu.js').MenuItem}
 */
export function deedItem(meeting, deed, them) {
  return {
    label: deed === 'make_member' && them.role === 'admin' ? t('deed.end_admin') : t(`deed.${deed}`),
    icon: ICONS[deed],
    action: deed,
    isGrave: deed === 'kick' || deed === 'ban',
    pick: () => act(meeting, deed, them),
  };
}

/**
 * @param {Meeting} meeting
 * @param {Deed} deed
 * @param {Person} them
 */
function act(meeting, deed, them) {
  const name = them.display_name;
  if (deed === 'kick') return ask(meeting, t('ask.kick', { name }), t('ask.kick.text'), t('deed.kick'), (words) => ({ type: 'member.kick', user_id: them.user_id, ...words }), false);
  if (deed === 'ban') return ask(meeting, t('ask.ban', { name }), t('ask.ban.text'), t('deed.ban'), (words) => ({ type: 'member.ban', user_id: them.user_id, ...words }), true);
  if (deed === 'let_speak_for') return askMinutes(meeting, them);
  if (deed === 'give_room') return confirm(meeting, t('ask.give', { name }), t('ask.give.text'), t('deed.give_room'), orderOf(deed, them));
  void meeting.order(orderOf(deed, them));
}

/**
 * @param {Meeting} meeting
 * @param {string} title
 * @param {string} text
 * @param {string} label of the button
 * @param {Order} order
 */
export function confirm(meeting, title, text, label, order) {
  show(meeting, title, [h('p', { class: 'quiet' }, text)], label, () => order);
}

/**
 * A question with room for a reason, which the person concerned is told.
 * @param {Meeting} meeting
 * @param {string} title
 * @param {string} text
 * @param {string} label
 * @param {(words: {reason?: string, invite?: boolean}) => Order} order
 * @param {boolean} withInvite whether the invite they came by may end too
 */
function ask(meeting, title, text, label, order, withInvite) {
  const reason = field(t('ask.reason'), { name: 'reason', maxlength: LIMITS.reason, autocomplete: 'off', autocapitalize: 'sentences' }, t('ask.reason.hint'));
  const invite = h('input', { type: 'checkbox', name: 'invite', id: 'ask-invite' });
  const parts = [h('p', { class: 'quiet' }, text), reason.element, withInvite ? h('label', { class: 'row check', for: 'ask-invite' }, invite, t('ask.invite')) : null];
  show(meeting, title, parts, label, () => {
    const words = reason.input.value.trim();
    return order({ ...(words ? { reason: words } : {}), ...(invite.checked ? { invite: true } : {}) });
  });
}

/**
 * @param {Meeting} meeting
 * @param {Person} them
 */
function askMinutes(meeting, them) {
  const minutes = field(t('ask.minutes'), { name: 'minutes', type: 'number', min: 1, max: LIMITS.speakMinutes, step: 1, value: '5', inputmode: 'numeric', required: true });
  show(meeting, t('ask.speak', { name: them.display_name }), [minutes.element], t('deed.let_speak'), () => {
    const n = minutes.input.valueAsNumber;
    if (!Number.isInteger(n) || n < 1 || n > LIMITS.speakMinutes) {
      minutes.complain(t('ask.minutes.wrong', { max: LIMITS.speakMinutes }));
      return null;
    }
    return { type: 'speak.allow', user_id: them.user_id, allowed: true, minutes: n };
  }, 'primary');
}

/**
 * @param {Meeting} meeting
 * @param {string} title
 * @param {(Node | null)[]} parts
 * @param {string} label
 * @param {() => Order | null} order nothing when the form is not right yet
 * @param {'danger' | 'primary'} [mood]
 */
function show(meeting, title, parts, label, order, mood = 'danger') {
  const wrong = trouble();
  const yes = h('button', { type: 'submit', class: `button ${mood}`, data: { action: 'confirm' } }, label);
  const no = h('button', { type: 'button', class: 'button', data: { action: 'cancel' }, onclick: () => dialog.close() }, t('cancel'));
  const form = h('form', { class: 'form', novalidate: true }, ...parts.filter((part) => part !== null), wrong.element, h('div', { class: 'row ends dialog-end' }, no, yes));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const wanted = order();
    if (!wanted) return;
    void busy(yes, wrong, async () => {
      await meeting.ask(wanted);
      dialog.close();
    });
  });
  const dialog = openDialog(title, form);
  (form.querySelector('input') ?? no).focus();
}
