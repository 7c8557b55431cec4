// Invites of a room, for moderators: made with an end, a number of uses and a role; shown again, copied, revoked.

import { fill, h, icon } from '../dom.js';
import { currentLanguage } from '../i18n.js';
import { t } from '../i18n/roomsettings.js';
import { outranks } from '../powers.js';
import { self } from '../state.js';
import { LIMITS } from '../limits.js';
import { busy, field, trouble, wordsFor } from '../views/form.js';
import { copyLink } from '../copy.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */
/** @typedef {import('../types.js').Invite} Invite */

/** How long an invite may be good for, in seconds; 0 is without end. */
export const LASTS = /** @type {const} */ ([
  [3_600, 'invites.hour'],
  [86_400, 'invites.day'],
  [604_800, 'invites.week'],
  [2_592_000, 'invites.month'],
  [0, 'invites.forever'],
]);

/** @param {Meeting} meeting */
export function inviteSection(meeting) {
  const list = h('ul', { class: 'invites' });
  const wrong = trouble();
  const roles = /** @type {const} */ (['guest', 'member', 'admin']);
  const mine = self(meeting.state)?.role ?? 'guest';
  const role = select('invite-role', t('invites.role'), roles.filter((r) => outranks(mine, r)).map((r) => [r, t(`invites.role.${r}`)]));
  const lasts = select('invite-lasts', t('invites.lasts'), LASTS.map(([seconds, words]) => [String(seconds), t(words)]));
  lasts.input.value = '86400';
  const uses = field(t('invites.uses'), { name: 'invite-uses', type: 'number', min: 1, max: LIMITS.inviteUses, step: 1, inputmode: 'numeric', placeholder: t('invites.uses.any') });
  const make = h('button', { type: 'submit', class: 'button', data: { action: 'make-invite' } }, icon('plus'), t('invites.make'));
  const form = h('form', { class: 'form invite-form', novalidate: true }, h('div', { class: 'thirds' }, role.element, lasts.element, uses.element), wrong.element, make);
  const slug = meeting.state.room?.slug ?? '';

  const load = async () => {
    const { invites } = await meeting.api.invites(slug);
    fill(list, ...invites.map((invite) => row(meeting, invite, load)));
    list.hidden = invites.length === 0;
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const n = uses.input.value === '' ? null : uses.input.valueAsNumber;
    if (n !== null && (!Number.isInteger(n) || n < 1 || n > LIMITS.inviteUses)) return uses.complain(t('ask.minutes.wrong', { max: LIMITS.inviteUses }));
    void busy(make, wrong, async () => {
      const seconds = Number(lasts.input.value);
      await meeting.api.createInvite(slug, {
        role: /** @type {import('../types.js').Role} */ (role.input.value),
        ...(n === null ? {} : { max_uses: n }),
        ...(seconds > 0 ? { expires_in: seconds } : {}),
      });
      await load();
    });
  });
  load().catch((error) => wrong.say(wordsFor(error)));
  return h('section', { 'aria-labelledby': 'invites-title' }, h('h3', { class: 'section-title', id: 'invites-title' }, t('invites.title')), list, form);
}

/**
 * @param {Meeting} meeting
 * @param {Invite} invite
 * @param {() => Promise<void>} reload
 */
function row(meeting, invite, reload) {
  const wrong = trouble();
  const slug = meeting.state.room?.slug ?? '';
  const link = invite.code ? `${location.origin}/r/${slug}#code=${encodeURIComponent(invite.code)}` : null;
  const revoke = h('button', { type: 'button', class: 'icon-button', 'aria-label': t('invites.revoke'), title: t('invites.revoke'), data: { action: 'revoke-invite' } }, icon('trash'));
  revoke.addEventListener('click', () =>
    busy(revoke, wrong, async () => {
      await meeting.api.revokeInvite(slug, invite.id);
      await reload();
      /** @type {HTMLElement | null} */ (document.querySelector('[data-action=make-invite]'))?.focus();
    }),
  );
  const words = [
    invite.max_uses === undefined ? t('invites.used', { n: invite.uses }) : t('invites.used_of', { n: invite.uses, max: invite.max_uses }),
    invite.expires_ms === undefined ? t('invites.forever') : invite.expires_ms <= Date.now() ? t('invites.over') : t('invites.until', { time: moment(invite.expires_ms) }),
  ];
  return h(
    'li',
    { class: 'invite', data: { invite: invite.id } },
    h('div', { class: 'person-words' }, h('span', { class: 'person-name' }, t(`invites.role.${invite.role === 'owner' ? 'admin' : invite.role}`)), h('span', { class: 'quiet person-state' }, words.join(' · ')), wrong.element),
    link ? h('button', { type: 'button', class: 'icon-button', 'aria-label': t('invites.copy'), title: t('invites.copy'), data: { action: 'copy-invite', link }, onclick: () => void copyLink(link) }, icon('link')) : null,
    revoke,
  );
}

/** @param {number} ms */
export function moment(ms) {
  return new Intl.DateTimeFormat(currentLanguage(), { dateStyle: 'medium', timeStyle: 'short' }).format(ms);
}

/**
 * @param {string} name
 * @param {string} label
 * @param {[string, string][]} options
 */
export function select(name, label, options) {
  const input = h('select', { class: 'input', name, id: `field-${name}` }, ...options.map(([value, text]) => h('option', { value }, text)));
  return { input, element: h('div', { class: 'field' }, h('label', { for: `field-${name}` }, label), input) };
}
