// A minute of each kind of bad link between people in Chromium, beside what is wanted of it. The table at the end
// is what benches/README.md quotes. `LINKS_STRICT=no` measures without judging, `LINKS_SECONDS` for how long.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Chromium } from '../harness/browsers.mjs';
import { POOR, Person, blackout, cut, joinToBest, pair, participant, rebind, under } from '../harness/links.mjs';
import { quality, watch } from '../harness/quality.mjs';
import { Server, closeAll } from '../harness/server.mjs';

/** @typedef {import('../harness/quality.mjs').Quality} Quality */

const SECONDS = Number(process.env.LINKS_SECONDS ?? 60);
const IS_STRICT = process.env.LINKS_STRICT !== 'no';

/** @type {Server} */
let server;
/** @type {Chromium} */
let browser;
/** @type {Awaited<ReturnType<typeof pair>>} */
let call;
/** @type {{what: string, goal: string, measured: string, isMet: boolean}[]} */
const rows = [];

before(async () => {
  server = await Server.start();
  browser = await Chromium.launch();
  call = await pair(browser, server);
});
after(async () => {
  console.log(['| what | goal | measured | |', '|---|---|---|---|',
    ...rows.map(({ what, goal, measured, isMet }) => `| ${what} | ${goal} | ${measured} | ${isMet ? 'met' : '**missed**'} |`)].join('\n'));
  await call.close();
  await closeAll(browser, server);
});

/** @param {string} what @param {string} goal @param {string} measured @param {boolean} isMet */
function row(what, goal, measured, isMet) {
  rows.push({ what, goal, measured, isMet });
  console.log(`${what}: ${measured}`);
  if (IS_STRICT) assert.ok(isMet, `${what}: wanted ${goal}, measured ${measured}`);
}

/** @param {Quality} q */
const words = (q) => `${q.fps} fps, ${q.width} wide, ${q.kbit} kbit/s, frozen ${(q.frozenMs / 1000).toFixed(1)} s in ${q.freezes}, `
  + `longest gap ${q.longestGapMs} ms, concealed ${(q.concealed * 100).toFixed(1)} %, sound ${q.offsetMs} ms late`;

test('a good link after joining', async () => {
  const runs = [];
  for (const name of ['Clara', 'Dora', 'Eva']) runs.push(await joinToBest(browser, server, call.url, 'Anna', name, 20_000));
  row('best layer on a good link after joining', '≤ 4 s', runs.map((ms) => (ms === null ? 'never' : `${(ms / 1000).toFixed(1)} s`)).join(', '),
    runs.every((ms) => ms !== null && ms <= 4000));
});

for (const whose of /** @type {const} */ (['watcher', 'publisher'])) {
  describe(`the ${whose}'s link`, () => {
    test('5 % loss, 60 ms delay, 30 ms jitter', async () => {
      const q = await under(call, whose, POOR, SECONDS);
      row(`5 % loss, 60 ms delay, 30 ms jitter at the ${whose}`, '≥ 20 fps, frozen < 2 s, concealed < 3 %', words(q),
        q.fps >= 20 && q.frozenMs < 2000 * (SECONDS / 60) && q.concealed < 0.03);
    });

    test('15 % loss', async () => {
      const q = await under(call, whose, { ...POOR, loss: 0.15 }, SECONDS);
      row(`15 % loss besides at the ${whose}`, 'video alive, concealed < 8 %', words(q), q.fps >= 5 && q.concealed < 0.08);
    });

    test('30 % loss', async () => {
      const q = await under(call, whose, { ...POOR, loss: 0.3 }, SECONDS);
      const isThere = await call.boris.tab.run(() => document.body.dataset.media === 'connected');
      row(`30 % loss besides at the ${whose}`, 'audio alive, nobody dropped', words(q), q.concealed < 0.5 && isThere);
    });
  });
}

test('40 ms jitter', async () => {
  const q = await under(call, 'watcher', { delayMs: 20, jitterMs: 40 }, SECONDS);
  row('sound against picture, 40 ms jitter', 'within 60 ms', words(q), q.offsetMs !== null && Math.abs(q.offsetMs) <= 60);
});

test('jitter that reorders', async () => {
  const q = await under(call, 'watcher', { delayMs: 20, jitterMs: 20, reorders: true }, SECONDS);
  row('20 ms jitter that reorders', '≥ 20 fps, frozen < 2 s, concealed < 3 %', words(q),
    q.fps >= 20 && q.frozenMs < 2000 * (SECONDS / 60) && q.concealed < 0.03);
});

test('the link is cut to 400 kbit/s and comes back', async () => {
  const clara = await Person.join(browser, server, call.url, 'Clara', { seed: 77 });
  try {
    await watch(clara.tab, 'Anna');
    const { lowerMs, bestMs, during, others } = await cut(call, clara, { rateKbit: 400, seconds: 30, patienceMs: 30_000 });
    const off = Math.abs(others.during - others.before) / others.before;
    row('link cut to 400 kbit/s', 'lower layer ≤ 5 s, no freeze > 1 s',
      `${lowerMs === null ? 'never' : `${(lowerMs / 1000).toFixed(1)} s`}; ${words(during)}`,
      lowerMs !== null && lowerMs <= 5000 && during.longestGapMs <= 1000);
    row('… and back', 'best layer ≤ 10 s', bestMs === null ? 'never' : `${(bestMs / 1000).toFixed(1)} s`, bestMs !== null && bestMs <= 10_000);
    row('… another subscriber meanwhile', 'bitrate within 10 %', `${others.before} → ${others.during} kbit/s`, off <= 0.1);
  } finally {
    await clara.close();
  }
});

test('a NAT forgets both transports of each', async () => {
  for (const whose of /** @type {const} */ (['anna', 'boris'])) {
    const ms = await rebind(call, call[whose]);
    row(`rebinding of the ${whose === 'anna' ? 'publisher' : 'watcher'}`, 'media back ≤ 3 s', `${(ms / 1000).toFixed(1)} s`, ms <= 3000);
  }
});

test('20 s without a link', async () => {
  const before = await participant(call.anna.tab, 'Boris');
  const ms = await blackout(call, 20);
  const same = before !== null && before === await participant(call.anna.tab, 'Boris');
  row('20 s blackout', 'media back ≤ 5 s after it, same participant', `${(ms / 1000).toFixed(1)} s, ${same ? 'the same' : 'another'} participant`,
    ms <= 5000 && same);
  await watch(call.boris.tab, 'Anna');
  await quality(call.boris.tab, 2);
});
