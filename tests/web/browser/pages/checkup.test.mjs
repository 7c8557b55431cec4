// The check of the connection at a room's door: every way is tried, the best is measured, and plain words say what it
// means.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { knock } from '../harness/call.mjs';
import { inspect } from '../harness/inspect.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @typedef {import('../harness/browsers.mjs').Tab} Tab */

/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;
let url = '';

before(async () => {
  server = await Server.start();
  browser = await Chromium.launch();
});
after(() => closeAll(browser, server));

const done = (/** @type {Tab} */ tab) => tab.until('the check done', () => document.querySelector('[data-dialog=checkup]')?.getAttribute('data-state') === 'done', undefined, 60_000);

test('whoever stands at the door finds out what gets through', async () => {
  const ada = await browser.tab({});
  await ada.open(server.url);
  await ada.fill('[name=display_name]', 'Ada');
  await ada.click('[data-action=new-meeting]');
  await ada.visible('[data-action=join]');
  url = await ada.run(() => location.href);
  await ada.click('[data-action=checkup]');
  await done(ada);
  assert.deepEqual(await ada.run(() => ['udp', 'turn_tls'].map((id) => document.querySelector(`[data-path=${id}]`)?.getAttribute('data-outcome'))), ['works', 'not_offered']);
  const numbers = await ada.run(() => [...document.querySelectorAll('[data-number]')].map((row) => row.textContent ?? ''));
  assert.equal(numbers.length, 7, String(numbers));
  assert.match(String(numbers), /Sent[\d.,]+ (M|k)bit\/s/);
  assert.equal(await ada.run(() => document.querySelectorAll('[data-finding=none], [data-finding=nothing], [data-finding=large]').length), 0);
  await inspect(ada, 'checkup-light');
  // The report is shown where it cannot be copied, and holds no token.
  await ada.run(() => Object.defineProperty(navigator, 'clipboard', { value: { writeText: () => Promise.reject(new Error('refused')) } }));
  await ada.click('[data-action=checkup-copy]');
  await ada.visible('.checkup-report');
  const report = await ada.run(() => /** @type {HTMLTextAreaElement} */ (document.querySelector('.checkup-report')).value);
  assert.match(report, /UDP: works/);
  const token = await ada.run(() => JSON.parse(localStorage.getItem('veche.session') ?? '{}').access_token);
  assert.ok(token.length > 20 && !report.includes(token.split('.')[2]));
  // Whoever goes in by another name is the same guest: the room is still theirs.
  const me = () => ada.run(() => JSON.parse(localStorage.getItem('veche.session') ?? '{}').user);
  const before = await me();
  await ada.press('Escape');
  await ada.gone('[data-dialog=checkup]');
  await knock(ada, 'Ada L.');
  const after = await me();
  assert.deepEqual([after.id, after.display_name], [before.id, 'Ada L.']);
  await ada.until('the owner', () => /** @type {any} */ (window).veche.meeting.state.room?.role === 'owner');
  assert.deepEqual(await ada.run(() => /** @type {any} */ (window).testkit.errors), []);
});

test('where UDP does not get through, it is said with what to do', async () => {
  const vera = await browser.tab({ theme: 'dark', locale: 'ru-RU', viewport: { width: 360, height: 740 }, touch: true });
  await vera.open(url);
  await vera.visible('[data-action=join]');
  // Every address of the server's is one where nobody answers.
  await vera.run(() => {
    const set = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = function (/** @type {any} */ d) {
      return set.call(this, { ...d, sdp: d.sdp.replace(/^(a=candidate:.*?) \S+ \d+ typ/gm, '$1 192.0.2.99 9 typ') });
    };
  });
  await vera.click('[data-action=checkup]');
  await done(vera);
  assert.match(await vera.run(() => document.querySelector('[data-finding=none]')?.textContent ?? ''), /не проходят ни одним путём.*разрешить UDP до [\d[]/);
  await inspect(vera, 'checkup-blocked-phone-dark');
  await vera.press('Escape');
  await vera.gone('[data-dialog=checkup]');
});
