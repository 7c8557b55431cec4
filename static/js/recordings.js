// What may be asked about recordings. Fetched with the pages that show them.

/** @typedef {import('./session.js').Session} Session */
/** @typedef {import('./types.js').Recording} Recording */

/** Recordings as whoever is signed in may see them. */
export class Recordings {
  #session;

  /** @param {Session} session */
  constructor(session) {
    this.#session = session;
  }

  /**
   * Those of a room, newest first.
   * @param {string} slug
   * @returns {Promise<{recordings: Recording[]}>}
   */
  of(slug) {
    return this.#session.call('GET', `rooms/${encodeURIComponent(slug)}/recordings`);
  }

  /**
   * @param {string} id
   * @returns {Promise<Recording>}
   */
  one(id) {
    return this.#session.call('GET', `recordings/${encodeURIComponent(id)}`);
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
