// A recording as one walks through it: who is there, who is seen, who speaks at a moment, and what a timeline shows.
// Pure. All times are milliseconds on the recording's clock.

/**
 * `meeting.json`, as `recorder/src/contents.rs` writes it.
 * @typedef {object} Contents
 * @property {string} recording
 * @property {{id: string, slug: string, name: string}} room
 * @property {'recording' | 'complete' | 'recovered' | 'out_of_space' | 'failed'} state
 * @property {number} began_at_ms
 * @property {number} [duration_ms]
 * @property {FileEntry[]} files
 * @property {Moment[]} moments
 * @property {{file: string, at_ms: number, track: string, packets: number, reason: string}[]} gaps
 * @property {{first: number, last: number}} [events]
 */
/** @typedef {{name: string, participant_id: string, user_id: string, display_name: string, source: 'camera' | 'screen', tracks: {codec: string, size?: [number, number]}[], offset_ms: number, duration_ms?: number, size_bytes?: number}} FileEntry */
/**
 * @typedef {{at_ms: number} & (
 *   {kind: 'joined', participant_id: string, user_id: string, display_name: string}
 *   | {kind: 'left', participant_id: string}
 *   | {kind: 'muted', participant_id: string, source: string, by?: string}
 *   | {kind: 'unmuted', participant_id: string, source: string}
 *   | {kind: 'speaking', participant_ids: string[]}
 *   | {kind: 'hand', participant_id: string, is_raised: boolean})} Moment
 */
/** @typedef {{id: string, name: string, user: string}} Person */
/** Somebody on the stage: with a picture from that file, or without one.
 * @typedef {{key: string, person: Person, source: 'camera' | 'screen', file: number | null, isMuted: boolean, isSpeaking: boolean, hand: boolean}} Shown */
/** @typedef {{from: number, to: number}} Span */
/** @typedef {{at: number, kind: 'joined' | 'left' | 'hand', person: Person}} Mark */

/** A speaker takes the stage after having been the loudest for as long: a cough takes nobody's place. */
const SPEAKER_MS = 1_000;
/** Pauses between words are not silence. */
const PAUSE_MS = 1_500;

/** The story of one recording. */
export class Story {
  /** @type {Map<string, Person>} */
  people = new Map();
  duration = 0;

  /** @param {Contents} contents */
  constructor(contents) {
    this.contents = contents;
    const ends = contents.files.map((file) => file.offset_ms + (file.duration_ms ?? 0));
    this.duration = Math.max(contents.duration_ms ?? 0, ...ends, 0);
    for (const file of contents.files) this.#meet(file.participant_id, file.display_name, file.user_id);
    for (const moment of contents.moments) {
      if (moment.kind === 'joined') this.#meet(moment.participant_id, moment.display_name, moment.user_id);
    }
    this.leads = leads(contents.moments);
  }

  /** @param {string} id @param {string} name @param {string} user */
  #meet(id, name, user) {
    if (!this.people.has(id)) this.people.set(id, { id, name, user });
  }

  /**
   * What there is at a moment: tiles in the order of coming, screens first; and who has the stage.
   * @param {number} at
   * @returns {{tiles: Shown[], lead: string | null}}
   */
  at(at) {
    /** @type {Map<string, {muted: Set<string>, hand: boolean}>} */
    const present = new Map();
    /** @type {string[]} */
    let speaking = [];
    for (const moment of this.contents.moments) {
      if (moment.at_ms > at) break;
      if (moment.kind === 'joined') present.set(moment.participant_id, { muted: new Set(), hand: false });
      else if (moment.kind === 'left') present.delete(moment.participant_id);
      else if (moment.kind === 'speaking') speaking = moment.participant_ids;
      else {
        const person = present.get(moment.participant_id);
        if (!person) continue;
        if (moment.kind === 'hand') person.hand = moment.is_raised;
        else if (moment.kind === 'muted') person.muted.add(moment.source);
        else person.muted.delete(moment.source);
      }
    }
    /** @type {Shown[]} */
    const screens = [];
    /** @type {Shown[]} */
    const cameras = [];
    for (const [id, { muted, hand }] of present) {
      const person = this.people.get(id);
      if (!person) continue;
      const shown = (/** @type {'camera' | 'screen'} */ source) => ({ key: `${id}/${source}`, person, source, file: muted.has(source) ? null : this.picture(id, source, at), isMuted: muted.has('microphone'), isSpeaking: source === 'camera' && speaking.includes(id), hand });
      const screen = shown('screen');
      if (screen.file !== null) screens.push(screen);
      cameras.push(shown('camera'));
    }
    let lead = null;
    for (const [from, id] of this.leads) {
      if (from > at) break;
      lead = id;
    }
    return { tiles: [...screens, ...cameras], lead: lead !== null && present.has(lead) ? lead : null };
  }

  /**
   * The number of the file with somebody's picture at a moment.
   * @param {string} id
   * @param {'camera' | 'screen'} source
   * @param {number} at
   */
  picture(id, source, at) {
    const { files } = this.contents;
    for (let index = files.length - 1; index >= 0; index--) {
      const file = files[index];
      if (file && file.participant_id === id && file.source === source && hasPicture(file) && isAt(file, at)) return index;
    }
    return null;
  }

  /**
   * Numbers of the files that are on at a moment or begin within `ahead`.
   * @param {number} at
   * @param {number} ahead
   */
  filesAt(at, ahead) {
    return this.contents.files.flatMap((file, index) => (at < file.offset_ms + (file.duration_ms ?? 0) && file.offset_ms <= at + ahead ? [index] : []));
  }

  /**
   * When each person speaks.
   * @returns {Map<string, Span[]>}
   */
  speech() {
    /** @type {Map<string, Span[]>} */
    const spans = new Map();
    /** @type {Set<string>} */
    let speaking = new Set();
    const ends = (/** @type {string} */ id, /** @type {number} */ at) => {
      const last = spans.get(id)?.at(-1);
      if (last) last.to = at;
    };
    for (const moment of this.contents.moments) {
      if (moment.kind === 'left' && speaking.delete(moment.participant_id)) ends(moment.participant_id, moment.at_ms);
      if (moment.kind !== 'speaking') continue;
      const now = new Set(moment.participant_ids);
      for (const id of speaking) if (!now.has(id)) ends(id, moment.at_ms);
      for (const id of now) {
        if (speaking.has(id)) continue;
        const own = spans.get(id) ?? [];
        const last = own.at(-1);
        if (last && moment.at_ms - last.to < PAUSE_MS) last.to = this.duration;
        else own.push({ from: moment.at_ms, to: this.duration });
        spans.set(id, own);
      }
      speaking = now;
    }
    return spans;
  }

  /**
   * Comings, goings and hands; those who are there from the beginning have not come.
   * @returns {Mark[]}
   */
  marks() {
    return this.contents.moments.flatMap((moment) => {
      if (moment.kind !== 'joined' && moment.kind !== 'left' && !(moment.kind === 'hand' && moment.is_raised)) return [];
      const person = this.people.get(moment.participant_id);
      if (!person || (moment.kind === 'joined' && moment.at_ms < SPEAKER_MS)) return [];
      return [{ at: moment.at_ms, kind: moment.kind, person }];
    });
  }
}

/** @param {FileEntry} file @param {number} at */
export function isAt(file, at) {
  return at >= file.offset_ms && at < file.offset_ms + (file.duration_ms ?? 0);
}

/** Codecs of sound; what is not known may be a picture. */
const SOUND = new Set(['opus', 'vorbis', 'aac', 'mp3', 'flac']);

/** @param {FileEntry} file */
export function hasPicture(file) {
  return file.tracks.some((track) => !SOUND.has(track.codec));
}

/** @type {Record<string, string>} */
const CONTAINERS = { webm: 'webm', mp4: 'mp4', ogg: 'ogg' };

/**
 * The type of a file as browsers ask for it.
 * @param {FileEntry} file
 */
export function typeOf(file) {
  const names = file.tracks.map(({ codec }) => ({ vp9: 'vp09.00.10.08', av1: 'av01.0.05M.08', h264: 'avc1.42E01F' })[codec] ?? codec);
  const type = `video/${CONTAINERS[file.name.split('.').at(-1) ?? ''] ?? 'x-matroska'}`;
  return names.some((name) => name === '') ? type : `${type}; codecs="${names.join(', ')}"`;
}

/**
 * When the stage goes to whom.
 * @param {Moment[]} moments
 * @returns {[number, string][]}
 */
function leads(moments) {
  /** @type {[number, string][]} */
  const loudest = [];
  for (const moment of moments) {
    const first = moment.kind === 'speaking' ? moment.participant_ids[0] : undefined;
    // Silence takes nobody from the stage.
    if (moment.kind === 'speaking' && first !== undefined && loudest.at(-1)?.[1] !== first) loudest.push([moment.at_ms, first]);
  }
  return loudest.filter(([at], index) => (loudest[index + 1]?.[0] ?? Infinity) - at >= SPEAKER_MS);
}
