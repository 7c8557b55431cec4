// A room of a hundred and twenty: the list of people knows all of them and shows those in sight, by mouse, by keys and
// by search; pages of tiles; whoever comes late knows everybody too; a moderator mutes all.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, begin, enter } from '../harness/call.mjs';
import { inspect } from '../harness/inspect.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @typedef {import('../harness/browsers.mjs').Tab} Tab */

const CROWD = 120;

/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;
/** @type {Tab} */
let ada;
let url = '';

before(async () => {
  // As many as come, and one.
  server = await Server.start({ MAX_SOCKETS: String(CROWD + 2) });
  browser = await Chromium.launch();
  ada = await browser.tab({ instruments: { colour: PALETTE.red } });
  url = await begin(ada, server.url, 'Ada');
  const slug = await ada.run(() => /** @type {any} */ (window).veche.meeting.state.room.slug);
  const crowd = await browser.tab({});
  await crowd.open(server.url);
  await crowd.run(gather, { slug, count: CROWD });
});
after(() => closeAll(browser, server));

/**
 * Sockets without media in a page, each somebody of their own. Runs there.
 * @param {{slug: string, count: number}} wanted
 */
async function gather({ slug, count }) {
  const post = async (/** @type {string} */ path, /** @type {object} */ body, /** @type {string} */ token) => {
    const headers = { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) };
    const answer = await fetch(`/api/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    return answer.json();
  };
  /** @type {WebSocket[]} */
  const sockets = [];
  Object.assign(window, { sockets });
  const come = async (/** @type {number} */ n) => {
    const { access_token } = await post('auth/guest', { display_name: `Guest ${String(n).padStart(3, '0')}` }, '');
    const { ticket } = await post(`rooms/${slug}/ticket`, {}, access_token);
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws/rooms/${slug}?ticket=${encodeURIComponent(ticket)}`);
    sockets.push(socket);
    await new Promise((resolve) => {
      socket.onmessage = ({ data }) => JSON.parse(data).type === 'sync.info' && resolve(undefined);
    });
    socket.onmessage = null;
    socket.send(JSON.stringify({ type: 'media.self', mic_muted: n % 2 === 0, cam_off: true }));
  };
  const line = Array.from({ length: count }, (_, n) => n);
  const take = async () => {
    for (let n = line.shift(); n !== undefined; n = line.shift()) await come(n);
  };
  await Promise.all(Array.from({ length: 10 }, take));
}

/** What the list of people shows. @param {Tab} tab */
const list = (tab) => tab.run(() => ({
  heading: document.querySelector('.panel h2')?.textContent ?? '',
  rows: [...document.querySelectorAll('.people > ul > .person')].map((row) => ({ name: row.getAttribute('data-name'), mic: row.getAttribute('data-mic') })),
}));

test('everybody is in the list, and only those in sight are in the page', async () => {
  await ada.click('[data-action=people]');
  await ada.until('the count', (/** @type {number} */ n) => document.querySelector('.panel h2')?.textContent === `People: ${n}`, CROWD + 1);
  const { rows } = await list(ada);
  assert.ok(rows.length >= 8 && rows.length < 60, `${rows.length} rows`);
  assert.equal(rows[0]?.name, 'Ada');
  await inspect(ada, 'crowd-list-light');
});

test('keys go to the last of them, and back', async () => {
  await ada.run(() => /** @type {HTMLElement} */ (document.querySelector('.people .person button')).focus());
  await ada.press('End');
  const last = (/** @type {number} */ n) => {
    const row = document.activeElement?.closest('.person');
    return row?.getAttribute('aria-posinset') === String(n) && row.getAttribute('aria-setsize') === String(n);
  };
  await ada.until('the focus at the end', last, CROWD + 1);
  await ada.press('ArrowUp');
  await ada.until('one before it', (/** @type {number} */ n) => document.activeElement?.closest('.person')?.getAttribute('aria-posinset') === String(n), CROWD);
  await ada.press('Home');
  await ada.until('the focus at the beginning', () => document.activeElement?.closest('.person')?.getAttribute('aria-posinset') === '2');
});

test('search finds one among all', async () => {
  await ada.fill('[name=search]', 'guest 077');
  await ada.until('one row', () => [...document.querySelectorAll('.people > ul > .person')].map((row) => row.getAttribute('data-name')).join() === 'Guest 077');
  await ada.fill('[name=search]', 'nobody at all');
  await ada.until('a word', () => document.querySelectorAll('.people > ul > .person').length === 0 && !document.querySelector('.people .centre:not([hidden])')?.textContent?.includes('…'));
  await ada.fill('[name=search]', '');
});

test('whoever comes late knows everybody, on a phone too', async () => {
  const bob = await browser.tab({ theme: 'dark', locale: 'ru-RU', viewport: { width: 360, height: 740 }, touch: true, instruments: { colour: PALETTE.green } });
  await enter(bob, url, 'Bob');
  const known = () => {
    const { people, participants } = /** @type {any} */ (window).veche.meeting.state;
    return people === null ? participants.length : 0;
  };
  await bob.until('all pages', (/** @type {number} */ n) => {
    const { people, participants } = /** @type {any} */ (window).veche.meeting.state;
    return people === null && participants.length === n;
  }, CROWD + 2);
  const order = () => /** @type {any} */ (window).veche.meeting.state.participants.map((/** @type {any} */ p) => p.id).join();
  await ada.until('Bob', (/** @type {number} */ n) => /** @type {any} */ (window).veche.meeting.state.participants.length === n, CROWD + 2);
  assert.equal(await bob.run(known), CROWD + 2);
  assert.equal(await bob.run(order), await ada.run(order), 'in the same order');
  await bob.click('[data-action=people]');
  await bob.until('the list', () => document.querySelectorAll('.people > ul > .person').length > 5);
  await inspect(bob, 'crowd-list-phone-dark');
});

test('a moderator mutes all with one press, and everybody sees it', async () => {
  await ada.click('[data-action=mute-all]');
  await ada.until('all muted', () => /** @type {any} */ (window).veche.meeting.state.participants.every((/** @type {any} */ p) => p.role === 'owner' || p.media.mic_forced));
  await ada.until('in the list', () => [...document.querySelectorAll('.people > ul > .person')].slice(1).every((row) => row.getAttribute('data-mic') === 'forced'));
  await ada.click('[data-action=close-panel]');
  await ada.until('nine tiles, those with a picture first', () => document.querySelectorAll('veche-tile').length === 9
    && document.querySelector('veche-tile[data-name=Bob]')?.getAttribute('data-state') === 'picture');
  await inspect(ada, 'crowd-stage-light');
});

test('a full server says so in words, and those inside go on', async () => {
  const cleo = await browser.tab({ theme: 'dark', instruments: { colour: PALETTE.blue } });
  await cleo.open(url);
  await cleo.visible('[name=display_name]');
  await cleo.fill('[name=display_name]', 'Cleo');
  await cleo.click('[data-action=join]');
  await cleo.until('the words', () => /The server is full/.test(document.querySelector('[role=alert]:not([hidden])')?.textContent ?? ''));
  await inspect(cleo, 'server-full-dark');
  assert.equal(await ada.run(() => document.body.dataset.connection), 'connected');
});
