// What moderators' orders, hands and the lobby do to the state. Pure.

/** @typedef {import('./state.js').Meeting} Meeting */
/** @typedef {import('./types.js').Participant} Participant */
/** @typedef {import('./types.js').Orders} Orders */
/** @typedef {import('./types.js').ServerMessage} ServerMessage */
/** @typedef {Extract<ServerMessage, {type: 'hand.raised' | 'hand.lowered' | 'role.changed' | 'media.forced' | 'media.video_forced'
 *   | 'speak.allowed' | 'member.kicked' | 'lobby.knocked' | 'lobby.left'}>} OrderEvent */

/**
 * @param {Meeting} meeting
 * @param {OrderEvent} event
 * @returns {Meeting}
 */
export function ordered(meeting, event) {
  switch (event.type) {
    case 'hand.raised':
      return withHands(meeting, [...meeting.state.hands_up.filter((id) => id !== event.participant_id), event.participant_id]);
    case 'hand.lowered':
      return withHands(meeting, event.participant_id === undefined ? [] : meeting.state.hands_up.filter((id) => id !== event.participant_id));
    case 'role.changed':
      return {
        ...meeting,
        participants: meeting.participants.map((p) => {
          if (p.user_id === event.user_id) return { ...p, role: event.role };
          return p.user_id === event.stepped_down ? { ...p, role: 'admin' } : p;
        }),
      };
    case 'media.forced':
      return withOrders(meeting, event.user_id, { [event.source]: event.forced ? event.by : undefined });
    case 'media.video_forced':
      return withOrders(meeting, event.user_id, { camera: event.forced ? event.by : undefined });
    case 'speak.allowed':
      return withOrders(meeting, event.user_id, { may_speak: event.allowed, may_speak_until_ms: event.allowed ? event.until_ms : undefined });
    case 'member.kicked': {
      if (event.user_id !== meeting.userId) return { ...meeting, lobby: meeting.lobby.filter((k) => k.user_id !== event.user_id) };
      const { by, is_banned, reason = '' } = event;
      return { ...meeting, removal: { by: by.display_name, isBanned: is_banned, reason } };
    }
    case 'lobby.knocked':
      return { ...meeting, lobby: [...meeting.lobby.filter((k) => k.id !== event.knock.id), event.knock] };
    case 'lobby.left':
      return { ...meeting, lobby: meeting.lobby.filter((k) => k.id !== event.knock.id) };
  }
}

/**
 * @param {Meeting} meeting
 * @param {string[]} hands
 * @returns {Meeting}
 */
export function withHands(meeting, hands) {
  return { ...meeting, state: { ...meeting.state, hands_up: hands } };
}

/**
 * @param {Meeting} meeting
 * @param {string} userId
 * @param {Orders} difference
 * @returns {Meeting}
 */
function withOrders(meeting, userId, difference) {
  return {
    ...meeting,
    participants: meeting.participants.map((p) => (p.user_id === userId ? { ...p, orders: { ...p.orders, ...difference } } : p)),
  };
}

/**
 * The right to speak for some minutes ends by itself, without a word that names it.
 * @param {Meeting} meeting
 * @param {number} now
 * @returns {Meeting}
 */
export function ended(meeting, now) {
  const isOver = (/** @type {Participant} */ p) => p.orders?.may_speak_until_ms !== undefined && p.orders.may_speak_until_ms <= now;
  if (!meeting.participants.some(isOver)) return meeting;
  const participants = meeting.participants.map((p) => (isOver(p) ? { ...p, orders: { ...p.orders, may_speak: false, may_speak_until_ms: undefined } } : p));
  return { ...meeting, participants };
}

/**
 * The place of somebody's hand in the queue, from 1; 0 when it is down.
 * @param {Meeting} meeting
 * @param {string | null} participantId
 */
export function placeOfHand(meeting, participantId) {
  return participantId === null ? 0 : meeting.state.hands_up.indexOf(participantId) + 1;
}

/**
 * People as the list shows them: me first, then raised hands in their order, then as they came.
 * @param {Meeting} meeting
 * @returns {Participant[]}
 */
export function roster(meeting) {
  // Taken out and put in front: sorting a thousand would ask for places ten thousand times.
  const first = [meeting.me, ...meeting.state.hands_up.filter((id) => id !== meeting.me)];
  const places = new Map(first.map((id, place) => [id, place]));
  /** @type {Participant[]} */
  const front = [];
  const rest = meeting.participants.filter((p) => !places.has(p.id) || !front.push(p));
  front.sort((a, b) => (places.get(a.id) ?? 0) - (places.get(b.id) ?? 0));
  return [...front, ...rest];
}
