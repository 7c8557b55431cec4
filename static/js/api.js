// Everything a page may ask of the server about rooms and calls.

import { Session } from './session.js';

/** @typedef {import('./types.js').Room} Room */

export class Api extends Session {
  /** @returns {Promise<import('./types.js').PublicConfig>} */
  config() {
    return this.call('GET', 'config', { open: true });
  }

  /** @returns {Promise<{rooms: Room[]}>} */
  rooms() {
    return this.call('GET', 'rooms');
  }

  /**
   * @param {{name: string, slug?: string, invite_key?: string}} room
   * @returns {Promise<Room>}
   */
  createRoom(room) {
    return this.call('POST', 'rooms', { body: room });
  }

  /**
   * @param {string} slug
   * @returns {Promise<Room>}
   */
  room(slug) {
    return this.call('GET', `rooms/${encodeURIComponent(slug)}`);
  }

  /** @param {string} slug */
  deleteRoom(slug) {
    return this.call('DELETE', `rooms/${encodeURIComponent(slug)}`);
  }

  /**
   * @param {string} code
   * @returns {Promise<{id: string, slug: string, name: string, participants: number}>}
   */
  roomByInvite(code) {
    return this.call('GET', `rooms/by-invite/${encodeURIComponent(code)}`, { open: true });
  }

  /**
   * @param {string} code
   * @returns {Promise<Room>}
   */
  joinByInvite(code) {
    return this.call('POST', `rooms/by-invite/${encodeURIComponent(code)}/join`);
  }

  /**
   * @param {string} slug
   * @param {{invite_key?: string, resume?: string}} request
   * @param {number} [withinMs]
   * @param {boolean} [isAnew] over another connection than other requests
   * @returns {Promise<{ticket: string, expires_in: number}>}
   */
  ticket(slug, request, withinMs, isAnew) {
    return this.call('POST', `rooms/${encodeURIComponent(slug)}/ticket`, { body: request, withinMs, isAnew });
  }

  /**
   * @param {string} slug
   * @param {string | null} beforeId
   * @param {number} limit
   * @returns {Promise<{messages: import('./types.js').ChatMessage[], has_more: boolean}>}
   */
  messages(slug, beforeId, limit) {
    const query = new URLSearchParams({ limit: String(limit) });
    if (beforeId) query.set('before_id', beforeId);
    return this.call('GET', `rooms/${encodeURIComponent(slug)}/messages?${query}`);
  }

  /**
   * @param {string} slug
   * @returns {Promise<{members: import('./types.js').Member[]}>}
   */
  members(slug) {
    return this.call('GET', `rooms/${encodeURIComponent(slug)}/members`);
  }

  /**
   * A page of what moderators did: the newest, or before a number.
   * @param {string} slug
   * @param {number | null} beforeSeq
   * @returns {Promise<{entries: import('./types.js').AuditEntry[], has_more: boolean}>}
   */
  audit(slug, beforeSeq) {
    return this.call('GET', `rooms/${encodeURIComponent(slug)}/audit${beforeSeq === null ? '' : `?before_seq=${beforeSeq}`}`);
  }

  /**
   * @param {string} slug
   * @returns {Promise<Blob>}
   */
  cover(slug) {
    return this.call('GET', `rooms/${encodeURIComponent(slug)}/cover`, { isFile: true });
  }

  /**
   * @param {string} slug
   * @param {File} picture
   * @returns {Promise<void>}
   */
  setCover(slug, picture) {
    return this.deliver('PUT', `rooms/${encodeURIComponent(slug)}/cover`, picture);
  }

  /** @param {string} slug */
  removeCover(slug) {
    return this.call('DELETE', `rooms/${encodeURIComponent(slug)}/cover`);
  }

  /**
   * @param {string} slug
   * @returns {Promise<{bans: import('./types.js').Ban[]}>}
   */
  bans(slug) {
    return this.call('GET', `rooms/${encodeURIComponent(slug)}/bans`);
  }

  /**
   * @param {string} slug
   * @returns {Promise<{invites: import('./types.js').Invite[]}>}
   */
  invites(slug) {
    return this.call('GET', `rooms/${encodeURIComponent(slug)}/invites`);
  }

  /**
   * @param {string} slug
   * @param {{role?: import('./types.js').Role, max_uses?: number, expires_in?: number}} invite
   * @returns {Promise<import('./types.js').Invite>}
   */
  createInvite(slug, invite) {
    return this.call('POST', `rooms/${encodeURIComponent(slug)}/invites`, { body: invite });
  }

  /**
   * @param {string} slug
   * @param {string} id
   */
  revokeInvite(slug, id) {
    return this.call('DELETE', `rooms/${encodeURIComponent(slug)}/invites/${encodeURIComponent(id)}`);
  }

  /**
   * @param {string} slug
   * @returns {Promise<{stream_keys: import('./types.js').StreamKey[]}>}
   */
  streamKeys(slug) {
    return this.call('GET', `rooms/${encodeURIComponent(slug)}/stream-keys`);
  }

  /**
   * @param {string} slug
   * @param {{name: string, purpose: 'publish' | 'watch', expires_in?: number}} key
   * @returns {Promise<import('./types.js').StreamKey>}
   */
  createStreamKey(slug, key) {
    return this.call('POST', `rooms/${encodeURIComponent(slug)}/stream-keys`, { body: key });
  }

  /**
   * @param {string} slug
   * @param {string} id
   */
  revokeStreamKey(slug, id) {
    return this.call('DELETE', `rooms/${encodeURIComponent(slug)}/stream-keys/${encodeURIComponent(id)}`);
  }

  /**
   * @param {string} slug
   * @param {File} file
   * @param {(part: number) => void} progress 0..1
   * @param {AbortSignal} signal
   * @returns {Promise<import('./types.js').Attachment>}
   */
  upload(slug, file, progress, signal) {
    return this.deliver('POST', `rooms/${encodeURIComponent(slug)}/attachments?name=${encodeURIComponent(file.name || 'file')}`, file, progress, signal);
  }

  /**
   * A file of the chat, or its thumbnail.
   * @param {string} slug
   * @param {string} id
   * @param {boolean} isSmall
   * @returns {Promise<Blob>}
   */
  file(slug, id, isSmall) {
    return this.call('GET', `rooms/${encodeURIComponent(slug)}/attachments/${encodeURIComponent(id)}${isSmall ? '/thumbnail' : ''}`, { isFile: true });
  }

  /**
   * Takes an upload back that no line shows yet.
   * @param {string} slug
   * @param {string} id
   */
  discard(slug, id) {
    return this.call('DELETE', `rooms/${encodeURIComponent(slug)}/attachments/${encodeURIComponent(id)}`);
  }

  /**
   * Servers that help through networks; the server's own relay is for people of a room.
   * @param {string} slug
   * @returns {Promise<{ice_servers: RTCIceServer[], ttl: number}>}
   */
  iceServers(slug) {
    return this.call('GET', `webrtc/ice-servers?room=${encodeURIComponent(slug)}`);
  }
}
