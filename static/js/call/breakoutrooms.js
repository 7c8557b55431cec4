// Breakout rooms: opened with people shared out by hand or by chance, seen, spoken to and closed by moderators; chosen
// from by everybody where everybody may choose.

import { breakoutHere, shareOut } from '../breakouts.js';
import { h, icon, keyed, setText } from '../dom.js';
import { listOf } from '../i18n.js';
import { t } from '../i18n/breakoutrooms.js';
import { LIMITS } from '../limits.js';
import { openDialog } from '../menu.js';
import { may } from '../powers.js';
import { self } from '../state.js';
import { busy, field, trouble } from '../views/form.js';
import { timeLeft } from './notes.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */
/** @typedef {import('../types.js').By} By */
/** @typedef {import('../types.js').Breakout} Breakout */

/** Seconds between the word that rooms close and their end. */
const CLOSE_S = 60;

/**
 * @param {import('../main.js').App} app
 * @param {Meeting} meeting
 */
export function openBreakouts(app, meeting) {
  const body = h('div', { class: 'form breakouts' });
  const dialog = openDialog(t('breakout.title'), body);
  /** @type {{element: HTMLElement, draw: () => void} | null} */
  let part = null;
  let wasOpen = /** @type {boolean | null} */ (null);
  const draw = () => {
    const { breakouts, phase } = meeting.state;
    const isModerator = may(self(meeting.state)?.role, 'break_out');
    if (phase === 'ended' || (!isModerator && !breakouts?.self_choice)) return dialog.close();
    const isOpen = breakouts !== null;
    if (isOpen !== wasOpen) {
      wasOpen = isOpen;
      part = isOpen ? running(app, meeting, isModerator, () => dialog.close()) : plan(meeting);
      body.replaceChildren(part.element);
    }
    part?.draw();
  };
  const stop = meeting.store.subscribe(draw);
  const ticker = setInterval(() => part?.draw(), 1000);
  dialog.addEventListener('close', () => {
    stop();
    clearInterval(ticker);
  });
  draw();
}

// ---- Before they are open ----

/** @param {Meeting} meeting */
function plan(meeting) {
  /** Where people are put; who is not named stays in the main room.
   * @type {Map<string, number>} */
  const places = new Map();
  const count = field(t('breakout.count'), { name: 'breakout-count', type: 'number', min: 1, max: LIMITS.breakouts, step: 1, value: '2', inputmode: 'numeric' });
  const minutes = field(t('breakout.minutes'), { name: 'breakout-minutes', type: 'number', min: 1, max: LIMITS.breakoutMinutes, step: 1, inputmode: 'numeric', placeholder: t('breakout.minutes.any') });
  const choice = h('input', { type: 'checkbox', name: 'self-choice', id: 'breakout-choice' });
  const mix = h('button', { type: 'button', class: 'button slim', data: { action: 'breakout-mix' } }, t('breakout.mix'));
  const board = h('div', { class: 'breakout-board' });
  const wrong = trouble();
  const open = h('button', { type: 'submit', class: 'button primary', data: { action: 'breakout-open' } }, t('breakout.start'));

  const rooms = () => {
    const n = count.input.valueAsNumber;
    return Number.isInteger(n) && n >= 1 && n <= LIMITS.breakouts ? n : 0;
  };
  const names = () => Array.from({ length: rooms() }, (_, n) => t('breakout.room', { n: n + 1 }));
  const put = (/** @type {string} */ user, /** @type {number | null} */ place) => {
    if (place === null) places.delete(user);
    else places.set(user, place);
    draw();
  };
  const draw = () => {
    const people = everybody(meeting);
    for (const [user, place] of places) if (place >= rooms() || !people.some((p) => p.user_id === user)) places.delete(user);
    drawBoard(board, names(), people, (user) => places.get(user) ?? null, put);
  };
  count.input.addEventListener('input', draw);
  mix.addEventListener('click', () => {
    const users = everybody(meeting).filter((p) => p.user_id !== meeting.state.userId);
    places.clear();
    for (const [user, place] of Object.entries(shareOut(users.map((p) => p.user_id), Math.max(1, rooms()), Math.random))) places.set(user, place);
    draw();
  });
  const element = h(
    'form',
    { class: 'form', novalidate: true },
    h('p', { class: 'quiet' }, t('breakout.text')),
    h('div', { class: 'thirds' }, count.element, minutes.element),
    h('label', { class: 'row check', for: 'breakout-choice' }, choice, t('breakout.choice')),
    h('div', { class: 'row ends' }, h('h3', { class: 'section-title' }, t('breakout.who')), mix),
    board,
    wrong.element,
    h('div', { class: 'row ends' }, h('span'), open),
  );
  element.addEventListener('submit', (event) => {
    event.preventDefault();
    const length = minutes.input.value === '' ? null : minutes.input.valueAsNumber;
    if (rooms() === 0) return count.complain(t('ask.minutes.wrong', { max: LIMITS.breakouts }));
    if (length !== null && (!Number.isInteger(length) || length < 1 || length > LIMITS.breakoutMinutes)) return minutes.complain(t('ask.minutes.wrong', { max: LIMITS.breakoutMinutes }));
    void busy(open, wrong, () =>
      meeting.ask({
        type: 'breakout.open',
        rooms: names().map((name) => ({ name })),
        assignments: Object.fromEntries(places),
        ...(choice.checked ? { self_choice: true } : {}),
        ...(length === null ? {} : { minutes: length }),
      }),
    );
  });
  return { element, draw };
}

// ---- While they are open ----

/**
 * @param {import('../main.js').App} app
 * @param {Meeting} meeting
 * @param {boolean} isModerator
 * @param {() => void} close
 */
function running(app, meeting, isModerator, close) {
  const left = h('p', { class: 'quiet', role: 'timer', 'aria-live': 'off' });
  const list = h('ul', { class: 'breakout-list' });
  const board = h('div', { class: 'breakout-board' });
  const wrong = trouble();
  const words = field(t('breakout.words'), { name: 'broadcast', maxlength: LIMITS.broadcast, autocomplete: 'off', autocapitalize: 'sentences' });
  const say = h('button', { type: 'submit', class: 'button', data: { action: 'breakout-say' } }, t('breakout.say'));
  const speech = h('form', { class: 'beside', novalidate: true }, words.element, say);
  speech.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = words.input.value.trim();
    if (!text) return words.input.focus();
    void busy(say, wrong, async () => {
      await meeting.ask({ type: 'breakout.broadcast', text });
      words.input.value = '';
    });
  });
  const end = h('button', { type: 'button', class: 'button', data: { action: 'breakout-close' } }, t('breakout.close'));
  const endNow = h('button', { type: 'button', class: 'button danger', data: { action: 'breakout-close-now' } }, t('breakout.close_now'));
  end.addEventListener('click', () => busy(end, wrong, () => meeting.ask({ type: 'breakout.close', seconds: CLOSE_S })));
  endNow.addEventListener('click', () => busy(endNow, wrong, () => meeting.ask({ type: 'breakout.close', seconds: 0 })));
  const put = (/** @type {string} */ user, /** @type {number | null} */ place) => void meeting.order({ type: 'breakout.assign', assignments: { [user]: place } });
  const isMain = () => breakoutHere(meeting.state) === null;

  const draw = () => {
    const { breakouts } = meeting.state;
    if (!breakouts) return;
    setText(left, breakouts.ends_ms === undefined ? t('breakout.no_end') : t('breakout.left', { time: timeLeft(breakouts.ends_ms - Date.now()) }));
    keyed(list, breakouts.rooms, {
      key: (room) => room.id,
      create: (room) =>
        h(
          'li',
          { class: 'breakout', data: { room: room.name } },
          h('div', { class: 'person-words' }, h('span', { class: 'person-name' }, room.name), h('span', { class: 'quiet person-state' })),
          h('button', { type: 'button', class: 'button slim', 'aria-label': t('breakout.enter.named', { name: room.name }), data: { action: 'breakout-enter' }, onclick: () => {
            close();
            void app.visit?.move(room);
          } }, t('breakout.enter')),
        ),
      update: (row, room) => {
        const isHere = room.id === meeting.state.room?.id;
        const names = (room.people ?? []).map((p) => p.display_name);
        setText(/** @type {Element} */ (row.querySelector('.person-state')), isHere ? t('breakout.you') : names.length > 0 ? listOf(names) : isMain() ? t('breakout.empty') : '');
        row.querySelector('button')?.toggleAttribute('hidden', isHere);
      },
    });
    // Only the main room is told who is where.
    board.hidden = !isMain();
    if (isModerator && isMain()) drawBoard(board, breakouts.rooms.map((room) => room.name), everybody(meeting), (user) => breakouts.assignments[user] ?? null, put);
  };
  const moderation = isModerator ? [h('h3', { class: 'section-title' }, t('breakout.who')), board, speech, wrong.element, h('div', { class: 'row ends' }, end, endNow)] : [];
  return { element: h('div', { class: 'form' }, left, list, ...moderation), draw };
}

/**
 * Everybody of this meeting as far as it is known here, moderators and me last.
 * @param {Meeting} meeting
 * @returns {By[]}
 */
function everybody({ state }) {
  /** @type {Map<string, By>} */
  const known = new Map();
  for (const { user_id, display_name } of state.participants) known.set(user_id, { user_id, display_name });
  for (const room of state.breakouts?.rooms ?? []) for (const person of room.people ?? []) known.set(person.user_id, person);
  return [...known.values()].sort((a, b) => Number(a.user_id === state.userId) - Number(b.user_id === state.userId));
}

/**
 * Who belongs where: a person's row has a list to choose from, and can be dragged onto a room.
 * @param {HTMLElement} board
 * @param {readonly string[]} rooms
 * @param {readonly By[]} people
 * @param {(user: string) => number | null} placeOf
 * @param {(user: string, place: number | null) => void} put
 */
function drawBoard(board, rooms, people, placeOf, put) {
  /** @type {{key: string, place: number | null, name: string}[]} */
  const columns = [{ key: 'main', place: null, name: t('breakout.main') }, ...rooms.map((name, place) => ({ key: String(place), place, name }))];
  keyed(board, columns, {
    key: (column) => column.key,
    create: (column) => {
      const element = h('section', { class: 'breakout-place', data: { place: column.key } }, h('h4'), h('ul'));
      element.addEventListener('dragover', (event) => {
        event.preventDefault();
        element.classList.add('over');
      });
      element.addEventListener('dragleave', () => element.classList.remove('over'));
      element.addEventListener('drop', (event) => {
        event.preventDefault();
        element.classList.remove('over');
        const user = event.dataTransfer?.getData('text/plain');
        if (user) put(user, column.place);
      });
      return element;
    },
    update: (element, column) => {
      const here = people.filter((person) => placeOf(person.user_id) === column.place);
      setText(/** @type {Element} */ (element.firstElementChild), t('breakout.place', { name: column.name, n: here.length }));
      keyed(/** @type {Element} */ (element.lastElementChild), here, {
        key: (person) => person.user_id,
        create: (person) => personRow(person, put),
        update: (row, person) => drawChoice(/** @type {HTMLSelectElement} */ (row.querySelector('select')), columns, placeOf(person.user_id)),
      });
    },
  });
}

/**
 * @param {By} person
 * @param {(user: string, place: number | null) => void} put
 */
function personRow(person, put) {
  const select = h('select', { class: 'input', 'aria-label': t('breakout.place_of', { name: person.display_name }), data: { action: 'breakout-place' } });
  select.addEventListener('change', () => {
    put(person.user_id, select.value === 'main' ? null : Number(select.value));
    // The row stands elsewhere now: the keyboard goes with it.
    const moved = document.querySelector(`.breakout-person[data-key="${CSS.escape(person.user_id)}"] select`);
    if (moved instanceof HTMLElement) moved.focus();
  });
  const row = h('li', { class: 'breakout-person', draggable: 'true', data: { name: person.display_name } }, icon('user', 'small'), h('span', { class: 'person-name' }, person.display_name), select);
  row.addEventListener('dragstart', (event) => event.dataTransfer?.setData('text/plain', person.user_id));
  return row;
}

/**
 * @param {HTMLSelectElement} select
 * @param {readonly {key: string, name: string}[]} columns
 * @param {number | null} place
 */
function drawChoice(select, columns, place) {
  const words = JSON.stringify(columns.map((column) => column.name));
  if (select.dataset.drawn !== words) {
    select.dataset.drawn = words;
    select.replaceChildren(...columns.map((column) => h('option', { value: column.key }, column.name)));
  }
  select.value = place === null ? 'main' : String(place);
}
