// `veche load` beside a browser, and how smooth that browser's list of people stays.

import { spawn } from 'node:child_process';
import { binary } from './server.mjs';

/** @typedef {import('./browsers.mjs').Tab} Tab */

/** Many people in one process, in the room of a link until they are told to go. */
export class Load {
  /** @param {string} url of the room @param {string[]} words of its command line */
  constructor(url, words) {
    this.child = spawn(binary(), ['load', url, ...words, '--duration', '600'], { stdio: ['ignore', 'pipe', 'ignore'] });
    this.table = '';
    this.child.stdout.on('data', (data) => { this.table += data; });
    this.ended = new Promise((done) => this.child.on('exit', done));
  }

  /** Lets everybody go; the exit code. @returns {Promise<number | null>} */
  leave() {
    this.child.kill('SIGINT');
    return this.ended;
  }

  async close() {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

/**
 * @typedef {object} Frames
 * @property {number} count
 * @property {number} median milliseconds between one and the next
 * @property {number} late the 95th percentile of that
 * @property {number} cpu milliseconds that the page's main thread worked for each
 * @property {number} busy share of the time in which it worked
 */

/**
 * @typedef {object} Scrolled what was seen of the list
 * @property {string[]} names of all whose rows were in sight
 * @property {Record<string, string>} mics what their rows said of their microphones last
 * @property {number} blank frames in which there was no row where one should be
 * @property {number} rows that stood in the page at a time, at most
 */

/** A page's frames from now on, by its own clock; they are told by what is returned. @param {Tab} tab @returns {Promise<() => Promise<Frames>>} */
export async function frames(tab) {
  const line = await tab.page.context().newCDPSession(tab.page);
  // Processor time, which other programs on the machine do not lengthen.
  await line.send('Performance.enable', { timeDomain: 'threadTicks' });
  const worked = async () => {
    const { metrics } = await line.send('Performance.getMetrics');
    return Number(metrics.find((/** @type {{name: string}} */ { name }) => name === 'TaskDuration')?.value) * 1000;
  };
  const before = await worked();
  await tab.run(() => {
    const kit = /** @type {any} */ (window).testkit;
    kit.frames = [];
    const note = (/** @type {number} */ at) => {
      kit.frames.push(at);
      kit.frame = requestAnimationFrame(note);
    };
    kit.frame = requestAnimationFrame(note);
  });
  return async () => {
    /** @type {number[]} */
    const at = await tab.run(() => {
      const kit = /** @type {any} */ (window).testkit;
      cancelAnimationFrame(kit.frame);
      return kit.frames;
    });
    const cpu = (await worked()) - before;
    await line.detach();
    const gaps = at.slice(1).map((time, n) => time - Number(at[n])).sort((a, b) => a - b);
    const part = (/** @type {number} */ share) => Math.round(gaps[Math.floor(gaps.length * share)] ?? 0);
    const span = Number(at.at(-1)) - Number(at[0]);
    return { count: gaps.length, median: part(0.5), late: part(0.95), cpu: cpu / gaps.length, busy: cpu / span };
  };
}

/**
 * Scrolls the list of people to its end and back again and again, seven rows with each frame.
 * @param {Tab} tab
 */
export function scroll(tab) {
  return tab.run(() => {
    const kit = /** @type {any} */ (window).testkit;
    const list = /** @type {HTMLElement} */ (document.querySelector('.people'));
    /** @type {Map<string, string>} */
    const mics = new Map();
    const seen = kit.scrolled = { mics, blank: 0, rows: 0, ends: 0 };
    let step = 7 * 56;
    const turn = () => {
      const furthest = list.scrollHeight - list.clientHeight;
      if (step > 0 ? list.scrollTop >= furthest - 1 : list.scrollTop <= 0) {
        step = -step;
        seen.ends += 1;
      }
      list.scrollTop += step;
      // This frame shows the new place before the list hears of it.
      const { left, top, bottom } = list.getBoundingClientRect();
      const here = /** @type {HTMLElement} */ (list.querySelector('ul')).getBoundingClientRect();
      for (const y of [top + 30, (top + bottom) / 2, bottom - 30]) {
        if (y > here.top && y < here.bottom && !document.elementFromPoint(left + 60, y)?.closest('.person')) seen.blank += 1;
      }
      for (const row of document.querySelectorAll('.people > ul > .person')) {
        const box = row.getBoundingClientRect();
        if (box.top >= top && box.bottom <= bottom) mics.set(row.getAttribute('data-name') ?? '', row.getAttribute('data-mic') ?? '');
      }
      seen.rows = Math.max(seen.rows, document.querySelectorAll('.people > ul > .person').length);
      kit.scroll = requestAnimationFrame(turn);
    };
    cancelAnimationFrame(kit.scroll);
    kit.scroll = requestAnimationFrame(turn);
  });
}

/** What was seen since scrolling began; it goes on. @param {Tab} tab @returns {Promise<Scrolled>} */
export function scrolled(tab) {
  return tab.run(() => {
    const { mics, blank, rows } = /** @type {any} */ (window).testkit.scrolled;
    return { names: [...mics.keys()], mics: Object.fromEntries(mics), blank, rows };
  });
}

/** Ends scrolling, at the top. @param {Tab} tab */
export function rest(tab) {
  return tab.run(() => {
    cancelAnimationFrame(/** @type {any} */ (window).testkit.scroll);
    /** @type {HTMLElement} */ (document.querySelector('.people')).scrollTop = 0;
  });
}
