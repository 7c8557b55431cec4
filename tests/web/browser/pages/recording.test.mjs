// A meeting is recorded: everybody sees and hears that it is, also who comes later, and it is read once what the room
// has to say about it; then it ends, and stands among the recordings of the room: watched, downloaded, renamed, deleted.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, begin, enter, shows } from '../harness/call.mjs';
import { inspect } from '../harness/inspect.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @typedef {import('../harness/browsers.mjs').Tab} Tab */

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

  // It stands among the recordings of the room: for Vera, and for Boris once she lets those see it who were there.
  await boris.open(`${url}/recordings`);
  await boris.until('that they are not for him', () => /not for you/.test(document.querySelector('.recordings')?.textContent ?? ''));
  await vera.open(`${url}/recordings`);
  await vera.visible('.recorded[data-state=complete] a');
  await vera.click('.policy summary');
  await vera.until('what is decided now', () => /** @type {HTMLSelectElement | null} */ (document.querySelector('[name=recordings_for]'))?.value === 'admins');
  await vera.page.selectOption('[name=recordings_for]', 'link');
  await vera.fill('[name=kept_days]', '30');
  await vera.click('[data-action=save-policy]');
  await vera.until('that it is kept', () => /Saved/.test(document.querySelector('.policy [role=status]')?.textContent ?? ''));
  await inspect(vera, 'library-light');
  await vera.click('[data-action=recording-menu]');
  await vera.click('.menu [data-action=rename]');
  await vera.fill('dialog [name=title]', 'Annual meeting');
  await vera.click('dialog [data-action=save-title]');
  await vera.until('the name', () => document.querySelector('.recorded strong')?.textContent === 'Annual meeting');
  await vera.click('[data-action=recording-menu]');
  await vera.click('.menu [data-action=files]');
  await vera.visible('dialog [data-action=download]');
  const [file] = await Promise.all([vera.page.waitForEvent('download'), vera.click('dialog [data-action=download]')]);
  assert.match(file.suggestedFilename(), /_camera\.webm$/);
  assert.equal(await file.failure(), null);
  await vera.press('Escape');

  // What was downloaded is brought back, as one brings a recording made elsewhere; then it goes again.
  await vera.page.setInputFiles('[name=recording]', await file.path());
  await vera.until('both', () => document.querySelectorAll('.recorded').length === 2 && document.querySelector('.upload-way')?.hasAttribute('hidden'));
  await inspect(vera, 'library-upload-light');
  await vera.click('.recorded a');
  await vera.until('the file', () => document.querySelector('.replay')?.getAttribute('data-state') === 'paused');
  // Whatever came first of the meeting is in it: on a busy machine that is sound before the first keyframe.
  await vera.until('what is in it', () => [...document.querySelectorAll('.replay video')].some((video) => /** @type {HTMLVideoElement} */ (video).readyState > 0));
  await vera.page.goBack();
  await vera.click('.recorded [data-action=recording-menu]');
  await vera.click('.menu [data-action=delete-recording]');
  await vera.click('dialog [data-action=confirm]');
  await vera.until('the first one alone', () => document.querySelectorAll('.recorded').length === 1);

  // Boris watches it on his phone; it plays, and goes where he likes.
  await boris.reload();
  await boris.until('the name', () => document.querySelector('.recorded strong')?.textContent === 'Annual meeting');
  await inspect(boris, 'library-phone');
  await boris.click('.recorded a');
  await boris.until('the recording', () => document.querySelector('.replay')?.getAttribute('data-state') === 'paused');
  await boris.click('[data-action=play]');
  await boris.until('that it plays', () => Number(document.querySelector('.replay')?.getAttribute('data-at')) > 300);
  await inspect(boris, 'replay-phone');
  await vera.click('.recorded a');
  await vera.until('the recording', () => document.querySelector('.replay')?.getAttribute('data-state') === 'paused');
  await vera.until('a picture', () => [...document.querySelectorAll('.replay video')].some((video) => /** @type {HTMLVideoElement} */ (video).videoWidth > 0));
  await inspect(vera, 'replay-light');

  // Deleted it is gone for both.
  await vera.open(`${url}/recordings`);
  await vera.click('[data-action=recording-menu]');
  await vera.click('.menu [data-action=delete-recording]');
  await vera.click('dialog [data-action=confirm]');
  await vera.gone('.recorded');
  await boris.reload();
  await boris.until('that it is gone', () => /not there any more/.test(document.body.textContent ?? ''));
});
