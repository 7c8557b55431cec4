// A moderator's evening, from the first link to the last word: one meeting in which everything happens that a
// moderator does, one thing after the other, as people do it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, begin, connected, mic, order, shows } from '../harness/call.mjs';
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

/** @param {Tab} tab @param {string} url @param {string} name @param {string} screen where they stand then */
async function come(tab, url, name, screen) {
  await tab.open(url);
  await tab.fill('[name=display_name]', name);
  await tab.click('[data-action=join]');
  await tab.until(screen, (/** @type {string} */ s) => document.body.dataset.screen === s, screen);
}

/** @param {Tab} tab @param {string} text */
const reads = (tab, text) => tab.until(`the line ${text}`, (/** @type {string} */ wanted) => [...document.querySelectorAll('.line .bubble-text')].find((p) => p.textContent === wanted)?.closest('.line')?.getAttribute('data-message'), text);

test("a moderator's evening", async () => {
  // Vera opens a room with a lobby, and lets those in whom she knows.
  const vera = await browser.tab({ instruments: { colour: PALETTE.red } });
  const url = await begin(vera, server.url, 'Vera');
  await vera.click('[data-action=people]');
  await vera.click('[data-action=room-settings]');
  await vera.click('dialog [name=has_lobby]');
  await vera.fill('dialog [name=topic]', 'Annual meeting');
  await vera.click('dialog [data-action=save-room]');
  await vera.until('the topic', () => /Annual/.test(document.querySelector('.bar-name')?.textContent ?? ''));
  await vera.press('Escape');

  const ivan = await browser.tab({ theme: 'dark', locale: 'ru-RU', instruments: { colour: PALETTE.green } });
  const lena = await browser.tab({ viewport: { width: 360, height: 740 }, touch: true, theme: 'dark', instruments: { colour: PALETTE.blue } });
  const troll = await browser.tab({ instruments: { colour: PALETTE.yellow } });
  await come(ivan, url, 'Ivan', 'waiting');
  await come(lena, url, 'Lena', 'waiting');
  await vera.until('both', () => document.querySelectorAll('.knock').length === 2);
  await vera.click('[data-action=admit-all]');
  await Promise.all([connected(ivan), connected(lena)]);
  await shows(vera, { Ivan: 'green', Lena: 'blue' });

  // Somebody loud comes through, is muted, does not behave, and is gone for good.
  await come(troll, url, 'Troll', 'waiting');
  await vera.click('.knock[data-name=Troll] [data-action=admit]');
  await connected(troll);
  await order(vera, 'Troll', 'force_mic');
  await Promise.all([mic(ivan, 'Troll', 'forced'), mic(troll, 'Troll', 'forced')]);
  await troll.click('[data-action=mic]');
  await mic(ivan, 'Troll', 'forced');
  await troll.click('.bar [data-action=chat]');
  await troll.fill('textarea[name=message]', 'rude words');
  await troll.press('Enter');
  await vera.click('.bar [data-action=chat]');
  const rude = await reads(vera, 'rude words');
  await vera.page.hover(`.line[data-message="${rude}"]`);
  await vera.click(`.line[data-message="${rude}"] [data-action=message-menu]`);
  await vera.click('.menu [data-action=delete-message]');
  await vera.click('dialog [data-action=confirm]');
  await vera.until('the words gone', () => document.querySelector('.line.deleted') !== null);
  await vera.click('.bar [data-action=people]');
  await order(vera, 'Troll', 'ban');
  await vera.fill('dialog [name=reason]', 'Rude words');
  await vera.click('dialog [data-action=confirm]');
  await troll.until('the end', () => /Rude words/.test(document.querySelector('[data-reason=banned]')?.textContent ?? ''));
  // A guest with another name is a new person: that is what the lobby is for.
  await come(troll, url, 'Angel', 'waiting');
  await vera.click('.knock[data-name=Angel] [data-action=refuse]');
  await troll.until('the refusal', () => document.querySelector('[data-reason=turned_away]') !== null);
  await vera.click('[data-action=room-settings]');
  await vera.click('dialog [name=is_locked]');
  await vera.until('the lock', () => /** @type {any} */ (window).veche.meeting.state.state.is_locked);
  await vera.press('Escape');

  // Speakers in turn: everybody is muted, hands go up, each gets the word.
  await vera.click('[data-action=mute-all]');
  await Promise.all([mic(vera, 'Ivan', 'forced'), mic(vera, 'Lena', 'forced')]);
  await lena.click('.note [data-action=raise-hand]');
  await vera.visible('.person[data-name=Lena] .hand-place');
  await ivan.press('KeyH');
  await vera.until('the queue', () => [...document.querySelectorAll('.person')].map((p) => p.getAttribute('data-name')).join() === 'Vera,Lena,Ivan');
  await inspect(vera, 'evening-queue-light');
  await order(vera, 'Lena', 'let_speak');
  await Promise.all([mic(vera, 'Lena', 'muted'), mic(lena, 'Lena', 'muted')]);
  await lena.click('[data-action=mic]');
  await mic(vera, 'Lena', 'on');
  await mic(vera, 'Ivan', 'forced');
  await order(vera, 'Lena', 'end_speak');
  await mic(vera, 'Lena', 'forced');
  await order(vera, 'Lena', 'lower_hand');
  await ivan.until('first now', () => document.querySelector('veche-tile[data-name=Ivan]')?.getAttribute('data-hand') === '1');
  await vera.click('[data-action=lower-all]');
  await vera.click('[data-action=mute-all]');
  await mic(vera, 'Ivan', 'muted');

  // A decision in the chat, pinned for all.
  await vera.click('.bar [data-action=chat]');
  await vera.click('[data-action=plus]');
  await vera.click('.menu [data-action=new-poll]');
  await vera.fill('[name=question]', 'Same time next year?');
  await vera.fill('[name=option-0]', 'Yes');
  await vera.fill('[name=option-1]', 'No');
  await vera.click('[data-action=send-poll]');
  for (const tab of [ivan, lena]) {
    await tab.click('.bar [data-action=chat]');
    await tab.click('.poll-option[data-option="0"]');
  }
  await vera.until('one mind', () => document.querySelector('.poll-count')?.textContent === '2');
  const poll = await vera.run(() => document.querySelector('.line:has(.poll)')?.getAttribute('data-message'));
  await vera.page.hover(`.line[data-message="${poll}"]`);
  await vera.click(`.line[data-message="${poll}"] [data-action=message-menu]`);
  await vera.click('.menu [data-action=pin-message]');
  await lena.visible('.pins .pinned-line');
  await inspect(lena, 'evening-chat-phone');

  // Vera's line breaks; meanwhile Ivan writes. She comes back as the owner, and has missed nothing.
  await vera.run(() => /** @type {any} */ (window).testkit.cut());
  await vera.until('the line down', () => document.body.dataset.connection === 'reconnecting');
  await ivan.fill('textarea[name=message]', 'Спасибо, @Vera');
  await ivan.press('Escape');
  await ivan.click('[data-action=send]');
  await reads(ivan, 'Спасибо, @Vera');
  await vera.run(() => /** @type {any} */ (window).testkit.mend());
  await vera.until('the line up', () => document.body.dataset.connection === 'connected');
  await reads(vera, 'Спасибо, @Vera');

  // Ivan takes the room over for the rest of the evening; what he does reads as his.
  await vera.click('.bar [data-action=people]');
  await order(vera, 'Ivan', 'give_room');
  await vera.click('dialog [data-action=confirm]');
  await ivan.until('the owner', () => /** @type {any} */ (window).veche.meeting.state.participants.some((/** @type {any} */ p) => p.display_name === 'Ivan' && p.role === 'owner'));
  await ivan.click('.bar [data-action=people]');
  await order(ivan, 'Vera', 'force_mic');
  await vera.until('the note', () => /Ivan has muted you/.test(document.querySelector('.call-notes')?.textContent ?? ''));
  await inspect(ivan, 'evening-people-dark');
  await order(ivan, 'Vera', 'release_mic');
  await mic(ivan, 'Vera', 'muted');
  await vera.click('[data-action=leave]');
  await vera.until('the goodbye', () => document.body.dataset.screen === 'left');
  assert.deepEqual(await ivan.run(() => /** @type {any} */ (window).testkit.errors), []);
  assert.deepEqual(await lena.run(() => /** @type {any} */ (window).testkit.errors), []);
});
