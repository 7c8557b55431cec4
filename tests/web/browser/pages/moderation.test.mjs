// A moderator runs a meeting from the browser: mutes that hold and say whose they are, hands in order, the right
// to speak, roles, removal, ban and its end, lock, and the lobby from both sides.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, begin, connected, enter, knock, mic, order, shows, toasted } from '../harness/call.mjs';
import { inspect } from '../harness/inspect.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @typedef {import('../harness/browsers.mjs').Tab} Tab */

/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;
/** @type {Tab} */
let ada;
/** @type {Tab} */
let bob;
/** @type {Tab} */
let cleo;
let url = '';

before(async () => {
  server = await Server.start();
  browser = await Chromium.launch();
  ada = await browser.tab({ instruments: { colour: PALETTE.red } });
  url = await begin(ada, server.url, 'Ada');
  bob = await browser.tab({ theme: 'dark', locale: 'ru-RU', viewport: { width: 360, height: 740 }, touch: true, instruments: { colour: PALETTE.green, screen: PALETTE.yellow } });
  cleo = await browser.tab({ theme: 'dark', instruments: { colour: PALETTE.blue } });
  await enter(bob, url, 'Bob');
  await enter(cleo, url, 'Cleo');
  await ada.click('[data-action=people]');
});
after(() => closeAll(browser, server));

/** Waits until a button of the bar says so. @param {Tab} tab @param {string} action @param {string} state */
const button = (tab, action, state) => tab.until(`the button ${action} ${state}`, (/** @type {string[]} */ [a, s]) => document.querySelector(`.bar [data-action=${a}]`)?.getAttribute('data-state') === s, [action, state]);

test('a mute by a moderator looks different, names who did it, and opens nothing when it ends', async () => {
  await order(ada, 'Bob', 'force_mic');
  await Promise.all([mic(ada, 'Bob', 'forced'), mic(cleo, 'Bob', 'forced'), mic(bob, 'Bob', 'forced')]);
  await bob.until('the note', () => /Ada/.test(document.querySelector('.call-notes')?.textContent ?? ''));
  await button(bob, 'mic', 'forced');
  await inspect(bob, 'moderation-muted-phone');
  await bob.click('.bar [data-action=mic]');
  await toasted(bob, /выключил модератор/);
  await ada.until('by whom', () => /muted by Ada/.test(document.querySelector('.person[data-name=Bob] .person-state')?.textContent ?? ''));
  await inspect(ada, 'moderation-people-light');
  await order(ada, 'Bob', 'release_mic');
  await mic(ada, 'Bob', 'muted');
  // Lifted, but not opened.
  await button(bob, 'mic', 'off');
  await bob.click('.bar [data-action=mic]');
  await mic(ada, 'Bob', 'on');
});

test('a camera and a screen share are stopped, and the devices with them', async () => {
  await order(ada, 'Bob', 'force_camera');
  await ada.until('no picture of Bob', () => document.querySelector('veche-tile[data-name=Bob]')?.getAttribute('data-state') === 'avatar');
  await bob.until('the light out', () => /** @type {any} */ (window).veche.meeting.local.camera.track === null);
  await order(ada, 'Bob', 'release_camera');
  await button(bob, 'camera', 'off');
  await bob.click('.bar [data-action=camera]');
  await shows(ada, { Bob: 'green', Cleo: 'blue' });

  await cleo.run(() => /** @type {any} */ (window).veche.meeting.startScreen());
  await ada.visible('veche-tile[data-source=screen]');
  await order(ada, 'Cleo', 'stop_share');
  await ada.gone('veche-tile[data-source=screen]');
  await cleo.until('the screen let go', () => /** @type {any} */ (window).veche.meeting.local.screen === null);
  await toasted(cleo, /Ada has stopped your screen share/);
  await order(ada, 'Cleo', 'release_screen');
  await toasted(cleo, /may share your screen again/);
});

test('hands stand in order, and come down one by one or all', async () => {
  await cleo.press('KeyH');
  await ada.until("Cleo's hand", () => document.querySelector('veche-tile[data-name=Cleo]')?.getAttribute('data-hand') === '1');
  await bob.click('.bar [data-action=hand]');
  await ada.until("Bob's hand", () => document.querySelector('veche-tile[data-name=Bob]')?.getAttribute('data-hand') === '2');
  await ada.until('them in that order', () => [...document.querySelectorAll('.person')].map((p) => p.getAttribute('data-name')).join() === 'Ada,Cleo,Bob');
  await inspect(ada, 'moderation-hands-light');
  await order(ada, 'Cleo', 'lower_hand');
  await toasted(cleo, /Ada has lowered your hand/);
  await bob.until('first now', () => document.querySelector('veche-tile[data-name=Bob]')?.getAttribute('data-hand') === '1');
  // On a phone a panel covers the stage, and what is told stands below its heading.
  await bob.click('.bar [data-action=chat]');
  await bob.visible('.panel:not([hidden]) > header');
  await bob.run(async () => (await import(/** @type {any} */ ('/static/js/notices.js'))).toast('Told while a panel is open'));
  const overlap = await bob.run(() => {
    const [heading, toast] = ['.panel:not([hidden]) > header', '.toast'].map((at) => /** @type {Element} */ (document.querySelector(at)).getBoundingClientRect());
    return /** @type {DOMRect} */ (heading).bottom - /** @type {DOMRect} */ (toast).top;
  });
  assert.ok(overlap <= 0, `a toast covers ${overlap} pixels of the heading`);
  await inspect(bob, 'moderation-toast-panel-phone');
  await bob.click('.bar [data-action=chat]');
  await ada.click('[data-action=lower-all]');
  await bob.until('no hand', () => document.querySelector('.bar [data-action=hand]')?.getAttribute('aria-pressed') === 'false');
});

test('everybody is muted, and one of them may speak for some minutes', async () => {
  await ada.click('[data-action=mute-all]');
  await Promise.all([mic(ada, 'Bob', 'forced'), mic(ada, 'Cleo', 'forced'), mic(bob, 'Ada', 'on')]);
  await cleo.visible('.note [data-action=raise-hand]');
  await inspect(cleo, 'moderation-mute-all-dark');
  await order(ada, 'Cleo', 'let_speak_for');
  await ada.visible('dialog [name=minutes]');
  await ada.fill('dialog [name=minutes]', '0');
  await ada.click('dialog [data-action=confirm]');
  await ada.visible('dialog .wrong');
  await ada.fill('dialog [name=minutes]', '7');
  await inspect(ada, 'moderation-minutes-light');
  await ada.click('dialog [data-action=confirm]');
  await ada.gone('dialog');
  await mic(ada, 'Cleo', 'muted');
  await toasted(cleo, /You may speak until/);
  await mic(ada, 'Bob', 'forced');
  await order(ada, 'Cleo', 'end_speak');
  await mic(ada, 'Cleo', 'forced');
  await ada.click('[data-action=mute-all]');
  await mic(ada, 'Bob', 'muted');
});

test('a promotion counts at once, and so does its end', async () => {
  assert.equal(await cleo.run(() => document.querySelectorAll('[data-action=person-menu]').length), 0);
  await order(ada, 'Cleo', 'make_admin');
  await toasted(cleo, /You are a moderator now/);
  await cleo.click('[data-action=people]');
  await cleo.visible('.person[data-name=Bob] [data-action=person-menu]');
  await cleo.visible('.person[data-name=Ada] [data-action=volume]');
  await inspect(cleo, 'moderation-people-dark');
  await order(cleo, 'Bob', 'force_mic');
  await toasted(ada, /Bob: microphone off \(Cleo\)/);
  await order(cleo, 'Bob', 'release_mic');
  await order(ada, 'Cleo', 'make_member');
  await cleo.until('no powers', () => document.querySelectorAll('[data-action=person-menu]').length === 0);
});

test('a lobby: who comes waits, is let in or refused, and moderators see them on top', async () => {
  await ada.click('[data-action=room-settings]');
  await ada.click('dialog [name=has_lobby]');
  await ada.until('the lobby on', () => /** @type {any} */ (window).veche.meeting.state.state.has_lobby);
  await ada.fill('dialog [name=topic]', 'Budget & <b>plans</b>');
  await ada.click('dialog [data-action=save-room]');
  await bob.until('the topic', () => /** @type {any} */ (window).veche.meeting.state.state.topic === 'Budget & <b>plans</b>');
  await inspect(ada, 'moderation-settings-light');
  await ada.press('Escape');

  const dan = await browser.tab({ instruments: { colour: PALETTE.magenta }, theme: 'dark' });
  const eve = await browser.tab({ instruments: { colour: PALETTE.white }, viewport: { width: 360, height: 740 }, touch: true, locale: 'ru-RU' });
  for (const [tab, name] of /** @type {const} */ ([[dan, 'Dan'], [eve, 'Eve']])) {
    await tab.open(url);
    await tab.fill('[name=display_name]', name);
    await tab.click('[data-action=join]');
    await tab.until('the lobby', () => document.body.dataset.screen === 'waiting');
  }
  await inspect(dan, 'lobby-waiting-dark');
  await inspect(eve, 'lobby-waiting-phone');
  await ada.visible('.knock[data-name=Eve]');
  await ada.visible('.knock[data-name=Dan]');
  assert.deepEqual(await ada.run(() => [...document.querySelectorAll('.knock')].map((k) => k.getAttribute('data-name'))), ['Dan', 'Eve']);
  await inspect(ada, 'lobby-moderator-light');
  await ada.click('.knock[data-name=Dan] [data-action=admit]');
  await connected(dan);
  await ada.click('.knock[data-name=Eve] [data-action=refuse]');
  // A toast that asks for what has been decided is no more.
  await ada.until('no toast asking', () => document.querySelector('.toast button') === null);
  await eve.until('refused', () => document.querySelector('[data-reason=turned_away]') !== null);
  await inspect(eve, 'lobby-refused-phone');
  await eve.click('[data-action=rejoin]');
  await eve.click('[data-action=join]');
  // Within the seconds that it stands there.
  await ada.until('to let her in by the toast', () => {
    const toast = [...document.querySelectorAll('.toast')].find((one) => /Eve asks to come in/.test(one.textContent ?? ''));
    toast?.querySelector('button')?.click();
    return toast !== undefined;
  });
  await connected(eve);
  await eve.close();
  await dan.close();
  await ada.run(() => /** @type {any} */ (window).veche.meeting.ask({ type: 'state.set', has_lobby: false }));
});

test('who is removed reads by whom and why; who is banned stays away until the ban is lifted', async () => {
  await order(ada, 'Cleo', 'kick');
  await ada.fill('dialog [name=reason]', 'Noise <i>again</i>');
  await inspect(ada, 'moderation-kick-light');
  await ada.click('dialog [data-action=confirm]');
  await cleo.until('the end', () => document.querySelector('[data-reason=kicked]') !== null);
  assert.match(await cleo.run(() => document.querySelector('.removal')?.textContent), /By Ada: Noise <i>again<\/i>/);
  await inspect(cleo, 'moderation-kicked-dark');
  await cleo.click('[data-action=rejoin]');
  await knock(cleo, 'Cleo');
  await order(ada, 'Cleo', 'ban');
  await ada.click('dialog [data-action=confirm]');
  await cleo.until('the end', () => document.querySelector('[data-reason=banned]') !== null);
  assert.equal(await cleo.run(() => document.querySelectorAll('[data-action=rejoin]').length), 0);
  await inspect(cleo, 'moderation-banned-dark');
});

test('a locked room takes nobody new and says so; the moderator opens it again', async () => {
  await ada.click('[data-action=room-settings]');
  await ada.click('dialog [name=is_locked]');
  await ada.visible('.ban[data-name=Cleo]');
  await inspect(ada, 'moderation-bans-light');
  await ada.click('.ban[data-name=Cleo] [data-action=unban]');
  await ada.gone('.ban[data-name=Cleo]');
  const fay = await browser.tab({ instruments: { colour: PALETTE.white } });
  await fay.open(url);
  await fay.fill('[name=display_name]', 'Fay');
  await fay.click('[data-action=join]');
  await fay.until('the refusal', () => /locked/.test(document.querySelector('.note.bad')?.textContent ?? ''));
  await ada.click('dialog [name=is_locked]');
  await ada.press('Escape');
  await fay.click('[data-action=join]');
  await connected(fay);
  await fay.close();
});

test('an invitation with a role and a number of uses is made, shown again, used, and revoked', async () => {
  await ada.click('[data-action=room-settings]');
  await ada.visible('[data-action=make-invite]');
  await ada.run(() => {
    /** @type {HTMLSelectElement} */ (document.querySelector('[name=invite-role]')).value = 'member';
  });
  await ada.fill('[name=invite-uses]', '0');
  await ada.click('[data-action=make-invite]');
  await ada.visible('.invite-form .wrong:not([hidden])');
  await ada.fill('[name=invite-uses]', '1');
  await ada.click('[data-action=make-invite]');
  await ada.visible('.invite [data-action=copy-invite]');
  await inspect(ada, 'moderation-invites-light');
  const link = await ada.run(() => document.querySelector('[data-action=copy-invite]')?.getAttribute('data-link'));
  await ada.press('Escape');
  const gil = await browser.tab({ instruments: { colour: PALETTE.white } });
  await enter(gil, link, 'Gil');
  await ada.until('Gil as a member', () => document.querySelector('.person[data-name=Gil]')?.getAttribute('data-role') === 'member');
  await gil.close();
  await ada.click('[data-action=room-settings]');
  await ada.until('that it is used up', () => /used 1 of 1/.test(document.querySelector('.invite')?.textContent ?? ''));
  await ada.click('.invite [data-action=revoke-invite]');
  await ada.gone('.invite');
  await ada.press('Escape');
});

test('a stream key is made, shown once, opens the room to an encoder, and is revoked', async () => {
  await ada.click('[data-action=room-settings]');
  await ada.fill('[name=key-name]', ' ');
  await ada.click('[data-action=make-key]');
  await ada.visible('[name=key-name][aria-invalid=true]');
  await ada.fill('[name=key-name]', 'Stage camera');
  await ada.click('[data-action=make-key]');
  await ada.visible('[name=key-secret]');
  await inspect(ada, 'moderation-keys-light');
  // An SDP that is none: whoever is refused for it was let in.
  const knock = (/** @type {{address: string, key: string}} */ { address, key }) =>
    fetch(address, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/sdp' }, body: 'v=0' }).then((answer) => answer.status);
  const shown = await ada.run(() => {
    const value = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (document.querySelector(`[name=${name}]`)).value;
    return { address: value('key-address'), key: value('key-secret') };
  });
  assert.match(shown.key, /^vsk_[\w-]{32}$/);
  assert.equal(await ada.run(knock, shown), 422);
  await ada.press('Escape');
  await ada.click('[data-action=room-settings]');
  await ada.visible('[data-streamkey] [data-action=revoke-key]');
  assert.ok(!(await ada.run(() => document.body.innerHTML)).includes(shown.key), 'shown once');
  await ada.click('[data-streamkey] [data-action=revoke-key]');
  await ada.gone('[data-streamkey]');
  assert.equal(await ada.run(knock, shown), 401);
  await ada.press('Escape');
});

test('the room is given away, and the old owner stays a moderator', async () => {
  await order(ada, 'Bob', 'give_room');
  await ada.click('dialog [data-action=confirm]');
  await bob.until('the owner', () => /** @type {any} */ (window).veche.meeting.state.participants.find((/** @type {any} */ p) => p.display_name === 'Bob')?.role === 'owner');
  await bob.click('.bar [data-action=people]');
  await bob.visible('.person[data-name=Ada] [data-action=person-menu]');
  await inspect(bob, 'moderation-people-phone');
  await bob.click('.person[data-name=Ada] [data-action=person-menu]');
  await inspect(bob, 'moderation-menu-phone');
});
