// The frame of every page before and after a call: mark, language, theme, account.

import { h, icon } from '../dom.js';
import { currentLanguage, t } from '../i18n.js';
import { toggleMenu } from '../menu.js';
import { preferences } from '../preferences.js';
import { avatar } from '../avatar.js';

/** @typedef {import('../main.js').App} App */

/**
 * @param {App} app
 * @param {string} className of `main`
 * @param {...(Node | string | null)} content
 */
export function entrance(app, className, ...content) {
  return h(
    'div',
    { class: 'entrance' },
    h(
      'header',
      { class: 'top' },
      h('a', { class: 'brand', href: '/', data: { page: 'home' } }, icon('logo'), h('span', null, app.config.app_name)),
      h('div', { class: 'row' }, languageButton(app), themeButton(app), accountButton(app)),
    ),
    h('main', { class: className }, ...content.filter((part) => part !== null)),
  );
}

/** @param {App} app */
function languageButton(app) {
  const other = currentLanguage() === 'ru' ? 'en' : 'ru';
  return h(
    'button',
    {
      type: 'button',
      class: 'icon-button letters',
      lang: other,
      'aria-label': other === 'ru' ? 'Русский язык' : 'English language',
      title: other === 'ru' ? 'Русский' : 'English',
      data: { action: 'language' },
      onclick: () => app.setLanguage(other),
    },
    other === 'ru' ? 'Ру' : 'En',
  );
}

const THEMES = /** @type {const} */ (['auto', 'light', 'dark']);
const THEME_ICONS = { auto: 'auto', light: 'sun', dark: 'moon' };

/** @param {App} app */
function themeButton(app) {
  const button = h('button', { type: 'button', class: 'icon-button', data: { action: 'theme' } });
  const draw = () => {
    const { theme } = preferences();
    const text = t('theme.button', { theme: t(`theme.${theme}`) });
    button.setAttribute('aria-label', text);
    button.title = text;
    button.replaceChildren(icon(THEME_ICONS[theme]));
  };
  button.addEventListener('click', () => {
    const next = THEMES[(THEMES.indexOf(preferences().theme) + 1) % THEMES.length] ?? 'auto';
    app.setTheme(next);
    draw();
  });
  draw();
  return button;
}

/** @param {App} app */
function accountButton(app) {
  const account = app.api.account;
  if (!account) {
    return h('a', { class: 'button slim', href: '/signin', data: { page: 'signin', action: 'sign-in' } }, t('signin.link'));
  }
  const button = h(
    'button',
    { type: 'button', class: 'icon-button', 'aria-label': t('account.menu', { name: account.display_name }), 'aria-haspopup': 'menu', 'aria-expanded': 'false', data: { action: 'account' } },
    avatar(account.display_name, account.id),
  );
  button.addEventListener('click', () =>
    toggleMenu(button, t('account.menu', { name: account.display_name }), () => [
      { heading: account.display_name },
      { label: t('rooms.title'), icon: 'people', action: 'rooms', pick: () => app.go('/rooms') },
      {
        label: t('account.signout'),
        icon: 'arrow-right',
        action: 'sign-out',
        pick: () => {
          void app.api.logout();
          app.go('/');
        },
      },
    ]),
  );
  return button;
}
