// What moderators did, in words; most of them are those by which it was said when it happened.

import { catalogue } from '../i18n.js';

export const en = {
  'audit.title': 'Who did what',
  'audit.none': 'Nothing yet. What moderators do is kept here.',
  'audit.older': 'Earlier',
  'audit.because': '{words}: {reason}',
  'audit.unbanned': '{name} may come again',
  'audit.hand': 'A hand was lowered',
  'audit.hands': 'All hands were lowered',
  'audit.deleted': 'A message of {name} was deleted',
  'audit.pinned': 'A message was pinned',
  'audit.unpinned': 'A message was unpinned',
  'audit.poll_closed': 'A poll was closed',
  'audit.breakout': { one: '{n} breakout room was opened', other: '{n} breakout rooms were opened' },
  'audit.assigned': { one: '{n} person was put into another room', other: '{n} people were put into other rooms' },
  'audit.broadcast': 'To all breakout rooms: {text}',
  'audit.closing': 'Breakout rooms end at {time}',
  'audit.breakout_closed': 'The breakout rooms were closed',
  'audit.room': '“{name}”: name, key or picture of the room were changed',
  'audit.invite': 'An invitation was made',
  'audit.invite_revoked': 'An invitation was revoked',
  'audit.stream_key': 'A stream key was made: {name}',
  'audit.stream_key_revoked': 'A stream key was revoked: {name}',
  'audit.record': 'Recording has begun',
  'audit.state': 'The room settings were changed',
  'audit.other': 'Something else was done ({action})',
};

/** @type {Record<keyof typeof en, import('../i18n.js').Entry>} */
export const ru = {
  'audit.title': 'Кто что сделал',
  'audit.none': 'Пока ничего. Здесь хранится всё, что делают модераторы.',
  'audit.older': 'Раньше',
  'audit.because': '{words}: {reason}',
  'audit.unbanned': '{name}: запрет входа снят',
  'audit.hand': 'Рука опущена',
  'audit.hands': 'Все руки опущены',
  'audit.deleted': 'Удалено сообщение участника {name}',
  'audit.pinned': 'Сообщение закреплено',
  'audit.unpinned': 'Сообщение откреплено',
  'audit.poll_closed': 'Опрос завершён',
  'audit.breakout': { one: 'Открыта {n} малая комната', few: 'Открыты {n} малые комнаты', many: 'Открыто {n} малых комнат', other: 'Открыто {n} малой комнаты' },
  'audit.assigned': { one: '{n} участник переведён в другую комнату', few: '{n} участника переведены в другие комнаты', many: '{n} участников переведены в другие комнаты', other: '{n} участника переведено в другие комнаты' },
  'audit.broadcast': 'Всем малым комнатам: {text}',
  'audit.closing': 'Малые комнаты закроются в {time}',
  'audit.breakout_closed': 'Малые комнаты закрыты',
  'audit.room': '«{name}»: изменены название, ключ или картинка комнаты',
  'audit.invite': 'Создано приглашение',
  'audit.invite_revoked': 'Приглашение отозвано',
  'audit.stream_key': 'Создан ключ трансляции: {name}',
  'audit.stream_key_revoked': 'Отозван ключ трансляции: {name}',
  'audit.record': 'Началась запись',
  'audit.state': 'Изменены настройки комнаты',
  'audit.other': 'Сделано что-то ещё ({action})',
};

export const t = catalogue(en, ru);
