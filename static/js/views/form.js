// Forms that answer at once: busy while the server thinks, wrong where it is wrong.

import { ApiError } from '../session.js';
import { h, icon } from '../dom.js';
import { errorText } from '../i18n.js';

/**
 * A labelled field.
 * @param {string} label
 * @param {Record<string, unknown>} props of the input
 * @param {string} [hint]
 */
export function field(label, props, hint) {
  const id = `field-${String(props.name)}`;
  const wrong = h('p', { class: 'wrong', id: `${id}-wrong`, hidden: true });
  const input = h('input', {
    class: 'input',
    id,
    autocapitalize: 'off',
    'aria-describedby': hint ? `${id}-hint ${id}-wrong` : `${id}-wrong`,
    ...props,
  });
  const element = h('div', { class: 'field' }, h('label', { for: id }, label), input, hint ? h('p', { class: 'hint', id: `${id}-hint` }, hint) : null, wrong);
  input.addEventListener('input', () => complain(null));
  /** @param {string | null} text */
  function complain(text) {
    wrong.textContent = text ?? '';
    wrong.hidden = !text;
    if (text) {
      input.setAttribute('aria-invalid', 'true');
      input.focus();
    } else {
      input.removeAttribute('aria-invalid');
    }
  }
  return { element, input, complain };
}

/**
 * A line for what went wrong with the whole form; empty it takes no room.
 */
export function trouble() {
  const text = h('span');
  const element = h('p', { class: 'note bad', role: 'alert', hidden: true }, icon('warn'), text);
  return {
    element,
    /** @param {string | null} message */
    say(message) {
      text.textContent = message ?? '';
      element.hidden = !message;
    },
  };
}

/**
 * Runs `work` with the button busy; what it throws is said in words.
 * @param {HTMLButtonElement} button
 * @param {{say: (message: string | null) => void}} place
 * @param {() => Promise<void>} work
 */
export async function busy(button, place, work) {
  if (button.getAttribute('aria-busy') === 'true') return;
  place.say(null);
  button.setAttribute('aria-busy', 'true');
  const wheel = h('span', { class: 'spinner', 'aria-hidden': 'true' });
  button.prepend(wheel);
  try {
    await work();
  } catch (error) {
    place.say(wordsFor(error));
  } finally {
    wheel.remove();
    button.removeAttribute('aria-busy');
  }
}

/** @param {unknown} error */
export function wordsFor(error) {
  if (error instanceof ApiError) return errorText(error.code);
  console.error(error);
  return errorText(error instanceof Error && 'code' in error ? String(error.code) : 'internal');
}
