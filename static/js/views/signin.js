// Sign in with an account.

import { ApiError } from '../session.js';
import { h } from '../dom.js';
import { t } from '../i18n/account.js';
import { entrance } from './entrance.js';
import { busy, field, trouble } from './form.js';

/**
 * @param {import('../main.js').App} app
 * @returns {import('../main.js').View}
 */
export function signinView(app) {
  const username = field(t('signin.username'), { name: 'username', autocomplete: 'username', spellcheck: 'false' });
  const password = field(t('signin.password'), { name: 'password', type: 'password', autocomplete: 'current-password' });
  const wrong = trouble();
  const button = h('button', { type: 'submit', class: 'button primary wide', data: { action: 'submit-sign-in' } }, t('signin.submit'));
  const form = h('form', { class: 'form', novalidate: true }, username.element, password.element, wrong.element, button);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const credentials = { username: username.input.value.trim(), password: password.input.value };
    if (!credentials.username) return username.complain(t('signin.username.missing'));
    if (!credentials.password) return password.complain(t('signin.password.missing'));
    void busy(button, wrong, async () => {
      try {
        await app.api.login(credentials);
      } catch (error) {
        if (error instanceof ApiError && error.code === 'wrong_credentials') return password.complain(t('error.wrong_credentials'));
        throw error;
      }
      app.go('/');
    });
  });
  const element = entrance(
    app,
    'narrow',
    h(
      'section',
      { class: 'card' },
      h('h1', null, t('signin.title')),
      form,
      app.config.registration === 'closed'
        ? null
        : h('p', { class: 'quiet centre' }, t('signin.no_account'), ' ', h('a', { href: '/register', data: { page: 'register' } }, t('register.link'))),
    ),
  );
  return { screen: 'signin', title: t('signin.title'), element, isEntrance: true };
}
