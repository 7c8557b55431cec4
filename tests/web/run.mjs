// Runs the browser tests: those that look at pages three at a time, calls two at a time, those that measure pictures and
// sound alone, and says how long each file took.
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

const isLong = process.argv.includes('--long');
/** The longest begin first, so that none is waited for at the end. */
const LONGEST = ['moderation', 'chat', 'mobility', 'handshake', 'evening', 'replay', 'recorded'];
const place = (/** @type {string} */ name) => {
  const at = LONGEST.indexOf(name.split('.')[0] ?? '');
  return at < 0 ? LONGEST.length : at;
};
const files = (/** @type {string} */ folder) => readdirSync(join(FOLDER, folder))
  .filter((name) => name.endsWith(isLong ? '.long.mjs' : '.test.mjs'))
  .sort((a, b) => place(a) - place(b)).map((name) => join(FOLDER, folder, name));

/** What is measured here would be a measure of the others. */
const ALONE = ['layers', 'links', 'lipsync', 'networks'];
const isAlone = (/** @type {string} */ file) => isLong || ALONE.some((name) => file.includes(`/${name}.`));
const GROUPS = [
  { folder: 'pages', concurrency: 3, wanted: files('pages') },
  { folder: 'media', concurrency: 2, wanted: files('media').filter((file) => !isAlone(file)) },
  { folder: 'media', concurrency: 1, wanted: files('media').filter(isAlone) },
];

/** @type {Map<string, number>} */
const seconds = new Map();
let failed = 0;
for (const { folder, concurrency, wanted } of GROUPS) {
  if (wanted.length === 0) continue;
  // Their harness reads it; each file is a process of its own.
  process.env.BROWSER_TESTS = folder;
  const tests = run({ files: wanted, concurrency, ...(isLong ? {} : { timeout: TIMEOUT_MS }) });
  tests.on('test:fail', () => (failed += 1));
  const count = (/** @type {{nesting: number, file?: string, details: {duration_ms: number}}} */ { nesting, file, details }) => {
    if (nesting === 0 && file) seconds.set(file, (seconds.get(file) ?? 0) + details.duration_ms / 1000);
  };
  tests.on('test:pass', count);
  tests.on('test:fail', count);
  for await (const text of tests.compose(tap)) process.stdout.write(text);
}
if (seconds.size === 0) failed += 1;
for (const [file, took] of [...seconds].sort(([, a], [, b]) => b - a)) console.log(`${took.toFixed(0).padStart(5)} s  ${file.slice(FOLDER.length + 1)}`);
process.exitCode = failed > 0 ? 1 : 0;
