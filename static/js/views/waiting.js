// The lobby: a moderator is asked to let the person in, who sees meanwhile that camera and microphone work.

import { coverOf } from '../cover.js';
import { h } from '../dom.js';
import { t } from '../i18n.js';
import { entrance } from './entrance.js';
import { previewOf } from './prejoin.js';

/**
 * @param {import('../main.js').App} app
 * @param {import('./room.js').RoomVisit} visit
 * @param {import('../meeting.js').Meeting} meeting
 * @returns {import('../main.js').View}
 */
export function waitingView(app, visit, meeting) {
  const preview = previewOf(visit.devices());
  const name = meeting.state.room?.name ?? '';
  const title = h('h1', { tabindex: '-1' }, t('waiting.title'));
  const element = entrance(
    app,
    'prejoin',
    h('section', { class: 'mirror', 'aria-label': t('prejoin.preview') }, preview.element),
    h(
      'section',
      { class: 'card' },
      meeting.state.room ? coverOf(meeting.api, meeting.state.room, 'door-cover') : null,
      title,
      h('p', { class: 'quiet' }, t('waiting.text', { name })),
      h('p', { class: 'row quiet', role: 'status' }, h('span', { class: 'spinner', 'aria-hidden': 'true' }), t('waiting.now')),
      h('button', { type: 'button', class: 'button wide', data: { action: 'leave' }, onclick: () => meeting.leave() }, t('waiting.leave')),
    ),
  );
  queueMicrotask(() => title.focus({ preventScroll: true }));
  return { screen: 'waiting', title: name || t('waiting.title'), element, isEntrance: true, dispose: () => preview.stop() };
}
