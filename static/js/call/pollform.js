// The form that asks a new poll.

import { h, icon } from '../dom.js';
import { t } from '../i18n/pollform.js';
import { openDialog } from '../menu.js';
import { LIMITS } from '../limits.js';
import { field } from '../views/form.js';

/**
 * @param {(poll: import('../types.js').NewPoll) => void} send
 */
export function openPollForm(send) {
  const question = field(t('poll.question'), { name: 'question', maxlength: LIMITS.question, autocomplete: 'off', autocapitalize: 'sentences' });
  const list = h('div', { class: 'form poll-form' });
  const multiple = h('input', { type: 'checkbox', name: 'multiple', id: 'poll-multiple' });
  const add = h('button', { type: 'button', class: 'button slim', data: { action: 'add-option' } }, icon('plus', 'small'), t('poll.add'));
  /** @type {ReturnType<typeof field>[]} */
  const options = [];
  const more = () => {
    const option = field(t('poll.answer', { n: options.length + 1 }), { name: `option-${options.length}`, maxlength: LIMITS.option, autocomplete: 'off', autocapitalize: 'sentences' });
    options.push(option);
    list.append(option.element);
    add.hidden = options.length >= LIMITS.options;
    return option;
  };
  more();
  more();
  add.addEventListener('click', () => more().input.focus());
  const form = h(
    'form',
    { class: 'form', novalidate: true },
    question.element,
    list,
    add,
    h('label', { class: 'row check', for: 'poll-multiple' }, multiple, t('poll.several')),
    h('div', { class: 'row ends dialog-end' }, h('span'), h('button', { type: 'submit', class: 'button primary', data: { action: 'send-poll' } }, t('poll.ask'))),
  );
  const dialog = openDialog(t('poll.new'), form);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const asked = question.input.value.trim();
    const answers = options.map((option) => option.input.value.trim()).filter(Boolean);
    if (!asked) return question.complain(t('poll.question.missing'));
    if (answers.length < 2) return options.find((option) => option.input.value.trim() === '')?.complain(t('poll.answers.missing'));
    send({ question: asked, options: answers, is_multiple: multiple.checked });
    dialog.close();
  });
  question.input.focus();
}
