// Calls over bad links, and what was measured of them. The short tests and the long ones differ in how long
// they look, and in nothing else.

import { connected } from './call.mjs';
import { flows } from './media.mjs';
import { Proxy } from './proxy.mjs';
import { quality, untilWidth, watch } from './quality.mjs';

/** @typedef {import('./browsers.mjs').Tab} Tab */
/** @typedef {import('./browsers.mjs').Chromium} Chromium */
/** @typedef {import('./server.mjs').Server} Server */
/** @typedef {import('./wire.mjs').Weather} Weather */

/** Width of the camera's best layer. */
export const FULL_WIDTH = 1280;

/** What issue and README call "5 % loss, 60 ms delay, 30 ms jitter", in each direction. */
export const POOR = { loss: 0.05, delayMs: 60, jitterMs: 30 };

/** Somebody in a call, behind a link of their own. */
export class Person {
  /**
   * @param {Chromium} browser @param {Server} server @param {string} url of the room @param {string} name
   * @param {{films?: boolean, flashes?: boolean, seed?: number, weather?: Partial<Weather>}} [how]
   */
  static async join(browser, server, url, name, { films = false, flashes = false, seed = 1, weather = {} } = {}) {
    const self = new Person();
    self.name = name;
    self.link = await Proxy.start(server.mediaPort, undefined, seed);
    self.link.set(weather);
    self.tab = await browser.tab({ instruments: { films, flashes, sharp: true, mediaPort: self.link.port } });
    await self.tab.open(url);
    await self.tab.fill('[name=display_name]', name);
    await self.tab.click('[data-action=join]');
    self.cameAt = performance.now();
    await connected(self.tab);
    // Who only watches costs the machine no encoder.
    if (!films && !flashes) await self.tab.click('[data-action=camera]');
    return self;
  }

  async close() {
    await this.tab.close();
    this.link.close();
  }
}

/**
 * One films and one watches, each on a link of their own.
 * @param {Chromium} browser @param {Server} server @param {number} [seed]
 */
export async function pair(browser, server, seed = 1) {
  const room = await server.room('Links');
  const url = `${server.url}/r/${room.slug}`;
  const anna = await Person.join(browser, server, url, 'Anna', { films: true, seed });
  const boris = await Person.join(browser, server, url, 'Boris', { seed: seed + 10 });
  await watch(boris.tab, 'Anna');
  return { url, anna, boris, close: () => Promise.all([anna.close(), boris.close()]) };
}

/**
 * The picture's quality while one of both links is bad.
 * @param {{anna: Person, boris: Person}} call @param {'publisher' | 'watcher'} whose
 * @param {Partial<Weather>} weather @param {number} seconds
 */
export async function under(call, whose, weather, seconds) {
  const { link } = whose === 'publisher' ? call.anna : call.boris;
  // From a good call, whatever came before; a server without layers may take longer, and is measured as it is.
  await untilWidth(call.boris.tab, (width) => width === FULL_WIDTH, 20_000).catch(() => {});
  link.set(weather);
  try {
    // What the first moments bring is the change, not the link.
    await quality(call.boris.tab, 3);
    return await quality(call.boris.tab, seconds);
  } finally {
    link.set({ loss: 0, delayMs: 0, jitterMs: 0, rateKbit: 0 });
  }
}

/**
 * The watcher's link is cut to a rate and comes back; what another on a good link gets meanwhile is told, if there is one.
 * @param {{anna: Person, boris: Person}} call @param {Person | null} clara
 * @param {{rateKbit: number, seconds: number, patienceMs: number}} cut
 */
export async function cut(call, clara, { rateKbit, seconds, patienceMs }) {
  const { boris } = call;
  await untilWidth(boris.tab, (width) => width === FULL_WIDTH, patienceMs);
  const others = { before: 0, during: 0 };
  if (clara) others.before = (await quality(clara.tab, 5)).kbit;
  boris.link.down.set({ rateKbit });
  const [lower, during, beside] = await Promise.all([
    untilWidth(boris.tab, (width) => width < FULL_WIDTH, seconds * 1000).catch(() => null),
    quality(boris.tab, seconds),
    clara && quality(clara.tab, seconds),
  ]);
  others.during = beside?.kbit ?? 0;
  boris.link.down.set({ rateKbit: 0 });
  const best = await untilWidth(boris.tab, (width) => width === FULL_WIDTH, patienceMs).catch(() => null);
  return { lowerMs: lower, bestMs: best, during, others };
}

/**
 * Nothing passes the watcher's link for a while; how long after its end pictures and sound are back.
 * @param {{anna: Person, boris: Person}} call @param {number} seconds
 */
export async function blackout(call, seconds) {
  const { boris } = call;
  boris.link.set({ isDown: true });
  await new Promise((done) => setTimeout(done, seconds * 1000));
  boris.link.set({ isDown: false });
  return flows(boris.tab);
}

/**
 * The NAT of one forgets; how long until pictures and sound of the call are back at the watcher.
 * @param {{boris: Person}} call @param {Person} whose
 */
export async function rebind(call, whose) {
  whose.link.rebind();
  return flows(call.boris.tab);
}

/**
 * How long after the click that joins the best layer is on the screen.
 * @param {Chromium} browser @param {Server} server @param {string} url @param {string} of @param {string} name
 * @param {number} patienceMs
 */
export async function joinToBest(browser, server, url, of, name, patienceMs) {
  const person = await Person.join(browser, server, url, name, { seed: 99 });
  try {
    await watch(person.tab, of);
    await untilWidth(person.tab, (width) => width === FULL_WIDTH, patienceMs);
    return Math.round(performance.now() - person.cameAt);
  } catch {
    return null;
  } finally {
    await person.close();
  }
}

/** The participant whose picture stands under a name. @param {Tab} tab @param {string} name */
export function participant(tab, name) {
  return tab.run((/** @type {string} */ who) => document.querySelector(`veche-tile[data-name="${who}"]`)?.getAttribute('data-participant') ?? null, name);
}
