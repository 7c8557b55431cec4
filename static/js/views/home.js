// Home: a name, a new meeting, or a link to one.

import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { prefer, preferences } from '../preferences.js';
import { parseInvitation, slugOf } from '../route.js';
import { LIMITS } from '../limits.js';
import { entrance } from './entrance.js';
import { busy, field, trouble } from './form.js';

/**
 * @param {import('../main.js').App} app
 * @returns {import('../main.js').View}
 */
export function homeView(app) {
  const account = app.api.account;
  const name = field(t('name.label'), {
    name: 'display_name',
    autocomplete: 'name',
    autocapitalize: 'words',
    maxlength: LIMITS.displayName,
    value: preferences().name,
    placeholder: t('name.placeholder'),
  });
  name.input.addEventListener('input', () => prefer({ name: name.input.value.trim() }));
  const invitation = field(t('home.invitation'), {
    name: 'invitation',
    autocomplete: 'off',
    spellcheck: 'false',
    placeholder: t('home.invitation.placeholder'),
    inputmode: 'url',
  });
  const startTrouble = trouble();
  const joinTrouble = trouble();
  const mayCreate = account !== null || app.config.guests_may_create_rooms;

  /** The name to go by, or null after asking for one. */
  const chosenName = () => {
    const text = account?.display_name ?? name.input.value.trim();
    if (!text) name.complain(t('name.missing'));
    return text || null;
  };

  const startButton = h('button', { type: 'submit', class: 'button primary wide', data: { action: 'new-meeting' } }, icon('plus'), t('home.new'));
  const start = h('form', { class: 'form', novalidate: true }, account ? null : name.element, mayCreate ? startButton : signInFirst(), startTrouble.element);
  start.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!mayCreate) return;
    const who = chosenName();
    if (!who) return;
    void busy(startButton, startTrouble, async () => {
      await app.api.becomeSomebody(who);
      const room = await app.api.createRoom({ name: t('room.default', { name: who }).slice(0, LIMITS.roomName) });
      app.go(`/r/${room.slug}`);
    });
  });

  const joinButton = h('button', { type: 'submit', class: 'button', data: { action: 'open-invitation' } }, t('home.join'));
  const join = h('form', { class: 'form', novalidate: true }, h('div', { class: 'beside' }, invitation.element, joinButton), joinTrouble.element);
  join.addEventListener('submit', (event) => {
    event.preventDefault();
    const found = parseInvitation(invitation.input.value);
    if (!found) {
      invitation.complain(t('home.invitation.wrong'));
    } else if ('slug' in found) {
      app.go(`/r/${found.slug}${found.code ? `#code=${encodeURIComponent(found.code)}` : ''}`);
    } else if (slugOf(found.word) === found.word) {
      app.go(`/r/${found.word}`);
    } else {
      void busy(joinButton, joinTrouble, async () => {
        const room = await app.api.roomByInvite(found.word);
        app.go(`/r/${room.slug}#code=${encodeURIComponent(found.word)}`);
      });
    }
  });

  const element = entrance(
    app,
    'home',
    h('section', { class: 'hero' }, h('h1', null, t('home.title')), h('p', null, t('home.text'))),
    h(
      'section',
      { class: 'card', 'aria-label': t('home.card') },
      account ? h('h2', null, t('home.hello', { name: account.display_name })) : null,
      start,
      h('div', { class: 'or', role: 'separator' }, h('span', null, t('home.or'))),
      join,
      account
        ? h('a', { class: 'button plain wide', href: '/rooms', data: { page: 'rooms' } }, icon('people'), t('rooms.title'))
        : null,
    ),
  );
  return { screen: 'home', title: '', element, isEntrance: true };
}

function signInFirst() {
  return h(
    'p',
    { class: 'note' },
    icon('info'),
    h('span', null, t('home.accounts_only'), ' ', h('a', { href: '/signin', data: { page: 'signin' } }, t('signin.link'))),
  );
}
