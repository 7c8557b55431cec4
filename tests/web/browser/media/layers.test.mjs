// Layers in real browsers: what they send, what is paused when nobody takes it, and how a picture changes its size
// without standing still.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Chromium, Firefox } from '../harness/browsers.mjs';
import { PALETTE, connected } from '../harness/call.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @typedef {import('../harness/browsers.mjs').Tab} Tab */
/** @typedef {import('../harness/instruments.mjs').Instruments} Instruments */
/** @typedef {{rid: string | null, bitrate: number, width: number | null, height: number | null}} Encoding */

/** Windows in which the picture of another is as large as the screen, and as a stamp. */
const LARGE = { width: 1280, height: 800 };
const SMALL = { width: 340, height: 420 };
/** Five seconds until the server says that nobody takes a layer, and much longer where encoders have no time for a large picture. */
const PATIENCE = 60_000;

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

/**
 * Anna films, Boris looks in Chromium.
 * @param {Chromium | Firefox} browser Anna's
 * @param {Instruments} instruments
 * @param {'vp8' | 'vp9' | 'av1'} codec
 */
async function filmed(browser, instruments, codec) {
  const room = await server.room('Layers');
  const url = `${server.url}/r/${room.slug}`;
  const anna = await browser.tab({ instruments });
  await anna.open(url);
  await anna.run((/** @type {string} */ chosen) => localStorage.setItem('veche.preferences', JSON.stringify({ codec: chosen })), codec);
  const boris = await chromium.tab({ instruments: {}, viewport: LARGE });
  for (const [tab, name] of /** @type {const} */ ([[anna, 'Anna'], [boris, 'Boris']])) {
    await tab.open(url);
    await tab.fill('[name=display_name]', name);
    await tab.click('[data-action=join]');
    await connected(tab);
    if (tab === boris) await tab.click('[data-action=camera]');
  }
  const transports = async () => {
    const stats = await server.call('GET', `rooms/${room.slug}/stats`, undefined, room.token);
    return stats.participants.flatMap((/** @type {any} */ p) => p.transports);
  };
  /** What the server takes of Anna's camera. @returns {Promise<{codec: string, encodings: Encoding[]}>} */
  const camera = async () => (await transports()).flatMap((/** @type {any} */ t) => t.tracks ?? []).find((/** @type {any} */ t) => t.source === 'camera');
  return { anna, boris, camera, close: () => Promise.all([anna.close(), boris.close()]) };
}

/** What a page sends of its camera, by rid: whether it is on, and its frames so far. @param {Tab} tab */
const sent = (tab) => tab.run(async () => {
  /** @type {Record<string, {isActive: boolean, frames: number, width: number, mode: string | null}>} */
  const layers = {};
  for (const pc of /** @type {any} */ (window).testkit.pcs) {
    if (pc.connectionState === 'closed') continue;
    (await pc.getStats()).forEach((/** @type {any} */ s) => {
      if (s.type === 'outbound-rtp' && s.kind === 'video') {
        layers[s.rid ?? ''] = { isActive: s.active ?? true, frames: s.framesEncoded ?? 0, width: s.frameWidth ?? 0, mode: s.scalabilityMode ?? null };
      }
    });
  }
  return layers;
});

/** The layers of which a page encodes pictures now. @param {Tab} tab */
async function encodes(tab) {
  const before = await sent(tab);
  await new Promise((done) => setTimeout(done, 1500));
  const now = await sent(tab);
  return Object.keys(now).filter((rid) => (now[rid]?.frames ?? 0) > (before[rid]?.frames ?? 0)).sort();
}

/** What a page sees: the stream that brings pictures. @param {Tab} tab */
const seen = (tab) => tab.run(async () => {
  let found = { width: 0, frames: 0, freezes: 0, codec: '' };
  for (const pc of /** @type {any} */ (window).testkit.pcs) {
    if (pc.connectionState === 'closed') continue;
    const stats = await pc.getStats();
    stats.forEach((/** @type {any} */ s) => {
      if (s.type === 'inbound-rtp' && s.kind === 'video' && (s.framesDecoded ?? 0) > found.frames) {
        found = { width: s.frameWidth ?? 0, frames: s.framesDecoded, freezes: s.freezeCount ?? 0, codec: stats.get(s.codecId)?.mimeType ?? '' };
      }
    });
  }
  return found;
});

/**
 * Asks until the answer passes.
 * @template T @param {string} what @param {() => Promise<T>} ask @param {(answer: T) => boolean} passes @returns {Promise<T>}
 */
async function until(what, ask, passes) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const answer = await ask();
    if (passes(answer)) return answer;
    if (Date.now() > end) throw new Error(`waited for ${what}: ${JSON.stringify(answer)}`);
    await new Promise((done) => setTimeout(done, 250));
  }
}

/**
 * The picture becomes as wide as that, and frames are decoded in every second until then.
 * @param {Tab} tab @param {{width: number, height: number}} window @param {(width: number) => boolean} passes
 */
async function resize(tab, window, passes) {
  const before = await seen(tab);
  let frames = before.frames;
  let looked = Date.now();
  let stood = 0;
  await tab.page.setViewportSize(window);
  const after = await until(`another size in ${window.width}`, () => seen(tab), (now) => {
    if (now.frames > frames) [frames, looked] = [now.frames, Date.now()];
    stood = Math.max(stood, Date.now() - looked);
    return passes(now.width);
  });
  console.log(`${before.width} → ${after.width} wide, ${after.frames - before.frames} frames meanwhile, ${after.freezes - before.freezes} freezes, none decoded for ${stood} ms at most`);
  assert.ok(stood < 8000, `no frame was decoded for ${stood} ms`);
}

describe('three layers of VP8', () => {
  for (const who of /** @type {const} */ (['Chromium', 'Firefox'])) {
    test(`${who} sends them, and pauses what nobody takes`, async () => {
      const call = await filmed(who === 'Chromium' ? chromium : firefox, { films: true }, 'vp8');
      try {
        // One that nobody takes may be paused already, before the last has come; and Firefox leaves the largest out for as long
        // as the machine is busy.
        const most = who === 'Chromium' ? 3 : 2;
        const all = await until('all layers', call.camera, (track) => (track?.encodings ?? []).filter((e) => e.width).length >= most);
        console.log(who, all.codec, JSON.stringify(all.encodings));
        assert.equal(all.codec, 'VP8');
        assert.deepEqual(all.encodings.map((e) => e.rid), ['q', 'h', 'f']);
        const largest = Math.max(...all.encodings.map((e) => e.width ?? 0));
        await until('the best layer', () => seen(call.boris), (now) => now.width >= largest);
        await resize(call.boris, SMALL, (width) => width <= largest / 2);
        // The sender does not even encode what nobody takes.
        const encoded = await until('the upper layers to be paused', () => encodes(call.anna), (rids) => !rids.includes('f') && !rids.includes('h'));
        assert.deepEqual(encoded, ['q']);
        await until('only the lowest to be taken', call.camera, (track) => track.encodings.map((e) => e.bitrate > 0).join() === 'true,false,false');
        await resize(call.boris, LARGE, (width) => width >= largest);
      } finally {
        await call.close();
      }
    });
  }
});

// In software AV1 has no time for a large picture, and of a smaller one Chromium sends two sizes.
for (const [codec, instruments, small, large] of /** @type {const} */ ([['vp9', { films: true }, 320, 1280], ['av1', { colour: PALETTE.blue }, 320, 640]])) {
  test(`nested sizes of ${codec.toUpperCase()} go and come without a gap, and are paused when nobody takes them`, async () => {
    const call = await filmed(chromium, instruments, codec);
    try {
      const track = await until('the camera', call.camera, (t) => (t?.encodings[0]?.bitrate ?? 0) > 0 && t?.encodings[0]?.width === large);
      console.log(track.codec, JSON.stringify(track.encodings), await sent(call.anna));
      assert.equal(track.codec, codec.toUpperCase());
      assert.equal(track.encodings.length, 1);
      assert.equal(Object.values(await sent(call.anna))[0]?.mode, codec === 'vp9' ? 'L3T3_KEY' : 'L2T3_KEY');
      const best = await until('the best layer', () => seen(call.boris), (now) => now.width === large);
      assert.equal(best.codec.toLowerCase(), `video/${codec}`);
      const own = async () => Object.values(await sent(call.anna))[0];
      await resize(call.boris, SMALL, (width) => width === small);
      // At once again: nothing was paused in so short a time.
      await resize(call.boris, LARGE, (width) => width === large);
      await resize(call.boris, SMALL, (width) => width === small);
      const paused = await until('the large sizes to be paused', own, (layer) => layer?.mode === 'L1T3');
      assert.equal(paused?.width, small, 'the size that stays is what it was');
      await until('only the small size to come', call.camera, (t) => t.encodings[0]?.width === small && (t.encodings[0]?.bitrate ?? 0) > 0);
      const asked = Date.now();
      await resize(call.boris, LARGE, (width) => width === large);
      console.log(`the large size was back after ${Date.now() - asked} ms`);
      await until('all sizes to be sent', own, (layer) => layer?.mode !== 'L1T3' && layer?.width === large);
    } finally {
      await call.close();
    }
  });
}
