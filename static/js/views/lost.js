// A page that is not there, or a meeting that one cannot enter.

import { h } from '../dom.js';
import { t } from '../i18n.js';
import { entrance } from './entrance.js';

/**
 * @param {import('../main.js').App} app
 * @param {string} title
 * @param {string} text
 * @returns {import('../main.js').View}
 */
export function lostView(app, title, text) {
  const element = entrance(
    app,
    'narrow',
    h('section', { class: 'card centre' }, h('h1', null, title), h('p', { class: 'quiet' }, text), h('a', { class: 'button primary', href: '/', data: { page: 'home' } }, t('home.link'))),
  );
  return { screen: 'lost', title, element, isEntrance: true };
}
