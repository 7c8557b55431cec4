// Every page, in light and dark, on a desk and on a phone, in both languages: axe finds nothing, and a
// screenshot is kept to be looked at.

import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, enter, shows } from '../harness/call.mjs';
import { inspect } from '../harness/inspect.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @typedef {import('../harness/browsers.mjs').Tab} Tab */

const LOOKS = /** @type {const} */ ([
  { name: 'light', options: { theme: 'light', locale: 'en-US' } },
  { name: 'dark', options: { theme: 'dark', locale: 'ru-RU' } },
  { name: 'phone', options: { theme: 'light', locale: 'ru-RU', viewport: { width: 360, height: 740 }, touch: true } },
]);

/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;
/** @type {Tab} */
let friend;
let url = '';

before(async () => {
  server = await Server.start();
  browser = await Chromium.launch();
  const room = await server.room('Weekly');
  url = `${server.url}/r/${room.slug}`;
  friend = await browser.tab({ instruments: { colour: PALETTE.green, screen: PALETTE.yellow } });
  await enter(friend, url, 'Boris');
});
after(() => closeAll(browser, server));

for (const { name: look, options } of LOOKS) {
  test(`every page, ${look}`, async () => {
    const tab = await browser.tab({ ...options, instruments: { colour: PALETTE.red } });
    const screen = (/** @type {string} */ name) => tab.until(name, (/** @type {string} */ s) => document.body.dataset.screen === s, name);
    for (const [path, name] of [['/', 'home'], ['/signin', 'signin'], ['/register', 'register'], ['/nothing/here', 'lost']]) {
      await tab.open(`${server.url}${path}`);
      await screen(name ?? '');
      await inspect(tab, `${look}-${name}`);
    }
    await tab.open(`${server.url}/register`);
    const user = `anna-${look}`;
    for (const [field, text] of [['email', `${user}@example.org`], ['username', user], ['password', 'correct horse battery']]) {
      await tab.fill(`[name=${field}]`, text ?? '');
    }
    await tab.click('[data-action=submit-register]');
    await tab.until('the account', () => document.body.dataset.screen !== 'register');
    await tab.open(`${server.url}/rooms`);
    await screen('rooms');
    await inspect(tab, `${look}-rooms`);

    await tab.open(url);
    await screen('prejoin');
    await tab.visible('[data-action=join]');
    await inspect(tab, `${look}-prejoin`);
    await tab.click('[data-action=join]');
    await screen('call');
    await shows(tab, { Boris: 'green' });
    await inspect(tab, `${look}-call`);
    await tab.click('[data-action=chat]');
    await tab.fill('textarea[name=message]', 'Hello from the test: https://example.org');
    await tab.click('[data-action=send]');
    await tab.visible('.line.mine');
    await inspect(tab, `${look}-chat`);
    await tab.press('Escape');
    await tab.click('[data-action=chat]').catch(() => {});
    if (look === 'light') {
      await tab.click('[data-action=people]');
      await tab.visible('.person');
      await inspect(tab, `${look}-people`);
      await tab.click('[data-action=people]');
    }
    await tab.click('[data-action=react]');
    await tab.visible('.reaction');
    await inspect(tab, `${look}-reactions`);
    // It floats for seconds: both are looked at from the beginning.
    await Promise.all([
      tab.click('.reaction[data-emoji="👍"]'),
      tab.until('the thumb over the own tile', () => document.querySelector('veche-tile[data-mine=true] > .floating-reaction')?.textContent === '👍'),
      friend.until('the thumb over their tile', () => document.querySelector('veche-tile:not([data-mine=true]) > .floating-reaction')?.textContent === '👍'),
    ]);
    await tab.press('Escape');
    await tab.press('KeyI');
    await tab.until('the picture explained', () => {
      const facts = [...document.querySelectorAll('.details section:has(h3) [data-fact=picture] dd')].map((fact) => fact.textContent ?? '');
      const why = document.querySelector('.details [data-fact=why] dd')?.textContent;
      return facts.some((fact) => /[1-9]\d* × [1-9]\d* · [1-9]/.test(fact.replaceAll('\u00a0', ' '))) && why;
    });
    await inspect(tab, `${look}-details`);
    await tab.press('KeyI');
    await friend.click('[data-action=screen]');
    await tab.visible('veche-tile[data-source=screen]');
    await inspect(tab, `${look}-screen`);
    await friend.click('[data-action=screen]');
    await tab.click('[data-action=leave]');
    await screen('left');
    await inspect(tab, `${look}-left`);
    await tab.close();
  });
}
