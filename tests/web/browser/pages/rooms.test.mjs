// What a room has beside its call, for an owner in Chromium and in Firefox: a picture, members who are not here, the log of what
// moderators did, and lines that this page cannot read.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { Chromium, Firefox } from '../harness/browsers.mjs';
import { PALETTE, begin, connected, enter } from '../harness/call.mjs';
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

/** @param {Buffer} bytes */
function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return (sum ^ 0xffffffff) >>> 0;
}

/** A picture of 1200 × 525 as a file: an evening sky. */
const SKY = (() => {
  const [width, height] = [1200, 525];
  const rows = Buffer.alloc(height * (1 + width * 3));
  for (let y = 0, at = 0; y < height; y++) {
    at += 1;
    for (let x = 0; x < width; x++) for (const [from, to] of [[22, 226], [50, 164], [79, 88]]) rows[at++] = Number(from) + ((Number(to) - Number(from)) * y) / height;
  }
  const part = (/** @type {string} */ name, /** @type {Buffer} */ data) => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), part('IHDR', head), part('IDAT', deflateSync(rows)), part('IEND', Buffer.alloc(0))]).toString('base64');
})();

/** Chooses that picture in a file field, as both browsers take it. @param {Tab} tab @param {string} selector */
const choosePicture = (tab, selector) => tab.run((/** @type {string[]} */ [s, bytes]) => {
  const box = new DataTransfer();
  box.items.add(new File([Uint8Array.from(atob(String(bytes)), (c) => c.charCodeAt(0))], 'sky.png', { type: 'image/png' }));
  const field = /** @type {HTMLInputElement} */ (document.querySelector(String(s)));
  field.files = box.files;
  field.dispatchEvent(new Event('change'));
}, [selector, SKY]);

/** Waits until a cover is drawn. @param {Tab} tab @param {string} selector */
const covered = (tab, selector) => tab.until(`a picture in ${selector}`, (/** @type {string} */ s) => /** @type {HTMLImageElement | null} */ (document.querySelector(s))?.naturalWidth === 1200, `${selector} img.cover`);

for (const name of /** @type {const} */ (['chromium', 'firefox'])) {
  test(`a room and its people, ${name}`, async () => {
    const browser = name === 'chromium' ? chromium : firefox;
    const look = async (/** @type {Tab} */ tab, /** @type {string} */ screen) => (name === 'chromium' ? inspect(tab, `rooms-${screen}`) : tab.screenshot(`screen-rooms-firefox-${screen}.png`));
    const vera = await browser.tab({ instruments: { colour: PALETTE.red } });
    const url = await begin(vera, server.url, 'Vera');
    const boris = await chromium.tab({ theme: 'dark', viewport: { width: 360, height: 740 }, instruments: { colour: PALETTE.green } });
    await enter(boris, url, 'Boris');

    // A line that only another program can read is said to be there.
    await boris.run(() => /** @type {any} */ (window).veche.meeting.ask({ type: 'chat.message.enc', algo: 'aes-gcm', ciphertext_b64: 'AAAA', client_id: 'sealed' }));
    await vera.visible('.bar [data-action=chat] .badge');
    await vera.click('.bar [data-action=chat]');
    await vera.until('the line', () => /encrypted message.*cannot read/.test(document.querySelector('.line .bubble-text')?.textContent ?? ''));

    // Whoever leaves stays a member: their role is changed without them.
    await boris.click('[data-action=leave]');
    await boris.until('the goodbye', () => document.body.dataset.screen === 'left');
    await vera.click('.bar [data-action=people]');
    await vera.click('.absent summary');
    await vera.click('.absent .person[data-name=Boris] [data-action=absent-menu]');
    await vera.click('.menu [data-action=make_member]');
    await vera.visible('.absent .person[data-name=Boris][data-role=member]');
    await look(vera, 'absent');

    // The room gets a picture; who comes sees it at the door.
    await vera.click('[data-action=room-settings]');
    await vera.visible('dialog [data-action=choose-cover]');
    await choosePicture(vera, 'dialog [name=cover]');
    await covered(vera, 'dialog');
    await vera.run(() => document.querySelector('.cover-field')?.scrollIntoView());
    await look(vera, 'settings');
    await boris.click('[data-action=rejoin]');
    await covered(boris, '.card');
    await look(boris, 'door-phone');

    // What was done stands in the log, the newest first.
    await vera.click('dialog [name=is_locked]');
    await vera.until('the lock', () => /** @type {any} */ (window).veche.meeting.state.state.is_locked);
    await vera.click('dialog [name=is_locked]');
    await vera.until('no lock', () => !(/** @type {any} */ (window).veche.meeting.state.state.is_locked));
    await vera.click('dialog [data-action=audit]');
    await vera.visible('.audit-line');
    const said = await vera.run(() => [...document.querySelectorAll('.audit-words')].map((words) => words.textContent));
    assert.deepEqual(said, ['The room is open again', 'The room settings were changed', '“Meeting of Vera”: name, key or picture of the room were changed', 'Boris is a member now']);
    await look(vera, 'audit');

    // The picture stands in the lobby too, until Vera lets Boris in.
    await vera.press('Escape');
    await vera.click('[data-action=room-settings]');
    await vera.click('dialog [name=has_lobby]');
    await vera.until('the lobby', () => /** @type {any} */ (window).veche.meeting.state.state.has_lobby);
    await vera.press('Escape');
    await boris.click('[data-action=join]');
    await boris.until('the lobby', () => document.body.dataset.screen === 'waiting');
    await covered(boris, '.card');
    await look(boris, 'waiting-phone');
    await vera.visible('.knock[data-name=Boris]');
    await look(vera, 'knock');
    await vera.click('.knock[data-name=Boris] [data-action=admit]');
    await connected(boris);
    await vera.visible('.people .person[data-name=Boris]');

    // Among the rooms it stands with its picture, and without once that is taken away.
    await boris.open(`${server.url}/rooms`);
    await covered(boris, '.room');
    await look(boris, 'list-phone');
    await vera.click('[data-action=room-settings]');
    await covered(vera, 'dialog');
    await vera.click('dialog [data-action=remove-cover]');
    await vera.gone('dialog img.cover');
    await boris.reload();
    await boris.visible('.room span.thumb');
    for (const tab of [vera, boris]) assert.deepEqual(await tab.run(() => /** @type {any} */ (window).testkit.errors), []);
    await Promise.all([vera.close(), boris.close()]);
  });
}
