// Make an account; with a set-up token, the first administrator's.

import { ApiError } from '../session.js';
import { h, icon } from '../dom.js';
import { t } from '../i18n/account.js';
import { LIMITS } from '../limits.js';
import { preferences } from '../preferences.js';
import { entrance } from './entrance.js';
import { busy, field, trouble } from './form.js';

const USERNAME = /^[A-Za-z0-9_.-]{3,32}$/;
const MIN_PASSWORD = 8;

/**
 * @param {import('../main.js').App} app
 * @param {string | null} setupToken
 * @returns {import('../main.js').View}
 */
export function registerView(app, setupToken) {
  const title = setupToken ? t('register.setup') : t('register.title');
  const asksSecret = app.config.registration === 'secret' && !setupToken;
  const name = field(t('name.label'), { name: 'display_name', autocomplete: 'name', autocapitalize: 'words', maxlength: LIMITS.displayName, value: preferences().name });
  const username = field(t('register.username'), { name: 'username', autocomplete: 'username', spellcheck: 'false', maxlength: 32 }, t('register.username.hint'));
  const email = field(t('register.email'), { name: 'email', type: 'email', autocomplete: 'email' });
  const password = field(t('signin.password'), { name: 'password', type: 'password', autocomplete: 'new-password' }, t('register.password.hint', { n: MIN_PASSWORD }));
  const secret = field(t('register.secret'), { name: 'registration_secret', type: 'password', autocomplete: 'off' }, t('register.secret.hint'));
  const wrong = trouble();
  const button = h('button', { type: 'submit', class: 'button primary wide', data: { action: 'submit-register' } }, t('register.submit'));
  const form = h(
    'form',
    { class: 'form', novalidate: true },
    name.element,
    username.element,
    email.element,
    password.element,
    asksSecret ? secret.element : null,
    wrong.element,
    button,
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!USERNAME.test(username.input.value.trim())) return username.complain(t('register.username.hint'));
    if (!/^\S+@\S+$/.test(email.input.value.trim())) return email.complain(t('register.email.wrong'));
    if ([...password.input.value].length < MIN_PASSWORD) return password.complain(t('register.password.hint', { n: MIN_PASSWORD }));
    if (asksSecret && !secret.input.value) return secret.complain(t('register.secret.hint'));
    const displayName = name.input.value.trim();
    void busy(button, wrong, async () => {
      try {
        await app.api.register({
          email: email.input.value.trim(),
          username: username.input.value.trim(),
          password: password.input.value,
          ...(displayName ? { display_name: displayName } : {}),
          ...(asksSecret ? { registration_secret: secret.input.value } : {}),
          ...(setupToken ? { setup_token: setupToken } : {}),
        });
      } catch (error) {
        if (error instanceof ApiError && error.code === 'wrong_secret' && asksSecret) return secret.complain(t('error.wrong_secret'));
        if (error instanceof ApiError && error.code === 'wrong_secret' && setupToken) return wrong.say(t('register.setup.used'));
        if (error instanceof ApiError && error.code === 'taken') return username.complain(t('register.taken'));
        throw error;
      }
      app.go('/', { replace: true });
    });
  });
  const isClosed = app.config.registration === 'closed' && !setupToken;
  const element = entrance(
    app,
    'narrow',
    h(
      'section',
      { class: 'card' },
      h('h1', null, title),
      setupToken ? h('p', { class: 'quiet' }, t('register.setup.text')) : null,
      isClosed ? h('p', { class: 'note' }, icon('info'), h('span', null, t('error.registration_closed'))) : form,
      h('p', { class: 'quiet centre' }, t('register.have_account'), ' ', h('a', { href: '/signin', data: { page: 'signin' } }, t('signin.link'))),
    ),
  );
  return { screen: 'register', title, element, isEntrance: true };
}
