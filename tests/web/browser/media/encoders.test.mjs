// WHIP publishers are seen in a browser, and a WHEP viewer sees a browser: programs written by others.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, enter, shows } from '../harness/call.mjs';
import { aiortcWhep, ffmpegWhip, gstreamerWhip } from '../harness/clients.mjs';
import { flows } from '../harness/media.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** Longer than anything that is waited for on a busy machine. */
const PATIENCE = 25_000;

/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;
/** @type {import('../harness/browsers.mjs').Tab} */
let viewer;
let slug = '';
/** @type {{slug: string, token: string}} */
let room;

before(async () => {
  server = await Server.start();
  browser = await Chromium.launch();
  room = await server.room('Encoders');
  slug = room.slug;
  viewer = await browser.tab({ instruments: { colour: PALETTE.red, tone: 440 } });
  await enter(viewer, `${server.url}/r/${slug}`, 'Viewer');
});
after(() => closeAll(browser, server));

test('ffmpeg 9 publishes over WHIP and is seen in Chromium', async () => {
  const encoder = await ffmpegWhip(`${server.url}/whip/${slug}`, await server.streamKey(room, 'ffmpeg', 'publish'), PALETTE.green);
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
    const encoder = gstreamerWhip(`${server.url}/whip/${slug}`, codec === 'vp8' ? await server.guest('GStreamer') : await server.streamKey(room, 'GStreamer', 'publish'), codec);
    try {
      await shows(viewer, { GStreamer: 'blue' });
      await flows(viewer);
      encoder.child.kill('SIGINT');
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
  const seen = await aiortcWhep(`${server.url}/whep/${slug}`, await server.streamKey(room, 'aiortc', 'watch'), { frames: 40, sounds: 200 });
  assert.equal(seen.state, 'connected');
  assert.ok(seen.video >= 40, `${seen.video} frames`);
  assert.ok(seen.audio >= 200, `${seen.audio} pieces of sound`);
  assert.ok(seen.energy > 1e-4, `energy ${seen.energy}`);
  const off = Math.hypot(...(seen.colour ?? [0, 0, 0]).map((c, i) => c - (PALETTE.red[i] ?? 0)));
  assert.ok(off < 60, `${seen.colour}`);
  await shows(viewer, {});
});

test('a page watches over WHEP, restarts ICE and chooses a size without a new session', async () => {
  const page = await browser.tab();
  await page.open(`${server.url}/`);
  const key = await server.streamKey(room, 'Wall', 'watch');
  await page.run(async (/** @type {{url: string, key: string}} */ { url, key }) => {
    const pc = new RTCPeerConnection();
    for (const kind of ['audio', 'video']) pc.addTransceiver(kind, { direction: 'recvonly' });
    await pc.setLocalDescription();
    const answer = await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/sdp' }, body: pc.localDescription?.sdp });
    const sdp = await answer.text();
    await pc.setRemoteDescription({ type: 'answer', sdp });
    Object.assign(window, { whep: { pc, sdp, session: answer.headers.get('location'), tag: answer.headers.get('etag') } });
  }, { url: `${server.url}/whep/${slug}?max_height=180`, key });
  const received = () => page.run(async () => {
    const { pc } = /** @type {any} */ (window).whep;
    let found = { frames: 0, height: 0, ufrag: '' };
    (await pc.getStats()).forEach((/** @type {any} */ s) => {
      if (s.type === 'inbound-rtp' && s.kind === 'video') found = { ...found, frames: s.framesDecoded ?? 0, height: s.frameHeight ?? 0 };
      if (s.type === 'transport') found = { ...found, ufrag: s.iceLocalUsernameFragment ?? '' };
    });
    return found;
  });
  const until = async (/** @type {string} */ what, /** @type {(now: {frames: number, height: number, ufrag: string}) => boolean} */ passes) => {
    const end = Date.now() + PATIENCE;
    for (;;) {
      const now = await received();
      if (passes(now)) return now;
      if (Date.now() > end) throw new Error(`waited for ${what}: ${JSON.stringify(now)}\n${server.tail()}`);
      await new Promise((done) => setTimeout(done, 100));
    }
  };
  const small = await until('a small picture', (now) => now.frames > 5 && now.height > 0 && now.height <= 180);
  const restarted = await page.run(async () => {
    const { pc, sdp, session, tag } = /** @type {any} */ (window).whep;
    pc.restartIce();
    await pc.setLocalDescription();
    const line = (/** @type {string} */ text, /** @type {string} */ name) => new RegExp(`^a=${name}:.*`, 'm').exec(text)?.[0].trim() ?? '';
    const own = pc.localDescription?.sdp ?? '';
    const body = `${line(own, 'ice-ufrag')}\r\n${line(own, 'ice-pwd')}\r\n`;
    const patch = (/** @type {string} */ match) => fetch(session, { method: 'PATCH', headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': match }, body });
    const wrong = (await patch('"another"')).status;
    const answer = await patch(tag);
    const fragment = await answer.text();
    const again = sdp.replace(/^a=ice-ufrag:.*/gm, line(fragment, 'ice-ufrag')).replace(/^a=ice-pwd:.*/gm, line(fragment, 'ice-pwd'));
    await pc.setRemoteDescription({ type: 'answer', sdp: again });
    return { wrong, status: answer.status, isNew: answer.headers.get('etag') !== tag, ufrag: line(own, 'ice-ufrag').slice('a=ice-ufrag:'.length) };
  });
  assert.deepEqual({ ...restarted, ufrag: '' }, { wrong: 412, status: 200, isNew: true, ufrag: '' });
  const before = await until('the new ICE session', (now) => now.ufrag === restarted.ufrag);
  await until('media after the restart', (now) => now.frames > before.frames + 10);
  const status = await page.run(() => fetch(`${/** @type {any} */ (window).whep.session}/layer`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }).then((answer) => answer.status));
  assert.equal(status, 204);
  await until('a larger picture', (now) => now.height > small.height);
  await page.run(() => fetch(/** @type {any} */ (window).whep.session, { method: 'DELETE' }));
  await page.close();
});
