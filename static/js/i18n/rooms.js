// My rooms, in words.

import { catalogue } from '../i18n.js';

export const en = {
  'rooms.loading': 'Loading rooms…',
  'rooms.empty': 'No rooms yet. Create the first one, and its link will always lead to it.',
  'rooms.signed_out': 'Sign in to see your rooms.',
  'rooms.nobody': 'Nobody inside now',
  'rooms.delete': 'Delete room…',
  'rooms.delete.do': 'Delete room',
  'rooms.delete.title': 'Delete “{name}”?',
  'rooms.delete.text': 'The room, its chat and its link will be gone. People who are inside will be asked to leave.',
  'rooms.new': 'New room',
  'rooms.name': 'Name',
  'rooms.name.placeholder': 'Monday meeting',
  'rooms.name.missing': 'Please give the room a name.',
  'rooms.slug': 'Address (if you wish)',
  'rooms.slug.hint': '3 to 64 small Latin letters, digits or dashes.',
  'rooms.slug.taken': 'This address is taken.',
  'rooms.key': 'Invite key (if you wish)',
  'rooms.key.hint': 'A word that people must know to come in.',
  'rooms.create': 'Create room',
  'rooms.cover': 'Picture of the room',
};

/** @type {Record<keyof typeof en, import('../i18n.js').Entry>} */
export const ru = {
  'rooms.loading': 'Загружаем комнаты…',
  'rooms.empty': 'Комнат пока нет. Создайте первую, и её ссылка всегда будет вести к ней.',
  'rooms.signed_out': 'Войдите, чтобы увидеть свои комнаты.',
  'rooms.nobody': 'Внутри сейчас никого',
  'rooms.delete': 'Удалить комнату…',
  'rooms.delete.do': 'Удалить комнату',
  'rooms.delete.title': 'Удалить «{name}»?',
  'rooms.delete.text': 'Исчезнут комната, её чат и ссылка. Тем, кто внутри, придётся выйти.',
  'rooms.new': 'Новая комната',
  'rooms.name': 'Название',
  'rooms.name.placeholder': 'Встреча по понедельникам',
  'rooms.name.missing': 'Дайте комнате название.',
  'rooms.slug': 'Адрес (если хотите)',
  'rooms.slug.hint': 'От 3 до 64 строчных латинских букв, цифр или дефисов.',
  'rooms.slug.taken': 'Этот адрес уже занят.',
  'rooms.key': 'Ключ приглашения (если хотите)',
  'rooms.key.hint': 'Слово, которое нужно знать, чтобы войти.',
  'rooms.create': 'Создать комнату',
  'rooms.cover': 'Картинка комнаты',
};

export const t = catalogue(en, ru);
