// What may be asked about recordings. Fetched with the pages that show them.

/** @typedef {import('./session.js').Session} Session */
/** @typedef {import('./types.js').Recording} Recording */
/** Who may see them, for how many days they stay, and how many megabytes all of them may have.
 * @typedef {{recordings_for: 'owner' | 'admins' | 'present' | 'link', kept_days?: number, quota_mb?: number}} RecordingPolicy */

/** Recordings as whoever is signed in may see them. */
export class Recordings {
  #session;

  /** @param {Session} session */
  constructor(session) {
    this.#session = session;
  }

  /**
   * A page of those of a room, newest first: the newest, or what comes after one.
   * @param {string} slug
   * @param {string | null} beforeId
   * @returns {Promise<{recordings: Recording[], has_more: boolean}>}
   */
  of(slug, beforeId) {
    return this.#session.call('GET', `rooms/${encodeURIComponent(slug)}/recordings${beforeId === null ? '' : `?before_id=${encodeURIComponent(beforeId)}`}`);
  }

  /**
   * What a room decides about its recordings.
   * @param {string} slug
   * @returns {Promise<RecordingPolicy>}
   */
  policy(slug) {
    return this.#session.call('GET', `rooms/${encodeURIComponent(slug)}/recording-policy`);
  }

  /**
   * @param {string} slug
   * @param {RecordingPolicy} policy what is absent has no bound
   * @returns {Promise<RecordingPolicy>}
   */
  setPolicy(slug, policy) {
    return this.#session.call('PUT', `rooms/${encodeURIComponent(slug)}/recording-policy`, { body: policy });
  }

  /**
   * @param {string} id
   * @returns {Promise<Recording>}
   */
  one(id) {
    return this.#session.call('GET', `recordings/${encodeURIComponent(id)}`);
  }

  /**
   * One file of everybody: how each of them stands.
   * @param {string} id
   * @returns {Promise<{exports: import('./types.js').Export[]}>}
   */
  exports(id) {
    return this.#session.call('GET', `recordings/${encodeURIComponent(id)}/exports`);
  }

  /**
   * @param {string} id
   * @param {import('./types.js').Export['view']} view
   * @returns {Promise<import('./types.js').Export>}
   */
  beginExport(id, view) {
    return this.#session.call('POST', `recordings/${encodeURIComponent(id)}/exports`, { body: { view } });
  }

  /**
   * Stops it, or deletes its file.
   * @param {string} id
   * @param {import('./types.js').Export['view']} view
   */
  deleteExport(id, view) {
    return this.#session.call('DELETE', `recordings/${encodeURIComponent(id)}/exports/${view}`);
  }

  /**
   * @param {string} id
   * @param {string} title
   */
  rename(id, title) {
    return this.#session.call('PATCH', `recordings/${encodeURIComponent(id)}`, { body: { title } });
  }

  /** @param {string} id */
  remove(id) {
    return this.#session.call('DELETE', `recordings/${encodeURIComponent(id)}`);
  }

  /**
   * The table of contents.
   * @param {string} id
   * @returns {Promise<import('./replay/story.js').Contents>}
   */
  contents(id) {
    return this.#session.call('GET', `recordings/${encodeURIComponent(id)}/meeting.json`);
  }

  /**
   * For some minutes this browser may fetch the files: media elements send no token.
   * @param {string} id
   * @returns {Promise<void>}
   */
  watch(id) {
    return this.#session.call('POST', `recordings/${encodeURIComponent(id)}/watch`);
  }

  /**
   * A link to one file, for some minutes.
   * @param {string} id
   * @param {string} file
   * @returns {Promise<{url: string, expires_at: number}>}
   */
  link(id, file) {
    return this.#session.call('POST', `recordings/${encodeURIComponent(id)}/links`, { body: { file } });
  }
}
