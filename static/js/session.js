// Who we are signed in as, and the calls under /api/v1 that need to know it. The only place that holds tokens.

/** @typedef {import('./types.js').AuthResponse} AuthResponse */
/** @typedef {import('./types.js').User} User */
/** @typedef {{access_token: string, expires_ms: number, refresh_token: string | null, user: User}} Tokens */

/** A refusal by the server, or the server out of reach (`network`). Decide by `code`. */
export class ApiError extends Error {
  /**
   * @param {string} code
   * @param {number} status 0 when nothing answered
   * @param {string} message
   */
  constructor(code, status, message) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.status = status;
  }
}

const KEY = 'veche.session';
/** An access token this close to its end is renewed first; less risks a 401 on a slow link. */
const RENEW_BEFORE_MS = 30_000;
/** No answer within this long is a network failure; slower links than this cannot hold a call. */
const TIMEOUT_MS = 15_000;
/** A file may take longer than words. */
const FILE_MS = 120_000;

/**
 * @typedef {object} CallOptions
 * @property {unknown} [body] told as JSON
 * @property {boolean} [open] needs no token
 * @property {number} [withinMs]
 * @property {boolean} [isAnew] over another connection than other requests: those may hang in a network that is gone
 * @property {boolean} [isFile] the answer is a file: a blob comes back
 * @property {Record<string, string>} [headers]
 */

export class Session {
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {Tokens | null} */
  #session = read();

  constructor() {
    // Another tab signed in or out: follow it.
    addEventListener('storage', (event) => {
      if (event.key !== KEY && event.key !== null) return;
      this.#session = read();
      this.#tell();
    });
  }

  /** Who is signed in, guests included. */
  get user() {
    return this.#session?.user ?? null;
  }

  /** The account that is signed in; guests are none. */
  get account() {
    return this.user && this.user.role !== 'guest' ? this.user : null;
  }

  /** @param {() => void} listener */
  onSession(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Makes sure there is an identity with this name: the account, the guest of before, or a new guest.
   * @param {string} displayName
   */
  async becomeSomebody(displayName) {
    if (this.account) return;
    if (!this.user) return this.newGuest(displayName);
    if (!this.#isFresh()) await this.#renew(this.#session?.access_token ?? null);
    if (this.user.display_name !== displayName) await this.rename(displayName);
  }

  /** Another name for whoever we are. @param {string} displayName */
  async rename(displayName) {
    const user = await this.call('PATCH', 'auth/me', { body: { display_name: displayName } });
    if (!this.#session) return;
    this.#session = { ...this.#session, user };
    write(this.#session);
    this.#tell();
  }

  /** @param {string} displayName */
  async newGuest(displayName) {
    this.#keep(await this.call('POST', 'auth/guest', { body: { display_name: displayName }, open: true }));
  }

  /** @param {{username: string, password: string}} credentials */
  async login(credentials) {
    this.#keep(await this.call('POST', 'auth/login', { body: credentials, open: true }));
  }

  /** @param {{email: string, username: string, password: string, display_name?: string, registration_secret?: string, setup_token?: string}} form */
  async register(form) {
    this.#keep(await this.call('POST', 'auth/register', { body: form, open: true }));
  }

  /** Signs out here at once, whether or not the server can be told. */
  async logout() {
    const session = this.#session;
    this.#forget();
    if (session?.refresh_token) {
      const headers = { authorization: `Bearer ${session.access_token}` };
      await this.call('POST', 'auth/logout', { body: { refresh_token: session.refresh_token }, open: true, headers }).catch(() => {});
    }
  }

  /**
   * Brings a file to the server; `fetch` would not tell how far it is.
   * @param {'POST' | 'PUT'} method
   * @param {string} path under /api/v1
   * @param {Blob} file
   * @param {(part: number) => void} [progress] 0..1
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  async deliver(method, path, file, progress = () => {}, signal) {
    if (!this.#isFresh()) await this.#renew(this.#session?.access_token ?? null);
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(method, `/api/v1/${path}`);
      request.setRequestHeader('authorization', `Bearer ${this.#session?.access_token ?? ''}`);
      request.setRequestHeader('content-type', 'application/octet-stream');
      request.responseType = 'json';
      request.upload.onprogress = (event) => progress(event.total > 0 ? event.loaded / event.total : 0);
      request.onerror = () => reject(new ApiError('network', 0, 'no answer'));
      request.onabort = request.onerror;
      request.onload = () => {
        if (request.status < 300) return resolve(request.response);
        const refusal = request.response?.error;
        reject(new ApiError(refusal?.code ?? (request.status === 413 ? 'too_large' : 'unavailable'), request.status, refusal?.message ?? ''));
      };
      signal?.addEventListener('abort', () => request.abort());
      request.send(file);
    });
  }

  /**
   * Asks, as whoever we are. A token that is over is renewed on the way.
   * @param {string} method
   * @param {string} path under /api/v1
   * @param {CallOptions} [options]
   * @returns {Promise<any>}
   */
  async call(method, path, options = {}) {
    if (!options.open && !this.#isFresh()) await this.#renew(this.#session?.access_token ?? null);
    const used = this.#session?.access_token ?? null;
    try {
      return await this.#fetch(method, path, options, used);
    } catch (error) {
      if (options.open || !(error instanceof ApiError) || error.code !== 'unauthorized') throw error;
      await this.#renew(used);
      return this.#fetch(method, path, options, this.#session?.access_token ?? null);
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {CallOptions} options
   * @param {string | null} token
   */
  async #fetch(method, path, options, token) {
    /** @type {Record<string, string>} */
    const headers = { accept: 'application/json', ...options.headers };
    if (token && !options.open) headers.authorization = `Bearer ${token}`;
    if (options.body !== undefined) headers['content-type'] = 'application/json';
    /** @type {Response} */
    let response;
    try {
      response = await fetch(`/api/v1/${path}`, {
        method,
        headers,
        body: options.body === undefined ? null : JSON.stringify(options.body),
        cache: 'no-store',
        // Browsers keep connections for requests without credentials apart.
        credentials: options.isAnew ? 'omit' : 'same-origin',
        signal: AbortSignal.timeout(options.withinMs ?? (options.isFile ? FILE_MS : TIMEOUT_MS)),
      });
    } catch {
      throw new ApiError('network', 0, 'no answer');
    }
    if (options.isFile && response.ok) return response.blob();
    const answer = await response.json().catch(() => null);
    if (response.ok) return answer;
    const refusal = answer?.error;
    throw new ApiError(refusal?.code ?? (response.status >= 500 ? 'unavailable' : 'internal'), response.status, refusal?.message ?? response.statusText);
  }

  /**
   * One request whose answer is wanted as it is, as whoever we are: for calls that speak by headers.
   * @param {string} method
   * @param {string} address path and query on this server
   * @param {Record<string, string>} headers
   * @param {Blob | null} body
   * @param {AbortSignal} signal
   * @returns {Promise<Response>} a good one
   */
  async request(method, address, headers, body, signal) {
    if (!this.#isFresh()) await this.#renew(this.#session?.access_token ?? null);
    /** @type {Response} */
    let response;
    try {
      response = await fetch(address, { method, headers: { ...headers, authorization: `Bearer ${this.#session?.access_token ?? ''}` }, body, cache: 'no-store', signal });
    } catch {
      throw new ApiError('network', 0, 'no answer');
    }
    if (response.ok) return response;
    const refusal = (await response.json().catch(() => null))?.error;
    throw new ApiError(refusal?.code ?? (response.status >= 500 ? 'unavailable' : 'internal'), response.status, refusal?.message ?? response.statusText);
  }

  #isFresh() {
    return this.#session === null || this.#session.expires_ms - RENEW_BEFORE_MS > Date.now();
  }

  /**
   * Gets a new access token in place of `stale`. A refresh token works once, so tabs take turns, and
   * the second one finds that the first has renewed already.
   * @param {string | null} stale
   */
  async #renew(stale) {
    const turn = async () => {
      const session = read();
      if (session && session.access_token !== stale && session.expires_ms > Date.now()) {
        this.#session = session;
        return;
      }
      if (!session) throw new ApiError('unauthorized', 401, 'signed out');
      try {
        if (!session.refresh_token) throw new ApiError('unauthorized', 401, 'no refresh token');
        this.#keep(await this.#fetch('POST', 'auth/refresh', { body: { refresh_token: session.refresh_token }, open: true }, null));
      } catch (error) {
        if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) {
          // A guest is a name: who cannot be the one of before any more is another one.
          if (session.user.role === 'guest') return this.newGuest(session.user.display_name);
          this.#forget();
          throw new ApiError('unauthorized', 401, 'signed out');
        }
        throw error;
      }
    };
    await (navigator.locks ? navigator.locks.request(KEY, turn) : turn());
  }

  /** @param {AuthResponse} answer */
  #keep(answer) {
    this.#session = {
      access_token: answer.access_token,
      expires_ms: Date.now() + answer.expires_in * 1000,
      refresh_token: answer.refresh_token ?? null,
      user: answer.user,
    };
    write(this.#session);
    this.#tell();
  }

  #forget() {
    this.#session = null;
    write(null);
    this.#tell();
  }

  #tell() {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** @returns {Tokens | null} */
function read() {
  try {
    const session = JSON.parse(localStorage.getItem(KEY) ?? 'null');
    return typeof session?.access_token === 'string' && session.user ? session : null;
  } catch {
    return null;
  }
}

/** @param {Tokens | null} session */
function write(session) {
  try {
    if (session) localStorage.setItem(KEY, JSON.stringify(session));
    else localStorage.removeItem(KEY);
  } catch {
    // Storage is off or full: the session lasts as long as the page.
  }
}
