// Three people, a picture of one colour each: the right name stands on the right picture after every change.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, enter, guardFaces, shows, wrongFaces } from '../harness/call.mjs';
import { flows } from '../harness/media.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @typedef {import('../harness/browsers.mjs').Tab} Tab */

const OWNERS = { Anna: 'red', Boris: 'green', Clara: 'blue', 'Clara/screen': 'yellow' };
/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;
/** @type {Record<string, Tab>} */
const people = {};
let url = '';

/** @param {string} name @param {'red' | 'green' | 'blue'} colour */
async function come(name, colour) {
  const tab = await browser.tab({
    instruments: { small: true, colour: PALETTE[colour], screen: PALETTE.yellow, tone: 300 + 100 * Object.keys(people).length },
    viewport: { width: 1000, height: 700 },
  });
  people[name] = tab;
  await enter(tab, url, name);
  await guardFaces(tab, OWNERS);
  return tab;
}

before(async () => {
  server = await Server.start();
  browser = await Chromium.launch();
  const room = await server.room('Colours');
  url = `${server.url}/r/${room.slug}${room.invite_code ? `#code=${room.invite_code}` : ''}`;
});
after(() => closeAll(browser, server));

test('three see and hear each other', async () => {
  await come('Anna', 'red');
  await come('Boris', 'green');
  await shows(people.Anna, { Boris: 'green' });
  await come('Clara', 'blue');
  await Promise.all(Object.values(people).map((tab) => flows(tab)));
  await shows(people.Anna, { Boris: 'green', Clara: 'blue' });
  await shows(people.Boris, { Anna: 'red', Clara: 'blue' });
  await shows(people.Clara, { Anna: 'red', Boris: 'green' });
  await people.Anna.screenshot('three-anna.png');
});

test('a camera goes off and on', async () => {
  await people.Boris.click('[data-action=camera]');
  await shows(people.Anna, { Boris: null, Clara: 'blue' });
  await people.Anna.click('[data-action=camera]');
  await shows(people.Clara, { Anna: null, Boris: null });
  await people.Boris.click('[data-action=camera]');
  await shows(people.Clara, { Anna: null, Boris: 'green' });
  await people.Anna.click('[data-action=camera]');
  await shows(people.Clara, { Anna: 'red', Boris: 'green' });
});

test('a microphone goes off and on', async () => {
  await people.Clara.click('[data-action=mic]');
  await people.Anna.until('the sign', () => document.querySelector('veche-tile[data-name=Clara]')?.getAttribute('data-mic') === 'muted');
  await shows(people.Anna, { Boris: 'green', Clara: 'blue' });
  await people.Clara.click('[data-action=mic]');
  await flows(people.Anna);
});

test('a screen is shared', async () => {
  await people.Clara.click('[data-action=screen]');
  await shows(people.Anna, { Boris: 'green', Clara: 'blue', 'Clara/screen': 'yellow' });
  await shows(people.Boris, { Anna: 'red', Clara: 'blue', 'Clara/screen': 'yellow' });
  await people.Anna.screenshot('three-screen.png');
  await people.Clara.click('[data-action=screen]');
  await shows(people.Anna, { Boris: 'green', Clara: 'blue' });
});

test('one leaves, another takes the place', async () => {
  await people.Boris.click('[data-action=leave]');
  await shows(people.Anna, { Clara: 'blue' });
  await shows(people.Clara, { Anna: 'red' });
  await people.Boris.close();
  await come('Boris', 'green');
  await shows(people.Anna, { Boris: 'green', Clara: 'blue' });
  await shows(people.Boris, { Anna: 'red', Clara: 'blue' });
});

test('a page that is closed without a word leaves at once', async () => {
  await people.Clara.run(() => { location.href = 'about:blank'; }).catch(() => {});
  await shows(people.Anna, { Boris: 'green' });
  await shows(people.Boris, { Anna: 'red' });
});

test('at no moment stood a picture under a wrong name', async () => {
  for (const name of ['Anna', 'Boris']) {
    const { wrong, looks } = await wrongFaces(people[name]);
    assert.deepEqual(wrong, [], name);
    assert.ok(looks > 5, `${name} looked ${looks} times`);
  }
});
