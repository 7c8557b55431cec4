// WHIP publishers are seen in a browser, and a WHEP viewer sees a browser: programs written by others.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, enter, shows } from '../harness/call.mjs';
import { aiortcWhep, ffmpegWhip, gstreamerWhip } from '../harness/clients.mjs';
import { flows } from '../harness/media.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;
/** @type {import('../harness/browsers.mjs').Tab} */
let viewer;
let slug = '';

before(async () => {
  server = await Server.start();
  browser = await Chromium.launch();
  const room = await server.room('Encoders');
  slug = room.slug;
  viewer = await browser.tab({ instruments: { colour: PALETTE.red, tone: 440 } });
  await enter(viewer, `${server.url}/r/${slug}`, 'Viewer');
});
after(() => closeAll(browser, server));

test('ffmpeg 9 publishes over WHIP and is seen in Chromium', async () => {
  const encoder = await ffmpegWhip(`${server.url}/whip/${slug}`, await server.guest('ffmpeg'), PALETTE.green);
  try {
    await shows(viewer, { ffmpeg: 'green' });
    await flows(viewer);
    await viewer.screenshot('encoders-ffmpeg.png');
  } catch (error) {
    throw new Error(`${error}\nffmpeg: ${encoder.output}\n${server.tail()}`);
  } finally {
    await encoder.close();
  }
  await shows(viewer, {});
});

for (const codec of /** @type {const} */ (['vp8', 'h264'])) {
  test(`GStreamer publishes ${codec} over WHIP, is seen in Chromium, and deletes its resource`, async () => {
    const encoder = gstreamerWhip(`${server.url}/whip/${slug}`, await server.guest('GStreamer'), 8, codec);
    try {
      await shows(viewer, { GStreamer: 'blue' });
      await flows(viewer);
      assert.equal(await encoder.ended, 0);
      assert.match(encoder.output, /deleted/);
    } catch (error) {
      throw new Error(`${error}\nGStreamer: ${encoder.output}\n${server.tail()}`);
    } finally {
      await encoder.close('SIGKILL');
    }
    await shows(viewer, {});
  });
}

test('aiortc watches over WHEP what Chromium shows', async () => {
  const seen = await aiortcWhep(`${server.url}/whep/${slug}`, await server.guest('aiortc'), 8);
  assert.equal(seen.state, 'connected');
  assert.ok(seen.video >= 40, `${seen.video} frames`);
  assert.ok(seen.audio >= 200, `${seen.audio} pieces of sound`);
  assert.ok(seen.energy > 1e-4, `energy ${seen.energy}`);
  const off = Math.hypot(...(seen.colour ?? [0, 0, 0]).map((c, i) => c - (PALETTE.red[i] ?? 0)));
  assert.ok(off < 60, `${seen.colour}`);
  await shows(viewer, {});
});
