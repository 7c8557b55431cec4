// Between two rooms of one meeting.

import { h } from '../dom.js';
import { t } from '../i18n.js';
import { entrance } from './entrance.js';

/**
 * @param {import('../main.js').App} app
 * @param {string} name of the room to which one goes
 * @returns {import('../main.js').View}
 */
export function movingView(app, name) {
  const words = h('p', { class: 'row quiet', role: 'status' }, h('span', { class: 'spinner', 'aria-hidden': 'true' }), t('breakout.moving', { name }));
  return { screen: 'moving', title: name, element: entrance(app, 'narrow', h('section', { class: 'card' }, words)), isEntrance: true };
}
