// The picture of a room: shown at its door and in lists. It comes with the access token, so it is fetched and shown as
// a blob.

import { h } from './dom.js';

/** @typedef {{slug: string, cover_id?: string | undefined}} Covered */

/** Covers that stay at hand: more costs memory, fewer are fetched again at each redraw of a list. */
const MAX_KEPT = 40;

/** Pictures by id of the cover, the longest unused first.
 * @type {Map<string, Promise<string>>} */
const kept = new Map();

/**
 * The cover of a room, or nothing where it has none.
 * @param {import('./api.js').Api} api
 * @param {Covered} room
 * @param {string} className
 */
export function coverOf(api, room, className) {
  const { slug, cover_id: id } = room;
  if (!id) return null;
  const image = h('img', { class: `cover ${className}`, alt: '', data: { cover: id } });
  addressOf(api, slug, id).then(
    (address) => {
      image.src = address;
    },
    // It was changed or taken away meanwhile: a room looks well without.
    () => image.remove(),
  );
  return image;
}

/**
 * @param {import('./api.js').Api} api
 * @param {string} slug
 * @param {string} id
 */
function addressOf(api, slug, id) {
  const address = kept.get(id) ?? api.cover(slug).then((blob) => URL.createObjectURL(blob));
  kept.delete(id);
  kept.set(id, address);
  address.catch(() => kept.delete(id));
  const [oldest] = kept;
  if (oldest && kept.size > MAX_KEPT) {
    kept.delete(oldest[0]);
    oldest[1].then((old) => URL.revokeObjectURL(old), () => {});
  }
  return address;
}
