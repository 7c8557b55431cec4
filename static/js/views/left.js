// After the call: why it ended, and the way back.

import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { entrance } from './entrance.js';

/**
 * @param {import('../main.js').App} app
 * @param {import('./room.js').RoomVisit} visit
 * @param {import('../meeting.js').Meeting} meeting
 * @returns {import('../main.js').View}
 */
export function leftView(app, visit, meeting) {
  const reason = meeting.state.ended ?? 'left';
  const mayReturn = reason !== 'closed' && reason !== 'banned';
  const { removal, room } = meeting.state;
  const element = entrance(
    app,
    'narrow',
    h(
      'section',
      { class: 'card centre', data: { reason } },
      h('h1', null, t(`ended.${reason}.title`)),
      h('p', { class: 'quiet' }, t(`ended.${reason}.text`, { name: room?.name ?? '' })),
      removal ? h('p', { class: 'quiet removal' }, removal.reason ? t('ended.by_reason', { by: removal.by, reason: removal.reason }) : t('ended.by', { by: removal.by })) : null,
      h(
        'div',
        { class: 'form' },
        mayReturn
          ? h('button', { type: 'button', class: 'button primary wide', data: { action: 'rejoin' }, onclick: () => visit.again() }, icon('retry'), t(reason === 'replaced' ? 'ended.here' : 'ended.rejoin'))
          : null,
        room?.role ? h('a', { class: 'button wide', href: `/r/${room.parent ?? room.slug}/recordings`, data: { page: 'library', action: 'recordings' } }, icon('film'), t('record.library')) : null,
        h('a', { class: 'button wide', href: '/', data: { page: 'home', action: 'home' } }, t('home.link')),
      ),
    ),
  );
  element.querySelector('h1')?.setAttribute('tabindex', '-1');
  queueMicrotask(() => element.querySelector('h1')?.focus({ preventScroll: true }));
  return { screen: 'left', title: t(`ended.${reason}.title`), element, isEntrance: true };
}
