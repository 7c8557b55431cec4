// The words of the protocol as JavaScript sees them; the source is `protocol/src`. Types only.

/** @typedef {'audio' | 'video'} Kind */
/** @typedef {'microphone' | 'camera' | 'screen' | 'screen_audio'} Source */
/** @typedef {'guest' | 'member' | 'admin' | 'owner'} Role */
/** @typedef {{id: string, source: Source, csrc: number}} Track */
/** @typedef {{mic_muted: boolean, cam_off: boolean, mic_forced: boolean, cam_forced: boolean, screen_forced: boolean}} MediaState */
/** What a moderator can stop.
 * @typedef {'microphone' | 'camera' | 'screen'} Forcible */
/** Who did something.
 * @typedef {{user_id: string, display_name: string}} By */
/** What moderators have ordered for a person, and who did.
 * @typedef {{microphone?: By, camera?: By, screen?: By, may_speak?: boolean, may_speak_until_ms?: number}} Orders */
/** Somebody who waits in the lobby.
 * @typedef {{id: string, user_id: string, display_name: string, role: Role, knocked_ms: number}} Knock */
/** @typedef {{user_id: string, display_name: string, by: By, reason?: string, banned_ms: number}} Ban */
/** Who belongs to a room, here or not.
 * @typedef {{user_id: string, display_name: string, role: Role, orders?: Orders, joined_ms: number}} Member */
/** What somebody did as a moderator; `detail` is the event that told it.
 * @typedef {{seq: number, at_ms: number, action: string, by: By, target?: By, detail: Record<string, any>}} AuditEntry */

/**
 * @typedef {object} Participant
 * @property {string} id
 * @property {string} user_id
 * @property {string} display_name
 * @property {Role} role
 * @property {'online' | 'reconnecting'} presence
 * @property {MediaState} media
 * @property {Orders} [orders]
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
 * @property {string} [parent] slug of the main room, where this is a breakout room
 * @property {string} [cover_id] names its picture, where it has one
 * @property {string} owner_id
 * @property {Role} [role]
 * @property {number} participants
 * @property {number} created_ms
 */

/** A room beside the main room for a while; `people` is told to those in the main room.
 * @typedef {{id: string, slug: string, name: string, people?: By[]}} Breakout */
/** Breakout rooms while they are open; a room is named by its place in the list, `assignments` go by user id.
 * @typedef {{rooms: Breakout[], assignments: Record<string, number>, self_choice: boolean, opened_ms: number, ends_ms?: number, by: By}} Breakouts */

/** @typedef {{topic: string, is_locked: boolean, mute_all: boolean, has_lobby: boolean, capacity: number, recording_active: boolean, recording?: RecordingNow,
 *   auto_record?: boolean, record_consent?: string, hands_up: string[]}} RoomState */
/** @typedef {{recording_id: string, since_ms: number, by?: By}} RecordingNow */
/** @typedef {Partial<Pick<RoomState, 'topic' | 'is_locked' | 'mute_all' | 'has_lobby' | 'capacity' | 'auto_record' | 'record_consent'>>} StateChange */

/**
 * @typedef {object} ChatMessage
 * @property {string} id
 * @property {number} seq
 * @property {string} user_id
 * @property {string} display_name
 * @property {string} text
 * @property {number} sent_ms
 * @property {string} [client_id]
 * @property {string} [reply_to]
 * @property {string} [to] user id of the one person it is for
 * @property {string} [algo] only sealed messages have this
 * @property {string} [ciphertext_b64]
 * @property {number} [edited_ms]
 * @property {number} [deleted_ms]
 * @property {number} [pinned_ms]
 * @property {Feeling[]} [reactions]
 * @property {Poll} [poll]
 * @property {Attachment[]} [attachments]
 */

/** @typedef {{emoji: string, user_ids: string[]}} Feeling */
/** @typedef {{question: string, options: string[], is_multiple: boolean, is_closed: boolean, votes: {user_id: string, choices: number[]}[]}} Poll */
/** @typedef {{question: string, options: string[], is_multiple: boolean}} NewPoll */
/** @typedef {{id: string, name: string, mime: string, bytes: number, width?: number, height?: number}} Attachment */
/** @typedef {{id: string, code?: string, role: Role, max_uses?: number, uses: number, expires_ms?: number, created_by: string, created_ms: number}} Invite */
/** For an encoder or a player; `key` is there once, in the answer to making it.
 * @typedef {{id: string, key?: string, name: string, purpose: 'publish' | 'watch', user_id: string, expires_ms?: number, used_ms?: number, created_by: string, created_ms: number}} StreamKey */

/** @typedef {'stopped' | 'empty' | 'no_space' | 'quota' | 'disk_error' | 'server_stopped' | 'crashed'} RecordEnd */
/** @typedef {{view: 'grid' | 'speaker' | 'sound', state: 'queued' | 'running' | 'done' | 'failed', percent?: number, file?: string, bytes?: number, error?: string}} Export */
/** @typedef {{name: string, participant_id?: string, user_id?: string, display_name: string, source: string, codecs: string[], offset_ms: number, duration_ms: number, bytes: number}} RecordingFile */
/** What the server kept of a meeting, or somebody uploaded; `files` are not in lists.
 * @typedef {{id: string, room_id: string, slug: string, title: string, origin: 'server' | 'upload', state: 'recording' | 'complete' | 'recovered' | 'out_of_space' | 'failed', end?: RecordEnd, by?: By,
 *   started_ms: number, ended_ms?: number, duration_ms?: number, bytes: number, expires_ms?: number, files?: RecordingFile[]}} Recording */

/** @typedef {{rid?: string, spatial?: number, temporal?: number, width?: number, height?: number}} Layer */
/** @typedef {'best' | 'empty' | 'muted' | 'forced' | 'codec' | 'viewport' | 'bandwidth' | 'publisher' | 'server'} SlotReason */
/** @typedef {{mid: string, kind: Kind, participant_id?: string, track?: Track, layer?: Layer, reason: SlotReason}} SlotBinding */
/** @typedef {{participant_id: string, source: Source, width: number, height: number, pinned: boolean}} ViewTile */

/**
 * What the server says on the socket.
 * @typedef {{type: 'joined', participant_id: string, user_id: string, role: Role, room: Room, resume: string, resumed: boolean}
 *   | {type: 'state.snapshot', state: RoomState, participants: Participant[], people?: number, messages: ChatMessage[], speakers: string[], lobby?: Knock[], pinned?: ChatMessage[], breakouts?: Breakouts}
 *   | {type: 'state.changed', state: RoomState, by: By, seq: number}
 *   | {type: 'sync.info', next_seq: number}
 *   | {type: 'member.joined', participant: Participant, seq: number}
 *   | {type: 'member.left', participant_id: string, reason: 'left' | 'timed_out' | 'room_closed' | 'kicked' | 'sent_back', seq: number}
 *   | {type: 'lobby.waiting', participant_id: string, room: Room}
 *   | {type: 'lobby.knocked', knock: Knock, seq: number}
 *   | {type: 'record.started', recording_id: string, since_ms: number, by?: By, consent?: string, seq: number}
 *   | {type: 'lobby.left', knock: Knock, outcome: 'admitted' | 'refused' | 'gone', by?: By, seq: number}
 *   | {type: 'hand.raised', participant_id: string, seq: number}
 *   | {type: 'hand.lowered', participant_id?: string, by?: By, seq: number}
 *   | {type: 'role.changed', user_id: string, role: Role, stepped_down?: string, by: By, seq: number}
 *   | {type: 'media.forced', user_id: string, source: 'microphone' | 'screen', forced: boolean, by: By, seq: number}
 *   | {type: 'media.video_forced', user_id: string, forced: boolean, by: By, seq: number}
 *   | {type: 'speak.allowed', user_id: string, allowed: boolean, until_ms?: number, by: By, seq: number}
 *   | {type: 'member.kicked', user_id: string, display_name?: string, is_banned: boolean, reason?: string, by: By, seq: number}
 *   | {type: 'member.unbanned', user_id: string, by: By, seq: number}
 *   | {type: 'record.stopped', recording_id: string, reason: RecordEnd, by?: By, seq: number}
 *   | {type: 'room.changed', name: string, has_invite_key: boolean, cover?: string, by: By, seq: number}
 *   | {type: 'invite.created', invite: Invite, by: By, seq: number}
 *   | {type: 'invite.revoked', invite_id: string, by: By, seq: number}
 *   | {type: 'stream_key.created', stream_key: StreamKey, by: By, seq: number}
 *   | {type: 'stream_key.revoked', stream_key_id: string, name: string, by: By, seq: number}
 *   | {type: 'breakout.opened', breakouts: Breakouts, by: By, seq: number}
 *   | {type: 'breakout.assigned', assignments: Record<string, number | null>, by: By, seq: number}
 *   | {type: 'breakout.broadcast', text: string, by: By, seq: number}
 *   | {type: 'breakout.closing', ends_ms: number, by: By, seq: number}
 *   | {type: 'breakout.closed', by?: By, seq: number}
 *   | {type: 'breakout.help', room: number, by: By, seq: number}
 *   | {type: 'breakout.people', room: number, people: By[]}
 *   | {type: 'events.batch', events: ServerMessage[]}
 *   | {type: 'roster.page', participants: Participant[], has_more: boolean}
 *   | {type: 'sync.batch', events: ServerMessage[], upto_seq: number, has_more: boolean, re?: string}
 *   | {type: 'done', re?: string}
 *   | {type: 'member.presence', participant_id: string, presence: 'online' | 'reconnecting'}
 *   | {type: 'media.updated', participant_id: string, media: MediaState}
 *   | {type: 'tracks.changed', participant_id: string, tracks: Track[]}
 *   | ({type: 'chat.message', re?: string} & ChatMessage)
 *   | ({type: 'chat.message.enc', re?: string} & ChatMessage)
 *   | {type: 'chat.edited', message_id: string, text: string, edited_ms: number, seq: number}
 *   | {type: 'chat.deleted', message_id: string, deleted_ms: number, by: By, seq: number}
 *   | {type: 'chat.reacted', message_id: string, user_id: string, emoji: string, on: boolean, seq: number}
 *   | {type: 'chat.pinned', message_id: string, message?: ChatMessage, pinned: boolean, at_ms: number, by: By, seq: number}
 *   | {type: 'poll.voted', message_id: string, user_id: string, choices: number[], seq: number}
 *   | {type: 'poll.closed', message_id: string, by: By, seq: number}
 *   | {type: 'keys.published', participant_id: string, keys: object}
 *   | {type: 'signal', from: string, kind: string, data: unknown}
 *   | {type: 'chat.typing', participant_id: string, is_typing: boolean}
 *   | {type: 'reaction', participant_id: string, emoji: string}
 *   | {type: 'signal.message', from: string, topic: string, data: unknown}
 *   | {type: 'media.published', pc: string, sdp: string, re?: string}
 *   | {type: 'media.offer', pc: string, sdp: string, re?: string}
 *   | {type: 'media.closed', pc: string, reason: string}
 *   | {type: 'slots.changed', pc: string, slots: SlotBinding[]}
 *   | {type: 'media.layers', pc: string, mid: string, rids: string[], spatial?: number}
 *   | {type: 'speakers.changed', speakers: string[]}
 *   | {type: 'pong', re?: string}
 *   | {type: 'error', code: string, reason: string, re?: string}
 * } ServerMessage
 */

/**
 * What somebody with the power for it may order.
 * @typedef {{type: 'hand.lower', participant_id?: string, everybody?: boolean}
 *   | {type: 'role.set', user_id: string, role: Role}
 *   | {type: 'media.force', user_id?: string, source: Forcible, forced: boolean}
 *   | {type: 'speak.allow', user_id: string, allowed: boolean, minutes?: number}
 *   | ({type: 'state.set'} & StateChange)
 *   | {type: 'member.kick', user_id: string, reason?: string}
 *   | {type: 'member.ban', user_id: string, reason?: string, invite?: boolean}
 *   | {type: 'member.unban', user_id: string}
 *   | {type: 'lobby.admit', participant_id?: string}
 *   | {type: 'lobby.refuse', participant_id: string}
 *   | {type: 'record.start'}
 *   | {type: 'record.stop'}
 *   | {type: 'breakout.open', rooms: {name: string}[], assignments: Record<string, number>, self_choice?: boolean, minutes?: number}
 *   | {type: 'breakout.assign', assignments: Record<string, number | null>}
 *   | {type: 'breakout.broadcast', text: string}
 *   | {type: 'breakout.close', seconds?: number}
 *   | {type: 'breakout.help'}
 *   | {type: 'chat.edit', message_id: string, text: string}
 *   | {type: 'chat.delete', message_id: string}
 *   | {type: 'chat.react', message_id: string, emoji: string, on: boolean}
 *   | {type: 'chat.pin', message_id: string, pinned: boolean}
 *   | {type: 'poll.vote', message_id: string, choices: number[]}
 *   | {type: 'poll.close', message_id: string}
 * } Order
 */

/** What a line of chat may carry beside its text.
 * @typedef {{reply_to?: string, to?: string, poll?: NewPoll, attachments?: string[]}} Extras */

/**
 * What a client may say on the socket.
 * @typedef {{type: 'ping'}
 *   | {type: 'leave'}
 *   | Order
 *   | {type: 'hand.raise'}
 *   | {type: 'sync.sub', after_seq: number}
 *   | {type: 'media.self', mic_muted: boolean, cam_off: boolean}
 *   | ({type: 'chat.message', text: string, client_id: string} & Extras)
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

export {};
