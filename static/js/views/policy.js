// What a room decides about its recordings: who may see them, how long they stay, how much room they take. For its owner.

import { h, icon } from '../dom.js';
import { t } from '../i18n/library.js';
import { busy, field, trouble, wordsFor } from './form.js';

const AUDIENCES = /** @type {const} */ (['owner', 'admins', 'present', 'link']);
/** Days and megabytes that the form takes: a century, and a petabyte. */
const MAX_DAYS = 36_500;
const MAX_MB = 1_000_000_000;

/**
 * @param {import('../recordings.js').Recordings} recordings
 * @param {string} slug
 */
export function policyForm(recordings, slug) {
  const audience = h('select', { class: 'input', name: 'recordings_for', id: 'field-recordings_for' }, ...AUDIENCES.map((who) => h('option', { value: who }, t(`policy.for.${who}`))));
  const days = field(t('policy.days'), { name: 'kept_days', type: 'number', min: 1, max: MAX_DAYS, step: 1, inputmode: 'numeric', placeholder: t('policy.forever') });
  const quota = field(t('policy.quota'), { name: 'quota_mb', type: 'number', min: 1, max: MAX_MB, step: 1, inputmode: 'numeric', placeholder: t('policy.any') });
  const wrong = trouble();
  const save = h('button', { type: 'submit', class: 'button', data: { action: 'save-policy' } }, t('save'));
  const saved = h('span', { class: 'quiet', role: 'status' });
  const form = h(
    'form',
    { class: 'form', novalidate: true },
    h('div', { class: 'field' }, h('label', { for: 'field-recordings_for' }, t('policy.for')), audience),
    h('div', { class: 'thirds' }, days.element, quota.element),
    wrong.element,
    h('div', { class: 'row ends' }, saved, save),
  );
  /** @param {import('../recordings.js').RecordingPolicy} policy */
  const show = ({ recordings_for, kept_days, quota_mb }) => {
    audience.value = recordings_for;
    days.input.value = kept_days === undefined ? '' : String(kept_days);
    quota.input.value = quota_mb === undefined ? '' : String(quota_mb);
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const kept = wanted(days, MAX_DAYS);
    const size = wanted(quota, MAX_MB);
    if (kept === null || size === null) return;
    saved.textContent = '';
    void busy(save, wrong, async () => {
      const policy = { recordings_for: /** @type {(typeof AUDIENCES)[number]} */ (audience.value), ...(kept ? { kept_days: kept } : {}), ...(size ? { quota_mb: size } : {}) };
      show(await recordings.setPolicy(slug, policy));
      saved.textContent = t('saved');
    });
  });
  const element = h('details', { class: 'devices policy' }, h('summary', null, icon('settings'), t('policy.title')), form);
  element.addEventListener('toggle', () => {
    if (element.open) recordings.policy(slug).then(show, (error) => wrong.say(wordsFor(error)));
  });
  return element;
}

/**
 * A number that was asked for, 0 for none, or null when it is wrong, which is said.
 * @param {ReturnType<typeof field>} of
 * @param {number} max
 */
function wanted({ input, complain }, max) {
  if (input.value === '') return 0;
  const n = input.valueAsNumber;
  if (Number.isInteger(n) && n >= 1 && n <= max) return n;
  complain(t('ask.minutes.wrong', { max }));
  return null;
}
