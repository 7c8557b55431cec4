// Chromium and Firefox in one room.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium, Firefox } from '../harness/browsers.mjs';
import { PALETTE, enter, guardFaces, shows, wrongFaces } from '../harness/call.mjs';
import { flows } from '../harness/media.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @type {Server} */
let server;
/** @type {Chromium} */
let chromium;
/** @type {Firefox} */
let firefox;
/** @type {import('../harness/browsers.mjs').Tab} */
let anna;
/** @type {import('../harness/browsers.mjs').Tab} */
let boris;
let url = '';

before(async () => {
  server = await Server.start();
  [chromium, firefox] = await Promise.all([Chromium.launch(), Firefox.launch()]);
  const room = await server.room('Two browsers');
  url = `${server.url}/r/${room.slug}`;
});
after(() => closeAll(chromium, firefox, server));

test('they see and hear each other', async () => {
  anna = await chromium.tab({ instruments: { colour: PALETTE.red, tone: 440 } });
  boris = await firefox.tab({ instruments: { colour: PALETTE.green, tone: 660, screen: PALETTE.yellow } });
  await Promise.all([enter(anna, url, 'Anna'), enter(boris, url, 'Boris')]);
  await Promise.all([flows(anna), flows(boris)]);
  await shows(anna, { Boris: 'green' });
  await shows(boris, { Anna: 'red' });
  await boris.screenshot('firefox-boris.png');
});

test('a camera and a screen come and go in Firefox', async () => {
  const owners = { Anna: 'red', Boris: 'green', 'Boris/screen': 'yellow' };
  await guardFaces(anna, owners);
  await guardFaces(boris, owners);
  await boris.click('[data-action=screen]');
  await shows(anna, { Boris: 'green', 'Boris/screen': 'yellow' });
  await boris.click('[data-action=camera]');
  await shows(anna, { Boris: null, 'Boris/screen': 'yellow' });
  await boris.click('[data-action=screen]');
  await shows(anna, { Boris: null });
  await boris.click('[data-action=camera]');
  await shows(anna, { Boris: 'green' });
  await anna.click('[data-action=camera]');
  await shows(boris, { Anna: null });
  await anna.click('[data-action=camera]');
  await shows(boris, { Anna: 'red' });
  for (const tab of [anna, boris]) assert.deepEqual((await wrongFaces(tab)).wrong, []);
});

test('chat crosses, and leaving removes the tile', async () => {
  await boris.click('[data-action=chat]');
  await boris.fill('textarea[name=message]', 'from Firefox');
  await boris.press('Enter');
  await anna.click('[data-action=chat]');
  await anna.until('the line', () => document.querySelector('.line .bubble-text')?.textContent === 'from Firefox');
  await anna.click('[data-action=leave]');
  await shows(boris, {});
});
