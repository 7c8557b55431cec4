// Which tiles a meeting has to show. Pure.

/** @typedef {import('./state.js').Meeting} Meeting */
/** @typedef {import('./types.js').Participant} Participant */
/** @typedef {{key: string, participant: Participant, source: 'camera' | 'screen', csrc: number | null, mine: boolean}} TileSpec */

/**
 * Every tile there could be: shared screens of others first, then people in order of joining, me last.
 * `csrc` is null when there is no picture to show and the tile stands with an avatar.
 * @param {Meeting} meeting
 * @returns {{screens: TileSpec[], people: TileSpec[], me: TileSpec | null}}
 */
export function tilesOf(meeting) {
  /** @type {TileSpec[]} */
  const screens = [];
  /** @type {TileSpec[]} */
  const people = [];
  /** @type {TileSpec | null} */
  let me = null;
  for (const participant of meeting.participants) {
    const mine = participant.id === meeting.me;
    const camera = participant.tracks.find((t) => t.source === 'camera');
    const screen = participant.tracks.find((t) => t.source === 'screen');
    const shows = camera !== undefined && !participant.media.cam_off && !participant.media.cam_forced;
    /** @type {TileSpec} */
    const tile = { key: `${participant.id}:camera`, participant, source: 'camera', csrc: shows ? camera.csrc : null, mine };
    if (mine) me = tile;
    else people.push(tile);
    if (screen && !mine && !participant.media.screen_forced) screens.push({ key: `${participant.id}:screen`, participant, source: 'screen', csrc: screen.csrc, mine });
  }
  return { screens, people, me };
}
