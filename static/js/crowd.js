// Rooms of hundreds: what happened since the last time comes as one batch, and people come page by page. Pure.

/** @typedef {import('./state.js').Meeting} Meeting */
/** @typedef {import('./types.js').Participant} Participant */
/** @typedef {import('./types.js').ServerMessage} ServerMessage */

/**
 * The meeting after a batch: each event counts as if it had come alone. What only changes people is applied to all of
 * them together, as a thousand changes of a list of a thousand would be a million steps.
 * @param {Meeting} meeting
 * @param {readonly ServerMessage[]} events
 * @param {(meeting: Meeting, event: ServerMessage) => Meeting} reduceOne
 * @returns {Meeting}
 */
export function batched(meeting, events, reduceOne) {
  let now = meeting;
  /** @type {Map<string, Participant> | null} */
  let changing = null;
  const settle = () => {
    if (changing) now = { ...now, participants: [...changing.values()].sort(inOrder) };
    changing = null;
  };
  for (const event of events) {
    const change = differenceOf(event);
    if (!change && event.type !== 'member.joined') {
      settle();
      now = reduceOne(now, event);
      continue;
    }
    /** @type {Map<string, Participant>} */
    const people = changing ?? new Map(now.participants.map((p) => [p.id, p]));
    changing = people;
    if (event.type === 'member.joined') {
      if (now.people !== null && !people.has(event.participant.id)) now = { ...now, people: now.people + 1 };
      people.delete(event.participant.id);
      people.set(event.participant.id, event.participant);
    } else if (change) {
      const before = people.get(change.id);
      if (before) people.set(change.id, { ...before, ...change.difference });
    }
  }
  settle();
  return now;
}

/**
 * What an event changes of one person.
 * @param {ServerMessage} event
 * @returns {{id: string, difference: Partial<Participant>} | null}
 */
export function differenceOf(event) {
  switch (event.type) {
    case 'member.presence':
      return { id: event.participant_id, difference: { presence: event.presence } };
    case 'media.updated':
      return { id: event.participant_id, difference: { media: event.media } };
    case 'tracks.changed':
      return { id: event.participant_id, difference: { tracks: event.tracks } };
    default:
      return null;
  }
}

/**
 * More people of a large room. Whoever was told of meanwhile is here already; the page knows them better.
 * @param {Meeting} meeting
 * @param {Extract<ServerMessage, {type: 'roster.page'}>} page
 * @returns {Meeting}
 */
export function paged(meeting, page) {
  const known = new Map(meeting.participants.map((p) => [p.id, p]));
  for (const person of page.participants) known.set(person.id, person);
  return { ...meeting, participants: [...known.values()].sort(inOrder), people: page.has_more ? meeting.people : null };
}

/**
 * By joining; ids of participants grow with time, so those of one moment keep their order too. What is said of them may come in
 * another: everybody sees them in this one.
 * @param {Participant} a
 * @param {Participant} b
 */
export function inOrder(a, b) {
  return a.joined_ms - b.joined_ms || (a.id < b.id ? -1 : 1);
}

/**
 * How many are here, whether all of them are known yet or not.
 * @param {Meeting} meeting
 */
export function countOf(meeting) {
  return Math.max(meeting.people ?? 0, meeting.participants.length);
}
