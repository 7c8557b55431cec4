// My rooms: those I am a member of, and making a new one.

import { ApiError } from '../session.js';
import { avatar } from '../avatar.js';
import { copyLink } from '../copy.js';
import { coverOf } from '../cover.js';
import { fill, h, icon } from '../dom.js';
import { t } from '../i18n/rooms.js';
import { openDialog, toggleMenu } from '../menu.js';
import { may } from '../powers.js';
import { linkTo, slugOf } from '../route.js';
import { LIMITS } from '../limits.js';
import { coverField } from './coverfield.js';
import { entrance } from './entrance.js';
import { busy, field, trouble, wordsFor } from './form.js';

/**
 * @param {import('../main.js').App} app
 * @returns {import('../main.js').View}
 */
export function roomsView(app) {
  const list = h('div', { class: 'room-list' });
  const element = entrance(app, 'rooms', h('h1', null, t('rooms.title')), h('div', { class: 'columns' }, list, app.api.user ? createCard(app) : null));
  if (app.api.user) void load(app, list);
  else fill(list, h('p', { class: 'note' }, icon('info'), h('span', null, t('rooms.signed_out'), ' ', h('a', { href: '/signin', data: { page: 'signin' } }, t('signin.link')))));
  return { screen: 'rooms', title: t('rooms.title'), element, isEntrance: true };
}

/**
 * @param {import('../main.js').App} app
 * @param {HTMLElement} list
 */
async function load(app, list) {
  fill(list, h('p', { class: 'row quiet' }, h('span', { class: 'spinner', 'aria-hidden': 'true' }), t('rooms.loading')));
  try {
    const { rooms } = await app.api.rooms();
    if (rooms.length === 0) fill(list, h('p', { class: 'quiet' }, t('rooms.empty')));
    else fill(list, h('ul', null, ...rooms.map((room) => row(app, room, list))));
  } catch (error) {
    fill(
      list,
      h(
        'div',
        { class: 'note bad', role: 'alert' },
        icon('warn'),
        h('span', null, wordsFor(error)),
        h('button', { type: 'button', class: 'button slim', onclick: () => load(app, list) }, t('retry')),
      ),
    );
  }
}

/**
 * @param {import('../main.js').App} app
 * @param {import('../types.js').Room} room
 * @param {HTMLElement} list
 */
function row(app, room, list) {
  const { name, slug } = room;
  const more = h('button', { type: 'button', class: 'icon-button', 'aria-haspopup': 'menu', 'aria-expanded': 'false', 'aria-label': t('tile.menu', { name }), title: t('tile.menu.short'), data: { action: 'room-menu' } }, icon('more'));
  more.addEventListener('click', () =>
    toggleMenu(more, name, () => [
      { heading: name },
      { label: t('copy_link'), icon: 'link', action: 'copy-link', pick: () => void copyLink(linkTo(location.origin, room)) },
      { label: t('record.library'), icon: 'film', action: 'recordings', pick: () => app.go(`/r/${slug}/recordings`) },
      ...(may(room.role, 'update') ? [{ label: t('rooms.cover'), icon: 'picture', action: 'room-cover', pick: () => openCover(app, room, list) }] : []),
      ...(room.role === 'owner' ? [{ label: t('rooms.delete'), icon: 'trash', action: 'delete-room', isGrave: true, pick: () => confirmDelete(app, room, list) }] : []),
    ]),
  );
  return h(
    'li',
    { class: 'room', data: { slug: room.slug } },
    h(
      'a',
      { class: 'room-link', href: `/r/${room.slug}`, data: { page: 'room' } },
      coverOf(app.api, room, 'thumb') ?? h('span', { class: 'thumb' }, avatar(room.name, room.id)),
      h(
        'span',
        { class: 'room-words' },
        h('strong', null, room.name),
        h(
          'span',
          { class: 'quiet' },
          room.has_invite_key ? icon('lock', 'small') : null,
          room.participants > 0 ? t('rooms.inside', { n: room.participants }) : t('rooms.nobody'),
        ),
      ),
    ),
    more,
  );
}

/**
 * @param {import('../main.js').App} app
 * @param {import('../types.js').Room} room
 * @param {HTMLElement} list
 */
function openCover(app, room, list) {
  let isChanged = false;
  const dialog = openDialog(room.name, coverField(app.api, room.slug, () => (isChanged = true)));
  dialog.addEventListener('close', () => isChanged && void load(app, list));
}

/**
 * @param {import('../main.js').App} app
 * @param {import('../types.js').Room} room
 * @param {HTMLElement} list
 */
function confirmDelete(app, room, list) {
  const wrong = trouble();
  const yes = h('button', { type: 'button', class: 'button danger', data: { action: 'confirm-delete' } }, t('rooms.delete.do'));
  const dialog = openDialog(t('rooms.delete.title', { name: room.name }), h('p', { class: 'quiet' }, t('rooms.delete.text')), wrong.element, h('div', { class: 'row ends dialog-end' }, h('span'), yes));
  yes.addEventListener('click', () =>
    busy(yes, wrong, async () => {
      await app.api.deleteRoom(room.slug);
      dialog.close();
      await load(app, list);
    }),
  );
}

/** @param {import('../main.js').App} app */
function createCard(app) {
  const name = field(t('rooms.name'), { name: 'name', maxlength: LIMITS.roomName, autocomplete: 'off', autocapitalize: 'sentences', placeholder: t('rooms.name.placeholder') });
  const slug = field(t('rooms.slug'), { name: 'slug', maxlength: 64, autocomplete: 'off', spellcheck: 'false' }, t('rooms.slug.hint'));
  const key = field(t('rooms.key'), { name: 'invite_key', maxlength: LIMITS.inviteKey, autocomplete: 'off', spellcheck: 'false' }, t('rooms.key.hint'));
  const wrong = trouble();
  const button = h('button', { type: 'submit', class: 'button primary wide', data: { action: 'create-room' } }, t('rooms.create'));
  const form = h('form', { class: 'form', novalidate: true }, name.element, slug.element, key.element, wrong.element, button);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const address = slug.input.value.trim();
    if (!name.input.value.trim()) return name.complain(t('rooms.name.missing'));
    if (address && slugOf(address) !== address) return slug.complain(t('rooms.slug.hint'));
    void busy(button, wrong, async () => {
      try {
        const room = await app.api.createRoom({
          name: name.input.value.trim(),
          ...(address ? { slug: address } : {}),
          ...(key.input.value ? { invite_key: key.input.value } : {}),
        });
        app.go(`/r/${room.slug}`);
      } catch (error) {
        if (error instanceof ApiError && error.code === 'taken') return slug.complain(t('rooms.slug.taken'));
        throw error;
      }
    });
  });
  return h('section', { class: 'card' }, h('h2', null, t('rooms.new')), form);
}
