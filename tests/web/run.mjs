// Runs the browser tests, as many at a time as the machine has room for, and says how long each file took.
//
//   node run.mjs                 every *.test.mjs
//   node run.mjs --long          every *.long.mjs

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from 'node:test';
import { tap } from 'node:test/reporters';

const FOLDER = join(import.meta.dirname, 'browser');
/** A file that takes longer hangs. */
const TIMEOUT_MS = 300_000;
/** Of two cores: three files that look at pages fit beside each other, or two calls. */
const ROOM = 6;
const ROOM_OF = { pages: 2, media: 3 };
/** They film in the best of sizes: beside them there is room for a page and for no other call. */
const LARGE = ['layers', 'links', 'networks'];
const ROOM_OF_LARGE = 4;
/** What they judge by ear and eye is a sender's and a receiver's clock: files beside them move both. */
const ALONE = ['lipsync'];
/** The longest begin first, so that none is waited for at the end. */
const LONGEST = ['layers', 'moderation', 'turn', 'handshake', 'chat', 'links', 'replay', 'mobility', 'evening', 'networks', 'load', 'sound', 'screens', 'rooms', 'breakout'];

const isLong = process.argv.includes('--long');

/** @typedef {{path: string, name: string, room: number, place: number}} File */

/** @type {File[]} */
const files = ['pages', 'media'].flatMap((folder) => readdirSync(join(FOLDER, folder))
  .filter((name) => name.endsWith(isLong ? '.long.mjs' : '.test.mjs'))
  .map((name) => {
    const noun = name.split('.')[0] ?? '';
    const place = LONGEST.includes(noun) ? LONGEST.indexOf(noun) : LONGEST.length;
    // What long tests measure would be a measure of the others.
    const room = isLong || ALONE.includes(noun) ? ROOM : LARGE.includes(noun) ? ROOM_OF_LARGE : ROOM_OF[/** @type {'pages' | 'media'} */ (folder)];
    return { path: join(FOLDER, folder, name), name: `${folder}/${name}`, room, place };
  })).sort((a, b) => a.place - b.place);

/** @param {File} file @returns {Promise<{seconds: number, failed: number}>} */
async function play(file) {
  const tests = run({ files: [file.path], concurrency: 1, ...(isLong ? {} : { timeout: TIMEOUT_MS }) });
  let [seconds, passed, failed] = [0, 0, 0];
  const count = (/** @type {{nesting: number, details: {duration_ms: number}}} */ { nesting, details }) => {
    if (nesting === 0) seconds += details.duration_ms / 1000;
  };
  tests.on('test:pass', (told) => { passed += 1; count(told); });
  tests.on('test:fail', (told) => { failed += 1; count(told); });
  // What files say that run beside each other is kept apart.
  let said = `# File: ${file.name}\n`;
  for await (const text of tests.compose(tap)) said += text;
  process.stdout.write(said);
  return { seconds, failed: passed + failed === 0 ? 1 : failed };
}

/** @type {{name: string, seconds: number}[]} */
const took = [];
let failed = files.length === 0 ? 1 : 0;
let room = ROOM;
/** @type {Set<Promise<void>>} */
const running = new Set();
while (files.length > 0 || running.size > 0) {
  const next = files.findIndex((file) => file.room <= room);
  const [file] = next < 0 ? [] : files.splice(next, 1);
  if (!file) {
    await Promise.race(running);
    continue;
  }
  room -= file.room;
  const played = play(file).then((result) => {
    failed += result.failed;
    took.push({ name: file.name, seconds: result.seconds });
    room += file.room;
    running.delete(played);
  });
  running.add(played);
}
for (const { name, seconds } of took.sort((a, b) => b.seconds - a.seconds)) console.log(`${seconds.toFixed(0).padStart(5)} s  ${name}`);
// A file that hangs goes on when its time is over; what the others said is not held up by it.
process.stdout.write('', () => process.exit(failed > 0 ? 1 : 0));
