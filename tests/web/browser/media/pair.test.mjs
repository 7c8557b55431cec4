// Two people in Chromium, through the client's own pages, from the link to leaving.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium, PATIENCE } from '../harness/browsers.mjs';
import { PALETTE, connected, enter, knock, shows, tiles } from '../harness/call.mjs';
import { flows, totals } from '../harness/media.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;
/** @type {import('../harness/browsers.mjs').Tab} */
let anna;
/** @type {import('../harness/browsers.mjs').Tab} */
let boris;
let url = '';

before(async () => {
  server = await Server.start();
  browser = await Chromium.launch();
});
after(() => closeAll(browser, server));

/** Waits for a second in which there is no picture, and next to no sound. @param {import('../harness/browsers.mjs').Tab} tab */
async function quiet(tab) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const [start, before] = [Date.now(), await totals(tab)];
    await new Promise((done) => setTimeout(done, 1_000));
    const [seconds, now] = [(Date.now() - start) / 1000, await totals(tab)];
    const [packets, frames] = [now.audioPackets - before.audioPackets, now.framesDecoded - before.framesDecoded];
    // An encoder without sound says so now and then; one that is heard sends fifty packets a second.
    if (packets <= 10 * seconds && frames === 0) return;
    if (Date.now() > end) throw new Error(`${packets} packets and ${frames} frames of a muted person in ${seconds} s`);
  }
}

test('a meeting is started from the home page, and its link lets a second person in', async () => {
  anna = await browser.tab({ instruments: { colour: PALETTE.red, tone: 440, screen: PALETTE.yellow } });
  await anna.open(server.url);
  await anna.fill('[name=display_name]', 'Anna');
  await anna.click('[data-action=new-meeting]');
  await anna.visible('[data-action=join]');
  await anna.screenshot('pair-door.png');
  url = await anna.run(() => location.href);
  assert.match(url, /\/r\/[a-z0-9-]+/);
  await anna.click('[data-action=join]');
  await connected(anna);

  boris = await browser.tab({ instruments: { colour: PALETTE.green, tone: 660 } });
  await enter(boris, url, 'Boris');
});

test('both see and hear each other', async () => {
  await Promise.all([flows(anna), flows(boris)]);
  await Promise.all([shows(anna, { Boris: 'green' }), shows(boris, { Anna: 'red' })]);
  await anna.screenshot('pair-anna.png');
  await boris.screenshot('pair-boris.png');
});

test('what is heard plays unmuted, with the name of who speaks', async () => {
  for (const [tab, name] of /** @type {const} */ ([[anna, 'Boris'], [boris, 'Anna']])) {
    await tab.until('sound with an owner', (/** @type {string} */ who) => {
      const owner = document.querySelector(`veche-tile[data-name="${who}"]`)?.getAttribute('data-participant');
      const sounds = /** @type {HTMLAudioElement[]} */ ([...document.querySelectorAll('.sounds audio')]);
      return sounds.some((a) => a.dataset.participant === owner && !a.muted && !a.paused && a.volume > 0);
    }, name);
  }
});

test('chat arrives, own lines on the right', async () => {
  for (const [from, to, text] of /** @type {const} */ ([[anna, boris, 'Hello Boris'], [boris, anna, 'Hello <b>Anna</b>']])) {
    if (!(await from.run(() => !!document.querySelector('textarea[name=message]')?.getClientRects().length))) {
      await from.click('[data-action=chat]');
    }
    await from.fill('textarea[name=message]', text);
    await from.click('[data-action=send]');
    await from.until('the own line', (/** @type {string} */ t) => [...document.querySelectorAll('.line.mine[data-state=sent] .bubble-text')]
      .some((line) => line.textContent === t), text);
    if (!(await to.run(() => !!document.querySelector('.log')?.getClientRects().length))) await to.click('[data-action=chat]');
    await to.until('the line', (/** @type {string} */ t) => [...document.querySelectorAll('.line:not(.mine) .bubble-text')]
      .some((line) => line.textContent === t), text);
  }
  await boris.screenshot('pair-chat.png');
  await anna.click('[data-action=chat]');
  await boris.click('[data-action=chat]');
});

test('a muted microphone and a camera that is off are seen, and send next to nothing', async () => {
  await anna.click('[data-action=mic]');
  await boris.until('the muted sign', () => document.querySelector('veche-tile[data-name=Anna]')?.getAttribute('data-mic') === 'muted');
  await anna.click('[data-action=camera]');
  await shows(boris, { Anna: null });
  await quiet(boris);
  await flows(anna);
  await anna.click('[data-action=mic]');
  await anna.click('[data-action=camera]');
  await flows(boris);
  await shows(boris, { Anna: 'red' });
});

test('a shared screen takes the stage and goes again', async () => {
  await anna.click('[data-action=screen]');
  await shows(boris, { Anna: 'red', 'Anna/screen': 'yellow' });
  await boris.until('a screen that is larger than the camera', () => {
    const width = (/** @type {string} */ source) => document.querySelector(`veche-tile[data-name=Anna][data-source=${source}]`)?.getBoundingClientRect().width ?? 0;
    return width('camera') > 0 && width('screen') > 2 * width('camera');
  });
  await boris.screenshot('pair-screen.png');
  await anna.click('[data-action=screen]');
  await shows(boris, { Anna: 'red' });
});

test('the volume of a person is set here only, and at zero costs nothing', async () => {
  await boris.click('[data-action=people]');
  await boris.click('.person[data-name=Anna] [data-action=volume]');
  await boris.visible('input[name=volume]');
  const set = (/** @type {number} */ value) => boris.run((/** @type {number} */ v) => {
    const slider = /** @type {HTMLInputElement} */ (document.querySelector('input[name=volume]'));
    slider.value = String(v);
    slider.dispatchEvent(new Event('input', { bubbles: true }));
  }, value);
  const volume = (/** @type {number} */ value) => boris.until(`volume ${value}`, (/** @type {number} */ v) => {
    const owner = document.querySelector('veche-tile[data-name=Anna]')?.getAttribute('data-participant');
    const sound = /** @type {HTMLAudioElement | null} */ (document.querySelector(`.sounds audio[data-participant="${owner}"]`));
    return sound !== null && Math.abs(sound.volume - v) < 0.01;
  }, value);
  await set(30);
  await volume(0.3);
  await set(0);
  await boris.until('silence', async () => {
    /** @type {any} */
    const kit = /** @type {any} */ (window).testkit;
    let packets = 0;
    for (const pc of kit.pcs) {
      (await pc.getStats()).forEach((/** @type {any} */ s) => {
        if (s.type === 'inbound-rtp' && s.kind === 'audio') packets += s.packetsReceived;
      });
    }
    const same = kit.lastPackets === packets;
    kit.lastPackets = packets;
    return same;
  });
  await set(100);
  await volume(1);
  await flows(boris, { video: false });
  await boris.press('Escape');
  await boris.click('[data-action=people]');
});

test('a reload comes back as the same person, with media', async () => {
  await boris.reload();
  await knock(boris, 'Boris');
  await Promise.all([flows(anna), flows(boris)]);
  await shows(anna, { Boris: 'green' });
  await shows(boris, { Anna: 'red' });
});

test('leaving removes the tile and frees the way back', async () => {
  await boris.click('[data-action=leave]');
  await boris.until('the parting page', () => document.body.dataset.screen === 'left');
  await boris.screenshot('pair-left.png');
  await shows(anna, {});
  await boris.click('[data-action=rejoin]');
  await knock(boris, 'Boris').catch(async (error) => {
    // A member goes straight in.
    if (!(await boris.run(() => document.body.dataset.screen === 'call'))) throw error;
    await connected(boris);
  });
  await shows(anna, { Boris: 'green' });
  assert.equal((await tiles(anna)).filter((tile) => !tile.mine).length, 1);
});

test('no script failed on the way', async () => {
  for (const tab of [anna, boris]) {
    assert.deepEqual(await tab.run(() => /** @type {any} */ (window).testkit.errors), []);
    assert.deepEqual(tab.console.filter((line) => /^(error|pageerror)/.test(line)), []);
  }
});
