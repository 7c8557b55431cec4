// What people send from browsers and encoders is recorded: every file is read by ffmpeg and mkvinfo without a word, and
// Chromium plays it and goes where it is told.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, enter, knock } from '../harness/call.mjs';
import { ffmpegWhip } from '../harness/clients.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @typedef {import('../harness/browsers.mjs').Tab} Tab */
/** @typedef {{name: string, display_name: string, source: string, tracks: {codec: string}[], offset_ms: number, duration_ms: number | null}} File */

/** How long everybody is there after the last of them has begun. */
const SECONDS = 5;

/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;
/** @type {Proxy} */
let link;
/** @type {Tab} */
let vera;
/** @type {{slug: string, token: string}} */
let room;
let id = '';
let folder = '';
/** @type {File[]} */
let files = [];

/** The table of contents as it stands. @returns {{state: string, files: File[]}} */
const contents = () => JSON.parse(readFileSync(join(folder, 'meeting.json'), 'utf8'));

/** @param {string} what @param {() => boolean} is */
async function until(what, is) {
  const end = Date.now() + 60_000;
  while (!is()) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}: ${JSON.stringify(contents())}\n${server.tail()}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** @param {string} name @param {string} source @param {string} codec */
const has = (name, source, codec) => contents().files.some((file) => file.display_name === name && file.source === source && file.tracks.some((track) => track.codec === codec));

/** Somebody whose browser encodes in a codec. @param {Tab} tab @param {string} url @param {string} name @param {string} codec */
async function come(tab, url, name, codec) {
  await tab.open(url);
  await tab.run((/** @type {string} */ chosen) => localStorage.setItem('veche.preferences', JSON.stringify({ codec: chosen })), codec);
  await enter(tab, url, name);
}

before(async () => {
  server = await Server.start();
  browser = await Chromium.launch();
  room = await server.room('Recorded');
  const url = `${server.url}/r/${room.slug}`;
  link = await Proxy.start(server.mediaPort);
  // Vera's pictures go in two sizes over a bad link, Boris comes twice, Clara's screen changes its size.
  vera = await browser.tab({ instruments: { colour: PALETTE.red, tone: 300, mediaPort: link.port } });
  const boris = await browser.tab({ instruments: { small: true, colour: PALETTE.green, tone: 500 } });
  const clara = await browser.tab({ instruments: { small: true, colour: PALETTE.blue, tone: 700, screen: PALETTE.white } });
  await Promise.all([come(vera, url, 'Vera', 'vp8'), come(boris, url, 'Boris', 'vp9'), come(clara, url, 'Clara', 'av1')]);
  ({ id } = await server.call('POST', `rooms/${room.slug}/recordings`, undefined, room.token));
  folder = join(/** @type {string} */ (server.folder), 'records', room.slug, id);
  await until('the folder', () => existsSync(join(folder, 'meeting.json')));
  const encoder = await ffmpegWhip(`${server.url}/whip/${room.slug}`, await server.guest('Encoder'), PALETTE.magenta);
  await clara.click('[data-action=screen]');
  await until('everybody', () => has('Vera', 'camera', 'vp8') && has('Boris', 'camera', 'vp9') && has('Clara', 'camera', 'av1')
    && has('Clara', 'screen', 'vp8') && has('Encoder', 'camera', 'h264'));
  link.set({ loss: 0.05 });
  await boris.click('[data-action=mic]');
  await new Promise((done) => setTimeout(done, 1000));
  await boris.click('[data-action=mic]');
  await new Promise((done) => setTimeout(done, 1000));
  await clara.run(() => /** @type {any} */ (window).testkit.resize([640, 800]));
  await boris.reload();
  await knock(boris, 'Boris');
  await until('Boris again', () => contents().files.filter((file) => file.display_name === 'Boris').length > 1);
  await new Promise((done) => setTimeout(done, SECONDS * 1000));
  await server.call('POST', `recordings/${id}/stop`, undefined, room.token);
  await Promise.all([encoder.close(), boris.close(), clara.close()]);
  await until('the end', () => contents().state === 'complete');
  ({ files } = contents());
});
after(async () => {
  link?.close();
  await closeAll(browser, server);
});

/** What a tool has to say, which must be no complaint. @param {string} program @param {string[]} words */
function told(program, words) {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, ''], `${program} ${words.join(' ')}`);
  return stdout;
}

test('ffmpeg reads every file to its end without a word, and mkvinfo knows all of it', () => {
  for (const { name } of files) {
    const path = join(folder, name);
    told('ffmpeg', ['-v', 'error', '-xerror', '-i', path, '-fps_mode', 'vfr', '-f', 'null', '-']);
    const info = told('mkvinfo', ['-a', path]);
    assert.match(info, /Cues/, name);
    assert.doesNotMatch(info, /nknown element/, name);
  }
});

test('Chromium plays every file and goes where it is told', async () => {
  for (const { name, tracks, duration_ms: length } of files) {
    const { url } = await server.call('POST', `recordings/${id}/links`, { file: name }, room.token);
    const seen = await vera.run(async (/** @type {{url: string}} */ { url: source }) => {
      const video = document.createElement('video');
      const comes = (/** @type {string} */ event) => new Promise((done, fail) => {
        video.addEventListener(event, done, { once: true });
        video.addEventListener('error', () => fail(new Error(video.error?.message)), { once: true });
        setTimeout(() => fail(new Error(`no ${event}`)), 20_000);
      });
      video.muted = true;
      video.src = source;
      await comes('canplay');
      const { duration } = video;
      const places = [];
      for (const part of [0.8, 0.2, 0.5]) {
        video.currentTime = duration * part;
        await comes('seeked');
        places.push(Math.abs(video.currentTime - duration * part) < 0.1 && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA);
      }
      const from = video.currentTime;
      await video.play();
      while (video.currentTime < Math.min(from + 0.5, duration)) await comes('timeupdate');
      const { videoWidth } = video;
      video.removeAttribute('src');
      return { duration, places, videoWidth };
    }, { url });
    assert.deepEqual(seen.places, [true, true, true], name);
    assert.ok(Math.abs(seen.duration * 1000 - (length ?? 0)) < 100, `${name}: ${seen.duration} s, ${length} ms`);
    assert.equal(seen.videoWidth > 0, tracks.some(({ codec }) => codec !== 'opus'), name);
  }
});

test('what a browser cannot play is named', async () => {
  await server.call('PUT', `rooms/${room.slug}/recording-policy`, { recordings_for: 'link' }, room.token);
  // As one that knows no Matroska.
  await vera.page.addInitScript(() => {
    const { canPlayType } = HTMLMediaElement.prototype;
    HTMLMediaElement.prototype.canPlayType = function (type) {
      return type.includes('matroska') ? '' : canPlayType.call(this, type);
    };
  });
  const at = Math.ceil((files.find((file) => file.display_name === 'Encoder')?.offset_ms ?? 0) / 1000) + 2;
  await vera.open(`${server.url}/recordings/${id}#t=${at}`);
  await vera.until('what it cannot play', () => /cannot play.*H264/is.test(/** @type {HTMLElement | null} */ (document.querySelector('.tile[data-name=Encoder] .replay-trouble'))?.innerText ?? ''));
});

test('a screen that changes its size is one file with both sizes', () => {
  const screens = files.filter((file) => file.source === 'screen');
  assert.equal(screens.length, 1);
  const out = told('ffprobe', ['-v', 'error', '-select_streams', 'v:0', '-show_entries', 'frame=width,height', '-of', 'csv=p=0', join(folder, screens[0]?.name ?? '')]);
  const shapes = new Set(out.trim().split('\n').map((line) => line.split(',').map(Number)).map(([w = 0, h = 0]) => (w > h ? 'wide' : 'high')));
  assert.deepEqual([...shapes], ['wide', 'high']);
});
