// A browser in a room that `veche load` fills: the right name on each picture, people who come and go beside it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { PALETTE, begin, guardFaces, tiles, wrongFaces } from '../harness/call.mjs';
import { Server, binary, closeAll } from '../harness/server.mjs';

/** Colours that a load gives its first publishers. @type {Record<string, string>} */
const COLOURS = { 'Load 0': 'red', 'Load 1': 'green', 'Load 2': 'blue' };

/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;
/** @type {import('node:child_process').ChildProcess | undefined} */
let load;

before(async () => {
  server = await Server.start();
  browser = await Chromium.launch();
});
after(async () => {
  load?.kill('SIGKILL');
  await closeAll(browser, server);
});

test('each of those who film is seen under their own name while others come and go', async () => {
  const anna = await browser.tab({ instruments: { colour: PALETTE.yellow, tone: 440 } });
  const url = await begin(anna, server.url, 'Anna');
  load = spawn(binary(), ['load', url, '--publishers', '3', '--speakers', '1', '--turn', '0.7', '--bitrate', '200', '--layers', '2',
    '--subscribers', '20', '--visitors', '5', '--stay', '1', '--rate', '50', '--duration', '600'], { stdio: ['ignore', 'pipe', 'ignore'] });
  let table = '';
  load.stdout?.on('data', (data) => { table += data; });
  const ended = new Promise((done) => load?.on('exit', done));
  await guardFaces(anna, COLOURS);
  const end = Date.now() + 30_000;
  for (;;) {
    const shown = (await tiles(anna)).filter((tile) => tile.state === 'picture' && COLOURS[tile.name] === tile.colour);
    if (shown.length === 3) break;
    assert.ok(Date.now() < end, `not everybody is seen: ${JSON.stringify(await tiles(anna))}`);
    await new Promise((done) => setTimeout(done, 50));
  }
  const { looks } = await wrongFaces(anna);
  // Several turns of who speaks, as often as the guard looks in that time.
  await anna.until('more looks', (/** @type {number} */ before) => /** @type {any} */ (window).testkit.looks > before + 60, looks);
  assert.deepEqual((await wrongFaces(anna)).wrong, []);
  await anna.screenshot('load.png');
  load.kill('SIGINT');
  assert.equal(await ended, 0, table);
  assert.match(table, /came in +23 \/ 23/);
});
