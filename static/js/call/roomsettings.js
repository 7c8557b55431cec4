// The room itself, for moderators: topic, lock, lobby, mute-all, capacity, and who was banned.

import { fill, h, icon } from '../dom.js';
import { dayName } from '../i18n.js';
import { t } from '../i18n/roomsettings.js';
import { openDialog } from '../menu.js';
import { may } from '../powers.js';
import { self } from '../state.js';
import { LIMITS } from '../limits.js';
import { coverField } from '../views/coverfield.js';
import { busy, field, trouble, wordsFor } from '../views/form.js';
import { inviteSection } from './invites.js';
import { streamKeySection } from './streamkeys.js';
import { showAudit } from './later.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */
/** @typedef {import('../types.js').StateChange} StateChange */

const SWITCHES = /** @type {const} */ (['is_locked', 'has_lobby', 'mute_all', 'auto_record']);

/** @param {Meeting} meeting */
export function openRoomSettings(meeting) {
  const wrong = trouble();
  const switches = SWITCHES.map((name) => {
    const input = h('input', { type: 'checkbox', name, id: `room-${name}`, role: 'switch', 'aria-describedby': `room-${name}-hint` });
    input.addEventListener('change', () => {
      wrong.say(null);
      // The server's word moves the switch: until then, and when it says no, it shows what is.
      const wanted = input.checked;
      meeting.ask({ type: 'state.set', [name]: wanted }).catch((error) => {
        input.checked = !wanted;
        wrong.say(wordsFor(error));
      });
    });
    const element = h('label', { class: 'switch', for: `room-${name}` }, h('span', null, h('strong', null, t(`room.${name}`)), h('span', { class: 'quiet hint', id: `room-${name}-hint` }, t(`room.${name}.hint`))), input);
    return { name, input, element };
  });
  const topic = field(t('room.topic'), { name: 'topic', maxlength: LIMITS.topic, autocomplete: 'off', autocapitalize: 'sentences', value: meeting.state.state.topic }, t('room.topic.hint'));
  const capacity = field(t('room.capacity'), { name: 'capacity', type: 'number', min: 1, max: LIMITS.capacity, step: 1, inputmode: 'numeric', value: String(meeting.state.state.capacity) });
  const consent = h('textarea', { class: 'input', name: 'consent', id: 'room-consent', rows: 2, maxlength: LIMITS.consent, 'aria-describedby': 'room-consent-hint' });
  consent.value = meeting.state.state.record_consent ?? '';
  const consentField = h('div', { class: 'field' }, h('label', { for: 'room-consent' }, t('room.consent')), consent, h('p', { class: 'hint', id: 'room-consent-hint' }, t('room.consent.hint')));
  const save = h('button', { type: 'submit', class: 'button primary', data: { action: 'save-room' } }, t('save'));
  const saved = h('span', { class: 'quiet', role: 'status' });
  const form = h('form', { class: 'form', novalidate: true }, topic.element, capacity.element, consentField, wrong.element, h('div', { class: 'row ends' }, saved, save));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const n = capacity.input.valueAsNumber;
    if (!Number.isInteger(n) || n < 1 || n > LIMITS.capacity) return capacity.complain(t('room.capacity.wrong', { max: LIMITS.capacity }));
    /** @type {StateChange} */
    const change = {};
    const { state } = meeting.state;
    if (topic.input.value.trim() !== state.topic) change.topic = topic.input.value.trim();
    if (n !== state.capacity) change.capacity = n;
    if (consent.value.trim() !== (state.record_consent ?? '')) change.record_consent = consent.value.trim();
    saved.textContent = '';
    void busy(save, wrong, async () => {
      if (Object.keys(change).length > 0) await meeting.ask({ type: 'state.set', ...change });
      saved.textContent = t('saved');
    });
  });

  const bans = h('div', { class: 'bans' });
  const draw = () => {
    if (!may(self(meeting.state)?.role, 'set_state')) return dialog.close();
    for (const { name, input } of switches) input.checked = meeting.state.state[name] ?? false;
  };
  const cover = may(self(meeting.state)?.role, 'update') && meeting.state.room ? coverField(meeting.api, meeting.state.room.slug) : null;
  const log = h('button', { type: 'button', class: 'button', data: { action: 'audit' } }, icon('clock'), t('room.audit'));
  log.addEventListener('click', () => {
    dialog.close();
    showAudit(meeting);
  });
  const dialog = openDialog(t('room.title'), h('div', { class: 'form room-settings' }, ...switches.map(({ element }) => element), form, inviteSection(meeting), streamKeySection(meeting), ...(cover ? [cover] : []), bans, log));
  const stop = meeting.store.subscribe(draw);
  dialog.addEventListener('close', stop);
  draw();
  void loadBans(meeting, bans);
}

/**
 * @param {Meeting} meeting
 * @param {HTMLElement} place
 */
async function loadBans(meeting, place) {
  const slug = meeting.state.room?.slug;
  if (!slug) return;
  try {
    const { bans } = await meeting.api.bans(slug);
    fill(place, h('h3', { class: 'section-title' }, t('bans.title')), bans.length === 0 ? h('p', { class: 'quiet' }, t('bans.none')) : h('ul', null, ...bans.map((ban) => row(meeting, ban, place))));
  } catch (error) {
    fill(place, h('p', { class: 'note bad', role: 'alert' }, icon('warn'), h('span', null, wordsFor(error))));
  }
}

/**
 * @param {Meeting} meeting
 * @param {import('../types.js').Ban} ban
 * @param {HTMLElement} place
 */
function row(meeting, ban, place) {
  const wrong = trouble();
  const about = [t('bans.by', { name: ban.by.display_name, day: dayName(ban.banned_ms, Date.now()) }), ban.reason ?? ''].filter(Boolean).join(' · ');
  const button = h('button', { type: 'button', class: 'button slim', 'aria-label': t('bans.end.named', { name: ban.display_name }), data: { action: 'unban' } }, t('bans.end'));
  button.addEventListener('click', () =>
    busy(button, wrong, async () => {
      await meeting.ask({ type: 'member.unban', user_id: ban.user_id });
      await loadBans(meeting, place);
    }),
  );
  return h('li', { class: 'ban', data: { name: ban.display_name } }, h('div', { class: 'person-words' }, h('span', { class: 'person-name' }, ban.display_name), h('span', { class: 'quiet person-state' }, about), wrong.element), button);
}
