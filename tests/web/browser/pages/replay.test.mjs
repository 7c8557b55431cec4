// A meeting is recorded by the server and watched again: the right pictures under the right names, in step, the chat when
// it was said, in Chromium and in Firefox.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Chromium, Firefox, PATIENCE } from '../harness/browsers.mjs';
import { PALETTE, begin, enter, shows } from '../harness/call.mjs';
import { inspect } from '../harness/inspect.mjs';
import { flows } from '../harness/media.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @typedef {import('../harness/browsers.mjs').Tab} Tab */

/** What two people have to say. */
const SECONDS = 8;

/** @type {Server} */
let server;
/** @type {Chromium} */
let chromium;
/** @type {Tab} */
let vera;
let id = '';

before(async () => {
  server = await Server.start();
  chromium = await Chromium.launch();
  vera = await chromium.tab({ instruments: { colour: PALETTE.red, tone: 300 } });
  const url = await begin(vera, server.url, 'Vera');
  const boris = await chromium.tab({ instruments: { colour: PALETTE.green, tone: 500 } });
  await enter(boris, url, 'Boris');
  await Promise.all([flows(vera), flows(boris), shows(vera, { Boris: 'green' })]);
  await vera.run(() => /** @type {any} */ (window).veche.meeting.ask({ type: 'record.start' }));
  await boris.visible('.recording');
  await new Promise((done) => setTimeout(done, (SECONDS * 1000) / 2));
  await boris.run(() => /** @type {any} */ (window).veche.meeting.ask({ type: 'chat.message', text: 'In the middle', client_id: 'm' }));
  await boris.press('KeyH');
  await new Promise((done) => setTimeout(done, (SECONDS * 1000) / 2));
  await boris.close();
  await vera.run(() => /** @type {any} */ (window).veche.meeting.ask({ type: 'record.stop' }));
  id = await vera.until('the recording whole', async () => {
    const { veche } = /** @type {any} */ (window);
    const { token, slug } = { token: JSON.parse(localStorage.getItem('veche.session') ?? '{}').access_token, slug: veche.meeting.state.room.slug };
    const answer = await (await fetch(`/api/v1/rooms/${slug}/recordings`, { headers: { authorization: `Bearer ${token}` } })).json();
    const [last] = answer.recordings ?? [];
    return last?.state === 'complete' && last.id;
  });
});
after(() => closeAll(chromium, server));

/** What is seen: each name with the nearest colour of its picture. @param {Tab} tab @returns {Promise<Record<string, string | null>>} */
const seen = (tab) => tab.run((/** @type {Record<string, number[]>} */ palette) => {
  const paint = /** @type {CanvasRenderingContext2D} */ (Object.assign(document.createElement('canvas'), { width: 8, height: 8 }).getContext('2d', { willReadFrequently: true }));
  return Object.fromEntries([...document.querySelectorAll('.replay-stage .tile')].map((tile) => {
    const video = /** @type {HTMLVideoElement | null} */ (tile.querySelector('video.shown'));
    if (!video) return [tile.getAttribute('data-name'), null];
    paint.drawImage(video, 0, 0, 8, 8);
    const [r = 0, g = 0, b = 0] = paint.getImageData(4, 4, 1, 1).data;
    const far = (/** @type {number[]} */ c) => Math.hypot(r - (c[0] ?? 0), g - (c[1] ?? 0), b - (c[2] ?? 0));
    return [tile.getAttribute('data-name'), Object.entries(palette).sort(([, x], [, y]) => far(x) - far(y))[0]?.[0] ?? ''];
  }));
}, PALETTE);

/** @param {Tab} tab @param {number} ms */
const plays = (tab, ms) => tab.until(`the moment ${ms}`, (/** @type {number} */ wanted) => Number(/** @type {HTMLElement} */ (document.querySelector('main.replay'))?.dataset.at) >= wanted, ms);

/** @param {Tab} tab @param {string} state */
const stands = (tab, state) => tab.until(state, (/** @type {string} */ wanted) => /** @type {HTMLElement | null} */ (document.querySelector('main.replay'))?.dataset.state === wanted, state);

/** Waits until both files are near each other on the recording's clock; it plays once more if it ends before. @param {Tab} tab */
const together = (tab) => tab.until('the files in step', async () => {
  if (/** @type {HTMLElement} */ (document.querySelector('main.replay')).dataset.state === 'ended') /** @type {HTMLElement} */ (document.querySelector('[data-action=play]')).click();
  const { files } = await (await fetch(`/api/v1/recordings/${location.pathname.split('/').pop()}`, { headers: { authorization: `Bearer ${JSON.parse(localStorage.getItem('veche.session') ?? '{}').access_token}` } })).json();
  const times = /** @type {HTMLVideoElement[]} */ ([...document.querySelectorAll('.replay-stage video')]).filter((v) => !v.paused).map((video) => {
    const file = files.find((/** @type {{name: string}} */ f) => video.src.endsWith(encodeURIComponent(f.name)));
    return video.currentTime * 1000 + file.offset_ms;
  });
  return times.length === 2 && Math.max(...times) - Math.min(...times) < 100;
});

/** @param {Tab} tab */
async function watch(tab) {
  await tab.open(`${server.url}/recordings/${id}`);
  await stands(tab, 'paused');
  assert.equal(await tab.run(() => document.querySelectorAll('.replay-log .line').length), 0, 'not said yet');
  await tab.click('[data-action=play]');
  await plays(tab, 1500);
  const end = Date.now() + PATIENCE;
  const wanted = { Vera: 'red', Boris: 'green' };
  for (let now = await seen(tab); !isDeepStrictEqual(now, wanted); now = await seen(tab)) if (Date.now() > end) assert.deepEqual(now, wanted);
  await together(tab);
}

test('it is watched: pictures under their names, in step, the chat in its time', async () => {
  await watch(vera);
  await vera.until('the line', () => document.querySelector('.replay-log .bubble-text')?.textContent === 'In the middle');
  await inspect(vera, 'replay-light');
  await stands(vera, 'ended');
});

test('keys, a moment in a link, views and files', async () => {
  await vera.run(() => { location.hash = 't=2'; });
  await vera.until('the moment', () => /** @type {HTMLElement} */ (document.querySelector('main.replay')).dataset.at === '2000');
  await vera.until('the picture of that moment', () => document.querySelectorAll('.replay-stage video.shown').length === 2);
  await vera.until('nothing said and no hand raised yet', () => document.querySelector('.replay-log .line') === null && !document.querySelector('.tile[data-name=Boris] .tile-hand')?.getClientRects().length);
  await vera.press('ArrowRight');
  await vera.until('five seconds on', () => /** @type {HTMLElement} */ (document.querySelector('main.replay')).dataset.at === '7000');
  await vera.visible('.replay-log .line');
  await vera.visible('.tile[data-name=Boris] .tile-hand');
  await vera.press('g');
  await vera.until('who speaks large', () => /** @type {HTMLElement} */ (document.querySelector('main.replay')).dataset.view === 'speaker');
  await vera.click('[data-action=speed]');
  await vera.click('.menu [data-action="rate-2"]');
  await vera.until('the speed', () => document.querySelector('[data-action=speed]')?.textContent === '2×');
  await vera.click('[data-action=more]');
  await vera.click('.menu [data-action=files]');
  const saved = vera.page.waitForEvent('download');
  await vera.click('.replay-file [data-action=download]');
  assert.match((await saved).suggestedFilename(), /_camera\.webm$/);
  await vera.press('Escape');
  assert.deepEqual(await vera.run(() => /** @type {any} */ (window).testkit.errors), []);
});

test('one file of everybody is made, and downloaded', async () => {
  await vera.click('[data-action=more]');
  await vera.click('.menu [data-action=exports]');
  await vera.click('[data-action=export-grid]');
  await vera.until('the film', () => document.querySelector('.replay-file[data-state=done] [data-action=export-grid]') !== null, undefined, 4 * PATIENCE);
  await inspect(vera, 'replay-export-light');
  const saved = vera.page.waitForEvent('download');
  await vera.click('[data-action=export-grid]');
  const film = await saved;
  assert.equal(film.suggestedFilename(), 'export-grid.mp4');
  const told = execFileSync('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_name:format=duration', '-of', 'json', await film.path()], { encoding: 'utf8' });
  const { streams, format } = JSON.parse(told);
  assert.deepEqual(streams.map((/** @type {{codec_name: string}} */ stream) => stream.codec_name).sort(), ['aac', 'h264']);
  assert.ok(Number(format.duration) > SECONDS - 2, told);
  await vera.click('[data-action=export-delete-grid]');
  await vera.until('that it is gone', () => document.querySelector('.replay-file[data-state=none] [data-action=export-grid]') !== null);
  await vera.press('Escape');
});

test('who may not see it is told so', async () => {
  const stranger = await chromium.tab({ theme: 'dark', viewport: { width: 360, height: 740 }, touch: true });
  await stranger.open(`${server.url}/recordings/${id}`);
  await stranger.visible('.replay-wrong .note');
  await inspect(stranger, 'replay-wrong-phone');
  await stranger.close();
});

test('Firefox plays it too', async () => {
  const firefox = await Firefox.launch();
  try {
    const tab = await firefox.tab();
    await tab.open(server.url);
    const session = await vera.run(() => localStorage.getItem('veche.session'));
    await tab.run((/** @type {string} */ kept) => localStorage.setItem('veche.session', kept), session);
    await watch(tab);
    await tab.screenshot('replay-firefox.png');
  } finally {
    await firefox.close();
  }
});
