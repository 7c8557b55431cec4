// Who may do what in a room; the source is `protocol/src/powers.rs`. The server decides, this only keeps
// buttons away from those who cannot use them. Pure.

/** @typedef {import('./types.js').Role} Role */
/** @typedef {keyof typeof LEAST} Power */
/** @typedef {import('./state.js').Meeting} Meeting */
/** @typedef {import('./types.js').Participant} Participant */

const ROLES = /** @type {const} */ (['guest', 'member', 'admin', 'owner']);

/** The least role that has a power; those above have it too.
 * @satisfies {Record<string, Role>} */
export const LEAST = {
  take_part: 'guest',
  lower_hands: 'admin',
  force_media: 'admin',
  allow_to_speak: 'admin',
  speak_past_mute_all: 'admin',
  kick: 'admin',
  ban: 'admin',
  set_state: 'admin',
  admit: 'admin',
  invite: 'admin',
  stream_keys: 'admin',
  delete_messages: 'admin',
  pin: 'admin',
  break_out: 'admin',
  see_audit: 'admin',
  record: 'admin',
  set_role: 'admin',
  transfer: 'owner',
  update: 'owner',
};

/**
 * @param {Role | null | undefined} role
 * @param {Power} power
 */
export function may(role, power) {
  return role !== null && role !== undefined && ROLES.indexOf(role) >= ROLES.indexOf(LEAST[power]);
}

/**
 * Whether orders of this role count for somebody of that one.
 * @param {Role} role
 * @param {Role} other
 */
export function outranks(role, other) {
  return ROLES.indexOf(role) > ROLES.indexOf(other);
}

/**
 * What the person of `me` may do to somebody now, as the menus offer it: only what would change something.
 * @typedef {'force_mic' | 'release_mic' | 'force_camera' | 'release_camera' | 'stop_share' | 'release_screen'
 *   | 'let_speak' | 'let_speak_for' | 'end_speak' | 'lower_hand' | 'make_admin' | 'make_member' | 'make_guest'
 *   | 'give_room' | 'kick' | 'ban'} Deed
 */

/**
 * @param {Participant | null} me
 * @param {Participant} them
 * @param {import('./types.js').RoomState} state
 * @returns {Deed[]}
 */
export function deedsFor(me, them, state) {
  if (!me || me.user_id === them.user_id) return [];
  /** @type {Deed[]} */
  const deeds = [];
  const isBelow = outranks(me.role, them.role);
  const orders = them.orders ?? {};
  if (may(me.role, 'lower_hands') && state.hands_up.includes(them.id)) deeds.push('lower_hand');
  if (isBelow && may(me.role, 'allow_to_speak') && state.mute_all && !may(them.role, 'speak_past_mute_all')) {
    if (orders.may_speak) deeds.push('end_speak');
    else deeds.push('let_speak', 'let_speak_for');
  }
  if (isBelow && may(me.role, 'force_media')) {
    deeds.push(orders.microphone ? 'release_mic' : 'force_mic');
    deeds.push(orders.camera ? 'release_camera' : 'force_camera');
    if (orders.screen) deeds.push('release_screen');
    else if (them.tracks.some((track) => track.source === 'screen')) deeds.push('stop_share');
  }
  if (isBelow && may(me.role, 'set_role')) deeds.push(...rolesFor(me.role, them.role));
  if (isBelow && may(me.role, 'kick')) deeds.push('kick');
  if (isBelow && may(me.role, 'ban')) deeds.push('ban');
  return deeds;
}

/** Somebody of the room, here (`id` is their participant) or not.
 * @typedef {Pick<Participant, 'user_id' | 'display_name' | 'role'> & {id?: string}} Person */

/**
 * What I may do about a member who is not here.
 * @param {Participant | null} me
 * @param {import('./types.js').Member} them
 * @returns {Deed[]}
 */
export function deedsForAbsent(me, them) {
  if (!me || me.user_id === them.user_id || !outranks(me.role, them.role)) return [];
  const { microphone, camera, screen } = them.orders ?? {};
  return [
    ...(may(me.role, 'force_media') ? freed({ microphone, camera, screen }) : []),
    ...(may(me.role, 'set_role') ? rolesFor(me.role, them.role) : []),
    ...(may(me.role, 'kick') ? /** @type {const} */ (['kick']) : []),
    ...(may(me.role, 'ban') ? /** @type {const} */ (['ban']) : []),
  ];
}

/**
 * @param {Pick<import('./types.js').Orders, 'microphone' | 'camera' | 'screen'>} orders
 * @returns {Deed[]}
 */
function freed({ microphone, camera, screen }) {
  return [...(microphone ? /** @type {const} */ (['release_mic']) : []), ...(camera ? /** @type {const} */ (['release_camera']) : []), ...(screen ? /** @type {const} */ (['release_screen']) : [])];
}

/**
 * Other roles that one may give to somebody below.
 * @param {Role} mine
 * @param {Role} theirs
 * @returns {Deed[]}
 */
function rolesFor(mine, theirs) {
  /** @type {Deed[]} */
  const deeds = [];
  if (theirs !== 'admin' && outranks(mine, 'admin')) deeds.push('make_admin');
  if (theirs !== 'member') deeds.push('make_member');
  if (theirs === 'member') deeds.push('make_guest');
  if (may(mine, 'transfer')) deeds.push('give_room');
  return deeds;
}

/**
 * The order behind a deed that needs no further word.
 * @param {Exclude<Deed, 'let_speak_for' | 'kick' | 'ban'>} deed
 * @param {Person} them
 * @returns {import('./types.js').Order}
 */
export function orderOf(deed, them) {
  const { user_id } = them;
  switch (deed) {
    case 'force_mic':
    case 'release_mic':
      return { type: 'media.force', user_id, source: 'microphone', forced: deed === 'force_mic' };
    case 'force_camera':
    case 'release_camera':
      return { type: 'media.force', user_id, source: 'camera', forced: deed === 'force_camera' };
    case 'stop_share':
    case 'release_screen':
      return { type: 'media.force', user_id, source: 'screen', forced: deed === 'stop_share' };
    case 'let_speak':
    case 'end_speak':
      return { type: 'speak.allow', user_id, allowed: deed === 'let_speak' };
    case 'lower_hand':
      return { type: 'hand.lower', participant_id: them.id };
    case 'make_admin':
      return { type: 'role.set', user_id, role: 'admin' };
    case 'make_member':
      return { type: 'role.set', user_id, role: 'member' };
    case 'make_guest':
      return { type: 'role.set', user_id, role: 'guest' };
    case 'give_room':
      return { type: 'role.set', user_id, role: 'owner' };
  }
}

/**
 * Whether I am kept from speaking, and by whom: a moderator who muted me, or everybody's mute.
 * @param {Participant | null} me
 * @returns {{by: string | null} | null}
 */
export function silencedBy(me) {
  if (!me?.media.mic_forced) return null;
  return { by: me.orders?.microphone?.display_name ?? null };
}
