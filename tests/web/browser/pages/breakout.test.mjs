// Breakout rooms as people live through them, in Chromium and Firefox: shared out, gone to, spoken to, asked for help,
// come back from.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium, Firefox } from '../harness/browsers.mjs';
import { PALETTE, begin, connected, enter, shows } from '../harness/call.mjs';
import { inspect } from '../harness/inspect.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @typedef {import('../harness/browsers.mjs').Tab} Tab */

/** @type {Server} */
let server;
/** @type {Chromium} */
let chromium;
/** @type {Firefox} */
let firefox;

before(async () => {
  server = await Server.start();
  [chromium, firefox] = await Promise.all([Chromium.launch(), Firefox.launch()]);
});
after(() => closeAll(chromium, firefox, server));

/** Waits until this tab is in the call of a room of that name. @param {Tab} tab @param {RegExp} name */
const inRoom = async (tab, name) => {
  await tab.until(`the room ${name}`, (/** @type {string} */ source) => document.body.dataset.screen === 'call'
    && new RegExp(source).test(/** @type {any} */ (window).veche.meeting.state.room?.name), name.source);
  await connected(tab);
};

/** @param {Tab} tab @param {RegExp} words */
const noted = (tab, words) => tab.until(`the note ${words}`, (/** @type {string} */ source) => new RegExp(source).test(document.querySelector('.call-notes')?.textContent ?? ''), words.source);

test('two rooms for a while', async () => {
  const vera = await chromium.tab({ instruments: { colour: PALETTE.red } });
  const url = await begin(vera, server.url, 'Vera');
  const boris = await chromium.tab({ theme: 'dark', viewport: { width: 360, height: 740 }, touch: true, instruments: { colour: PALETTE.green } });
  const clara = await firefox.tab({ instruments: { colour: PALETTE.blue } });
  await Promise.all([enter(boris, url, 'Boris'), enter(clara, url, 'Clara')]);
  await shows(vera, { Boris: 'green', Clara: 'blue' });

  // By chance first; then Boris is put into the first room and Clara into the second, by the lists of their rows.
  await vera.click('[data-action=more]');
  await vera.click('.menu [data-action=breakouts]');
  await vera.click('dialog [data-action=breakout-mix]');
  await vera.until('both shared out', () => document.querySelectorAll('.breakout-place:not([data-place=main]) .breakout-person').length === 2);
  for (const [who, place] of [['Boris', '0'], ['Clara', '1']]) {
    await vera.run((/** @type {string[]} */ [person, value]) => {
      const select = /** @type {HTMLSelectElement} */ (document.querySelector(`.breakout-person[data-name=${person}] select`));
      select.value = String(value);
      select.dispatchEvent(new Event('change'));
    }, [who, place]);
    await vera.visible(`.breakout-place[data-place="${place}"] .breakout-person[data-name=${who}]`);
  }
  await inspect(vera, 'breakout-plan');
  await vera.click('dialog [data-action=breakout-open]');
  await vera.visible('.breakout-list');

  // Both are told where they belong. Clara goes at once, Boris by himself.
  await noted(boris, /Room 1/);
  await inspect(boris, 'breakout-departure-phone');
  await clara.run(() => /** @type {HTMLElement | null} */ (document.querySelector('.note [data-action=breakout-go]'))?.click());
  await Promise.all([inRoom(boris, /Room 1/), inRoom(clara, /Room 2/)]);
  await shows(clara, {});
  await vera.until('who is where', () => /Boris/.test(document.querySelector('.breakout[data-room="Room 1"]')?.textContent ?? '') && /Clara/.test(document.querySelector('.breakout[data-room="Room 2"]')?.textContent ?? ''));
  await inspect(vera, 'breakout-running');

  // A word for all; Boris asks for help, and Vera comes.
  await vera.fill('dialog [name=broadcast]', 'Write down three ideas');
  await vera.click('dialog [data-action=breakout-say]');
  await Promise.all([noted(boris, /three ideas/), noted(clara, /three ideas/)]);
  await vera.press('Escape');
  await boris.click('.note [data-action=read-broadcast]');
  await boris.click('.note [data-action=breakout-help]');
  await noted(vera, /Boris asks for help in .Room 1/);
  await inspect(vera, 'breakout-call');
  await vera.click('.note [data-action=answer-call]');
  await inRoom(vera, /Room 1/);
  await shows(boris, { Vera: 'red' });
  await inspect(vera, 'breakout-inside');
  // Her page is loaded anew: nobody put her into that room, and it leads back there all the same.
  await enter(vera, url, 'Vera');
  await inRoom(vera, /Room 1/);
  await shows(boris, { Vera: 'red' });

  // Clara comes back by herself and stays; then the rooms are closed and all are together again.
  await clara.click('.note [data-action=breakout-back]');
  await inRoom(clara, /^(?!Room)/);
  await clara.visible('.note [data-action=breakout-go]');
  await vera.click('.note [data-action=breakouts]');
  await vera.click('dialog [data-action=breakout-close-now]');
  await Promise.all([vera, boris].map((tab) => inRoom(tab, /^(?!Room)/)));
  await clara.gone('.note [data-action=breakout-go]');
  await shows(clara, { Vera: 'red', Boris: 'green' });
  for (const tab of [vera, boris, clara]) assert.deepEqual(await tab.run(() => /** @type {any} */ (window).testkit.errors), []);
});
