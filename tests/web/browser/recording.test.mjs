// A meeting is recorded: everybody sees and hears that it is, also who comes later, and it is read once what the room
// has to say about it; then it ends, and stands among the room's recordings.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from './harness/browsers.mjs';
import { PALETTE, begin, enter, shows } from './harness/call.mjs';
import { inspect } from './harness/inspect.mjs';
import { Server, closeAll } from './harness/server.mjs';

/** @typedef {import('./harness/browsers.mjs').Tab} Tab */

/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;

before(async () => {
  server = await Server.start();
  browser = await Chromium.launch();
});
after(() => closeAll(browser, server));

/** Counts the tones that a page plays. @param {Tab} tab */
const listen = (tab) => tab.page.addInitScript(() => {
  const w = /** @type {any} */ (window);
  w.tones = [];
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...args) {
    if (this.frequency.value > 500 && args.length > 0) w.tones.push(this.frequency.value);
    return start.apply(this, args);
  };
});

/** @param {Tab} tab @param {number[]} tones all of them, in order */
const heard = (tab, tones) => tab.until(`the tones ${tones}`, (/** @type {string} */ wanted) => JSON.stringify(/** @type {any} */ (window).tones) === wanted, JSON.stringify(tones));

/** @param {Tab} tab @param {RegExp} words */
const noted = (tab, words) => tab.until(`the note ${words}`, (/** @type {string} */ source) => new RegExp(source).test(document.querySelector('.call-notes')?.textContent ?? ''), words.source);

test('everybody knows that a meeting is recorded', async () => {
  const vera = await browser.tab({ instruments: { colour: PALETTE.red, tone: 300 } });
  const boris = await browser.tab({ theme: 'dark', viewport: { width: 360, height: 740 }, touch: true, instruments: { colour: PALETTE.green, tone: 400 } });
  await Promise.all([listen(vera), listen(boris)]);
  const url = await begin(vera, server.url, 'Vera');
  await vera.click('[data-action=more]');
  await vera.click('.menu [data-action=room-settings]');
  await vera.fill('dialog [name=consent]', 'We keep this for the minutes.');
  await vera.click('dialog [data-action=save-room]');
  await vera.until('the words kept', () => /** @type {any} */ (window).veche.meeting.state.state.record_consent === 'We keep this for the minutes.');
  await vera.press('Escape');
  await vera.click('[data-action=more]');
  await vera.click('.menu [data-action=record-start]');
  await vera.visible('.recording');
  await heard(vera, [587, 880]);
  await inspect(vera, 'recording-light');

  // Who comes later is told the same, reads it once, and not again.
  await enter(boris, url, 'Boris');
  await boris.visible('.recording');
  await noted(boris, /Vera records this meeting.*for the minutes/);
  await heard(boris, [587, 880]);
  await inspect(boris, 'recording-phone');
  await boris.click('.note [data-action=record-ok]');
  await boris.gone('.note [data-action=record-ok]');
  await shows(vera, { Boris: 'green' });

  await vera.click('.recording');
  await vera.click('.menu [data-action=record-stop]');
  await Promise.all([vera.gone('.recording'), boris.gone('.recording')]);
  await heard(boris, [587, 880, 880, 587]);
  for (const tab of [vera, boris]) assert.deepEqual(await tab.run(() => /** @type {any} */ (window).testkit.errors), []);
});
