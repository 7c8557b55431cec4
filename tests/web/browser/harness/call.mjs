// The web client's call, by the names that `static/js/views/call.js` promises to keep.

import { PATIENCE } from './browsers.mjs';

/** @typedef {import('./browsers.mjs').Tab} Tab */
/** @typedef {[number, number, number]} Colour */

/**
 * Colours that stay apart after a video codec, one for each person of a test.
 * @type {Record<string, Colour>}
 */
export const PALETTE = {
  red: [210, 40, 40],
  green: [40, 160, 60],
  blue: [40, 70, 210],
  yellow: [220, 200, 40],
  magenta: [200, 50, 200],
  white: [250, 250, 250],
};

/**
 * Colours in which the first publishers of `veche load` film, as `client/src/pictures.rs` has them: `Load 0` the first of them.
 * @type {Record<string, Colour>}
 */
export const LOAD_COLOURS = {
  'Load 0': [208, 32, 32],
  'Load 1': [32, 160, 64],
  'Load 2': [32, 80, 208],
  'Load 3': [208, 160, 16],
  'Load 4': [128, 48, 192],
  'Load 5': [16, 160, 176],
  'Load 6': [224, 96, 16],
  'Load 7': [112, 112, 112],
  'Load 8': [208, 64, 144],
  'Load 9': [96, 176, 32],
  'Load 10': [16, 48, 96],
  'Load 11': [224, 224, 224],
};

/**
 * From the room's link over the door into the call, as a person does it.
 * @param {Tab} tab @param {string} url of the room @param {string} name
 */
export async function enter(tab, url, name) {
  await tab.open(url);
  await knock(tab, name);
}

/**
 * Makes a meeting on the first page and goes into it, as a guest does; its link.
 * @param {Tab} tab @param {string} home @param {string} name @returns {Promise<string>}
 */
export async function begin(tab, home, name) {
  await tab.open(home);
  await tab.fill('[name=display_name]', name);
  await tab.click('[data-action=new-meeting]');
  await tab.visible('[data-action=join]');
  const url = await tab.run(() => location.href);
  await tab.click('[data-action=join]');
  await connected(tab);
  return url;
}

/** From the door into the call. @param {Tab} tab @param {string} name */
export async function knock(tab, name) {
  await tab.visible('[name=display_name]');
  await tab.fill('[name=display_name]', name);
  await tab.click('[data-action=join]');
  await connected(tab);
}

/** Waits until the socket and both transports are up. @param {Tab} tab @param {number} [patience] */
export function connected(tab, patience = PATIENCE) {
  return tab.until('the call', () => document.body.dataset.screen === 'call'
    && document.body.dataset.connection === 'connected' && document.body.dataset.media === 'connected', undefined, patience);
}

/**
 * Two clicks of a moderator's: the menu of a person, and what is to be done. What was done before may be on its way to this
 * page: a menu that does not offer the deed yet is opened again.
 * @param {Tab} tab @param {string} name @param {string} deed
 */
export async function order(tab, name, deed) {
  const choice = `.menu [data-action=${deed}]`;
  const end = Date.now() + PATIENCE;
  for (;;) {
    await tab.click(`.person[data-name=${name}] [data-action=person-menu]`);
    await tab.visible('.menu');
    if (Date.now() > end || (await tab.run((/** @type {string} */ s) => document.querySelector(s) !== null, choice))) break;
    await tab.press('Escape');
    await tab.gone('.menu');
  }
  await tab.click(choice);
}

/** Waits until a toast has said so since this was asked for last, whether it stands there still or not. @param {Tab} tab @param {RegExp} words */
export const toasted = (tab, words) => tab.until(`a toast ${words}`, (/** @type {string} */ source) => {
  const { toasts } = /** @type {any} */ (window).testkit;
  const at = toasts.findIndex((/** @type {string} */ text) => new RegExp(source).test(text));
  return at >= 0 && toasts.splice(at, 1).length > 0;
}, words.source);

/** Waits until a tile says so of its person's microphone. @param {Tab} tab @param {string} name @param {string} state */
export const mic = (tab, name, state) => tab.until(`the microphone of ${name} ${state}`, (/** @type {string[]} */ [n, s]) => document.querySelector(`veche-tile[data-name="${n}"]`)?.getAttribute('data-mic') === s, [name, state]);

/**
 * What the tiles show, each picture named by the nearest colour.
 * @param {Tab} tab @param {Record<string, Colour>} [palette]
 * @returns {Promise<{name: string, source: string, state: string, mine: boolean, mic: string, isSpeaking: boolean, colour: string | null}[]>}
 */
export function tiles(tab, palette = PALETTE) {
  return tab.run((/** @type {any} */ palette) => /** @type {any} */ (window).testkit.look(palette), palette);
}

/**
 * Waits until exactly these tiles of others are there, each with its own picture (`null`: none).
 * @param {Tab} tab
 * @param {Record<string, string | null>} wanted name, or `name/screen`, to colour
 */
export async function shows(tab, wanted) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const now = Object.fromEntries((await tiles(tab)).filter((tile) => !tile.mine)
      .map((tile) => [tile.source === 'screen' ? `${tile.name}/screen` : tile.name, tile.state === 'picture' ? tile.colour : null]));
    const same = Object.keys(now).length === Object.keys(wanted).length
      && Object.entries(wanted).every(([name, colour]) => name in now && now[name] === colour);
    if (same) return;
    if (Date.now() > end) throw new Error(`waited for ${JSON.stringify(wanted)}, saw ${JSON.stringify(now)}\n${await tab.describe()}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/**
 * Watches every picture from now on: whenever one is visible under somebody else's name, that is kept, and who was seen
 * speaking in their own.
 * @param {Tab} tab @param {Record<string, string>} owners name (or `name/screen`) to colour
 * @param {Record<string, Colour>} [palette]
 */
export async function guardFaces(tab, owners, palette = PALETTE) {
  await tab.run((/** @type {any} */ { palette, owned }) => {
    const kit = /** @type {any} */ (window).testkit;
    kit.wrongFaces = [];
    kit.looks = 0;
    kit.spoke = new Set();
    clearInterval(kit.guard);
    kit.guard = setInterval(() => {
      kit.looks += 1;
      for (const tile of kit.look(palette)) {
        const own = owned[tile.source === 'screen' ? `${tile.name}/screen` : tile.name];
        if (tile.isSpeaking && tile.isVisible && tile.colour === own) kit.spoke.add(tile.name);
        if (tile.isVisible && tile.colour && own && tile.colour !== own && Object.values(owned).includes(tile.colour)) {
          kit.wrongFaces.push(`${tile.name}/${tile.source} shows ${tile.colour} at ${Math.round(performance.now())}`);
        }
      }
    }, 40);
  }, { palette, owned: owners });
}

/** What the guard saw. @param {Tab} tab @returns {Promise<{wrong: string[], looks: number}>} */
export function wrongFaces(tab) {
  return tab.run(() => {
    const kit = /** @type {any} */ (window).testkit;
    return { wrong: kit.wrongFaces, looks: kit.looks };
  });
}
