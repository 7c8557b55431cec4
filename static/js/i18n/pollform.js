// A new poll, in words.

import { catalogue } from '../i18n.js';

export const en = {
  'poll.question': 'Question',
  'poll.question.missing': 'Please ask something.',
  'poll.answer': 'Answer {n}',
  'poll.answers.missing': 'A poll needs two answers or more.',
  'poll.add': 'One more answer',
  'poll.several': 'Several answers may be chosen',
  'poll.ask': 'Ask',
};

/** @type {Record<keyof typeof en, import('../i18n.js').Entry>} */
export const ru = {
  'poll.question': 'Вопрос',
  'poll.question.missing': 'Задайте вопрос.',
  'poll.answer': 'Ответ {n}',
  'poll.answers.missing': 'Нужны хотя бы два ответа.',
  'poll.add': 'Ещё ответ',
  'poll.several': 'Можно выбрать несколько',
  'poll.ask': 'Спросить',
};

export const t = catalogue(en, ru);
