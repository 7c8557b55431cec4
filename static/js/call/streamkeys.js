// Stream keys of a room, for moderators: made for an encoder or a player, shown once, revoked.

import { fill, h, icon } from '../dom.js';
import { t } from '../i18n/roomsettings.js';
import { copyText } from '../copy.js';
import { LIMITS } from '../limits.js';
import { busy, field, trouble, wordsFor } from '../views/form.js';
import { LASTS, moment, select } from './invites.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */
/** @typedef {import('../types.js').StreamKey} StreamKey */

/** @param {Meeting} meeting */
export function streamKeySection(meeting) {
  const slug = meeting.state.room?.slug ?? '';
  const list = h('ul', { class: 'invites' });
  const fresh = h('div', { class: 'form', 'aria-live': 'polite' });
  const wrong = trouble();
  const name = field(t('keys.name'), { name: 'key-name', maxlength: LIMITS.displayName, autocomplete: 'off', placeholder: 'OBS' });
  const purpose = select('key-purpose', t('keys.purpose'), [['publish', t('keys.publish')], ['watch', t('keys.watch')]]);
  const lasts = select('key-lasts', t('keys.lasts'), LASTS.map(([seconds, words]) => [String(seconds), t(words)]));
  lasts.input.value = '0';
  const make = h('button', { type: 'submit', class: 'button', data: { action: 'make-key' } }, icon('plus'), t('keys.make'));
  const form = h('form', { class: 'form invite-form', novalidate: true }, h('div', { class: 'thirds' }, name.element, purpose.element, lasts.element), wrong.element, make);

  const load = async () => {
    const { stream_keys } = await meeting.api.streamKeys(slug);
    fill(list, ...stream_keys.map((key) => row(meeting, key, async () => {
      fill(fresh);
      await load();
    })));
    list.hidden = stream_keys.length === 0;
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (name.input.value.trim() === '') return name.complain(t('keys.name.missing'));
    void busy(make, wrong, async () => {
      const seconds = Number(lasts.input.value);
      const made = await meeting.api.createStreamKey(slug, {
        name: name.input.value,
        purpose: purpose.input.value === 'watch' ? 'watch' : 'publish',
        ...(seconds > 0 ? { expires_in: seconds } : {}),
      });
      name.input.value = '';
      fill(fresh, ...once(slug, made));
      await load();
    });
  });
  load().catch((error) => wrong.say(wordsFor(error)));
  return h(
    'section',
    { 'aria-labelledby': 'keys-title' },
    h('h3', { class: 'section-title', id: 'keys-title' }, t('keys.title')),
    h('p', { class: 'quiet' }, t('keys.hint')),
    list,
    fresh,
    form,
  );
}

/**
 * What an encoder is set up with: the address and the key, which nobody shows again.
 * @param {string} slug
 * @param {StreamKey} made
 */
function once(slug, made) {
  const door = made.purpose === 'publish' ? 'whip' : 'whep';
  return [
    h('p', { class: 'quiet' }, t('keys.once')),
    shown('key-address', t('keys.address'), `${location.origin}/${door}/${slug}`, t('keys.copy_address')),
    shown('key-secret', t('keys.key'), made.key ?? '', t('keys.copy_key')),
  ];
}

/**
 * @param {string} name
 * @param {string} label
 * @param {string} value
 * @param {string} copies
 */
function shown(name, label, value, copies) {
  const input = h('input', { class: 'input', name, id: `field-${name}`, readonly: true, value, spellcheck: 'false', onfocus: () => input.select() });
  const copy = h('button', { type: 'button', class: 'icon-button', 'aria-label': copies, title: copies, data: { action: `copy-${name}` } }, icon('link'));
  copy.addEventListener('click', () => void copyText(value, { done: t('keys.copied'), label: copies }));
  return h('div', { class: 'field' }, h('label', { for: `field-${name}` }, label), h('div', { class: 'row' }, input, copy));
}

/**
 * @param {Meeting} meeting
 * @param {StreamKey} key
 * @param {() => Promise<void>} reload
 */
function row(meeting, key, reload) {
  const wrong = trouble();
  const words = t('keys.revoke', { name: key.name });
  const revoke = h('button', { type: 'button', class: 'icon-button', 'aria-label': words, title: words, data: { action: 'revoke-key' } }, icon('trash'));
  revoke.addEventListener('click', () =>
    busy(revoke, wrong, async () => {
      await meeting.api.revokeStreamKey(meeting.state.room?.slug ?? '', key.id);
      await reload();
      /** @type {HTMLElement | null} */ (document.querySelector('[data-action=make-key]'))?.focus();
    }),
  );
  const state = [
    t(key.purpose === 'publish' ? 'keys.publish' : 'keys.watch'),
    key.expires_ms === undefined ? t('invites.forever') : key.expires_ms <= Date.now() ? t('invites.over') : t('invites.until', { time: moment(key.expires_ms) }),
    key.used_ms === undefined ? t('keys.unused') : t('keys.used', { time: moment(key.used_ms) }),
  ];
  return h(
    'li',
    { class: 'invite', data: { streamkey: key.id } },
    h('div', { class: 'person-words' }, h('span', { class: 'person-name' }, key.name), h('span', { class: 'quiet person-state' }, state.join(' · ')), wrong.element),
    revoke,
  );
}
