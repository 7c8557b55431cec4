// What an address means, and what a person may have pasted. Pure.

/**
 * @typedef {{name: 'home' | 'signin' | 'rooms' | 'lost'}
 *   | {name: 'register', setupToken: string | null}
 *   | {name: 'room', slug: string, code: string | null}
 *   | {name: 'library', slug: string}
 *   | {name: 'replay', id: string, at: string | null}} Route
 */

const SLUG = /^[a-z0-9-]{3,64}$/;

/**
 * The page that an address stands for.
 * @param {URL} url
 * @returns {Route}
 */
export function routeOf(url) {
  // The set-up link carries its token in the fragment, which no server or proxy ever logs.
  const setup = fragment(url, '/setup');
  if (setup) return { name: 'register', setupToken: setup.get('token') };
  const path = url.pathname.replace(/\/+$/, '') || '/';
  if (path === '/' || path === '/index.html') return { name: 'home' };
  if (path === '/signin') return { name: 'signin' };
  if (path === '/register') return { name: 'register', setupToken: null };
  if (path === '/rooms') return { name: 'rooms' };
  const room = /^\/r\/([^/]+)$/.exec(path);
  const slug = room?.[1]?.toLowerCase();
  if (slug && SLUG.test(slug)) return { name: 'room', slug, code: codeOf(url) };
  const library = /^\/r\/([^/]+)\/recordings$/.exec(path)?.[1]?.toLowerCase();
  if (library && SLUG.test(library)) return { name: 'library', slug: library };
  const id = /^\/recordings\/([0-9a-f-]{36})$/.exec(path)?.[1];
  if (id) return { name: 'replay', id, at: new URLSearchParams(url.hash.slice(1)).get('t') };
  return { name: 'lost' };
}

/**
 * What somebody typed into "code or link".
 * @param {string} text
 * @returns {{slug: string, code: string | null} | {word: string} | null}
 */
export function parseInvitation(text) {
  const trimmed = text.trim();
  if (!trimmed || /\s/.test(trimmed)) return null;
  const link = /^(?:https?:\/\/)?[^/\s]*\/r\/([a-z0-9-]+)\/?([?#].*)?$/i.exec(trimmed);
  if (link) {
    const slug = (link[1] ?? '').toLowerCase();
    if (!SLUG.test(slug)) return null;
    return { slug, code: codeOf(new URL(`/r/${slug}${link[2] ?? ''}`, 'http://x')) };
  }
  return /^[A-Za-z0-9_-]{3,128}$/.test(trimmed) ? { word: trimmed } : null;
}

/**
 * The slug that a word could be, when it could be one.
 * @param {string} word
 */
export function slugOf(word) {
  const slug = word.toLowerCase();
  return SLUG.test(slug) ? slug : null;
}

/**
 * The link that others open. A room with a key gets the invite code, in the fragment, out of every log.
 * @param {string} origin
 * @param {{slug: string, parent?: string | undefined, has_invite_key: boolean, invite_code?: string | undefined}} room a breakout room leads to its main room
 */
export function linkTo(origin, room) {
  const link = `${origin}/r/${room.parent ?? room.slug}`;
  return room.has_invite_key && room.invite_code ? `${link}#code=${encodeURIComponent(room.invite_code)}` : link;
}

/** @param {URL} url */
function codeOf(url) {
  return new URLSearchParams(url.hash.slice(1)).get('code') || url.searchParams.get('code');
}

/**
 * @param {URL} url
 * @param {string} path
 */
function fragment(url, path) {
  const hash = url.hash.slice(1);
  if (hash !== path && !hash.startsWith(`${path}?`)) return null;
  return new URLSearchParams(hash.slice(path.length + 1));
}
