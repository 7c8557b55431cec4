// Members who are not here, in words.

import { catalogue } from '../i18n.js';

export const en = {
  'absent.count': { one: 'Not here: {n}', other: 'Not here: {n}' },
  'absent.role.owner': 'Owner',
  'absent.role.admin': 'Moderator',
  'absent.role.member': 'Member',
  'absent.role.guest': 'Guest',
};

/** @type {Record<keyof typeof en, import('../i18n.js').Entry>} */
export const ru = {
  'absent.count': { one: 'Нет здесь: {n}', few: 'Нет здесь: {n}', many: 'Нет здесь: {n}', other: 'Нет здесь: {n}' },
  'absent.role.owner': 'Владелец',
  'absent.role.admin': 'Модератор',
  'absent.role.member': 'Участник',
  'absent.role.guest': 'Гость',
};

export const t = catalogue(en, ru);
