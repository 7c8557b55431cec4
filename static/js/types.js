// The words of the protocol as JavaScript sees them; the source is `protocol/src`. Types only.

/** @typedef {'audio' | 'video'} Kind */
/** @typedef {'microphone' | 'camera' | 'screen' | 'screen_audio'} Source */
/** @typedef {'guest' | 'member' | 'admin' | 'owner'} Role */
/** @typedef {{id: string, source: Source, csrc: number}} Track */
/** @typedef {{mic_muted: boolean, cam_off: boolean, mic_forced: boolean, cam_forced: boolean}} MediaState */

/**
 * @typedef {object} Participant
 * @property {string} id
 * @property {string} user_id
 * @property {string} display_name
 * @property {Role} role
 * @property {'online' | 'reconnecting'} presence
 * @property {MediaState} media
 * @property {Track[]} tracks
 * @property {number} joined_ms
 */

/**
 * @typedef {object} Room
 * @property {string} id
 * @property {string} slug
 * @property {string} name
 * @property {boolean} has_invite_key
 * @property {string} [invite_code]
 * @property {string} owner_id
 * @property {Role} [role]
 * @property {number} participants
 * @property {number} created_ms
 */

/** @typedef {{topic: string, is_locked: boolean, mute_all: boolean, recording_active: boolean, hands_up: string[]}} RoomState */

/**
 * @typedef {object} ChatMessage
 * @property {string} id
 * @property {number} seq
 * @property {string} user_id
 * @property {string} display_name
 * @property {string} text
 * @property {number} sent_ms
 * @property {string} [client_id]
 */

/** @typedef {{rid?: string, spatial?: number, temporal?: number, width?: number, height?: number}} Layer */
/** @typedef {'best' | 'empty' | 'muted' | 'forced' | 'codec' | 'viewport' | 'bandwidth' | 'publisher'} SlotReason */
/** @typedef {{mid: string, kind: Kind, participant_id?: string, track?: Track, layer?: Layer, reason: SlotReason}} SlotBinding */
/** @typedef {{participant_id: string, source: Source, width: number, height: number, pinned: boolean}} ViewTile */

/**
 * What the server says on the socket.
 * @typedef {{type: 'joined', participant_id: string, user_id: string, role: Role, room: Room, resume: string, resumed: boolean}
 *   | {type: 'state.snapshot', state: RoomState, participants: Participant[], messages: ChatMessage[], speakers: string[]}
 *   | {type: 'state.changed', state: RoomState}
 *   | {type: 'sync.info', next_seq: number}
 *   | {type: 'member.joined', participant: Participant, seq: number}
 *   | {type: 'member.left', participant_id: string, reason: 'left' | 'timed_out' | 'room_closed' | 'kicked', seq: number}
 *   | {type: 'member.presence', participant_id: string, presence: 'online' | 'reconnecting'}
 *   | {type: 'media.updated', participant_id: string, media: MediaState}
 *   | {type: 'tracks.changed', participant_id: string, tracks: Track[]}
 *   | ({type: 'chat.message', re?: string} & ChatMessage)
 *   | {type: 'chat.typing', participant_id: string, is_typing: boolean}
 *   | {type: 'reaction', participant_id: string, emoji: string}
 *   | {type: 'signal.message', from: string, topic: string, data: unknown}
 *   | {type: 'media.published', pc: string, sdp: string, re?: string}
 *   | {type: 'media.offer', pc: string, sdp: string, re?: string}
 *   | {type: 'media.closed', pc: string, reason: string}
 *   | {type: 'slots.changed', pc: string, slots: SlotBinding[]}
 *   | {type: 'media.layers', pc: string, mid: string, rids: string[]}
 *   | {type: 'speakers.changed', speakers: string[]}
 *   | {type: 'pong', re?: string}
 *   | {type: 'error', code: string, reason: string, re?: string}
 * } ServerMessage
 */

/**
 * What a client may say on the socket.
 * @typedef {{type: 'ping'}
 *   | {type: 'leave'}
 *   | {type: 'media.self', mic_muted: boolean, cam_off: boolean}
 *   | {type: 'chat.message', text: string, client_id: string}
 *   | {type: 'chat.typing', is_typing: boolean}
 *   | {type: 'reaction', emoji: string}
 *   | {type: 'signal.message', to?: string, topic: string, data: unknown}
 *   | {type: 'media.publish', pc: string, sdp: string, tracks: {mid: string, source: Source}[]}
 *   | {type: 'media.subscribe', pc: string, audio_slots?: number, video_slots?: number}
 *   | {type: 'media.answer', pc: string, sdp: string}
 *   | {type: 'view.set', tiles?: ViewTile[], silenced: string[]}
 * } ClientMessage
 */

/** @typedef {{id: string, display_name: string, username?: string, email?: string, role: 'admin' | 'user' | 'guest'}} User */
/** @typedef {{access_token: string, token_type: string, expires_in: number, refresh_token?: string, user: User}} AuthResponse */
/** @typedef {{app_name: string, version: string, registration: 'open' | 'secret' | 'closed', guests_may_create_rooms: boolean}} PublicConfig */

/** Bounds of the protocol that forms show (`protocol/src/limits.rs`). */
export const LIMITS = {
  displayName: 64,
  roomName: 120,
  inviteKey: 128,
  chat: 4000,
  /** Messages that the first snapshot brings; fewer means that there are no older ones. */
  history: 50,
  page: 50,
};
