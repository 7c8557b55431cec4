// Breakout rooms as the state holds them: which are open, who belongs where, and where this client is. Pure.

/** @typedef {import('./state.js').Meeting} Meeting */
/** @typedef {import('./types.js').Breakout} Breakout */
/** @typedef {import('./types.js').ServerMessage} ServerMessage */
/** @typedef {Extract<ServerMessage, {type: 'breakout.opened' | 'breakout.assigned' | 'breakout.broadcast' | 'breakout.closing' | 'breakout.closed' | 'breakout.people' | 'breakout.help'}>} BreakoutEvent */

/** Calls for help that are kept: more would fill the screen, and nobody answers so many. */
const MAX_CALLS = 3;

/**
 * @param {Meeting} meeting
 * @param {BreakoutEvent} event
 * @returns {Meeting}
 */
export function brokenOut(meeting, event) {
  const { breakouts } = meeting;
  switch (event.type) {
    case 'breakout.opened':
      return { ...meeting, breakouts: event.breakouts };
    case 'breakout.assigned': {
      if (!breakouts) return meeting;
      /** @type {Record<string, number>} */
      const assignments = { ...breakouts.assignments };
      for (const [user, place] of Object.entries(event.assignments)) {
        if (place === null) delete assignments[user];
        else assignments[user] = place;
      }
      return { ...meeting, breakouts: { ...breakouts, assignments } };
    }
    case 'breakout.broadcast':
      return { ...meeting, broadcast: { by: event.by, text: event.text } };
    case 'breakout.closing':
      return breakouts ? { ...meeting, breakouts: { ...breakouts, ends_ms: event.ends_ms } } : meeting;
    case 'breakout.closed':
      return { ...meeting, breakouts: null, departure: null, calls: [] };
    case 'breakout.help': {
      const others = meeting.calls.filter((call) => call.room !== event.room);
      return { ...meeting, calls: [...others, { room: event.room, by: event.by }].slice(-MAX_CALLS) };
    }
    case 'breakout.people':
      if (!breakouts) return meeting;
      return { ...meeting, breakouts: { ...breakouts, rooms: breakouts.rooms.map((room, place) => (place === event.room ? { ...room, people: event.people } : room)) } };
  }
}

/**
 * Which breakout room this is; null in the main room.
 * @param {Meeting} meeting
 * @returns {Breakout | null}
 */
export function breakoutHere({ breakouts, room }) {
  return breakouts?.rooms.find((breakout) => breakout.id === room?.id) ?? null;
}

/**
 * The breakout room where I belong.
 * @param {Meeting} meeting
 * @returns {Breakout | null}
 */
export function myBreakout({ breakouts, userId }) {
  const place = userId === null ? undefined : breakouts?.assignments[userId];
  return place === undefined ? null : (breakouts?.rooms[place] ?? null);
}

/**
 * People in as many rooms as there are, the same number in each or one more, by chance.
 * @param {readonly string[]} users
 * @param {number} rooms
 * @param {() => number} chance 0..1
 * @returns {Record<string, number>}
 */
export function shareOut(users, rooms, chance) {
  const order = users.map((user) => ({ user, key: chance() })).sort((a, b) => a.key - b.key);
  return Object.fromEntries(order.map(({ user }, n) => [user, n % rooms]));
}
