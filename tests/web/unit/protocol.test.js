// What the client copies from the protocol is what the protocol says.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';
import { CLOSE } from '../../../static/js/socket.js';
import { newMeeting, reduce } from '../../../static/js/state.js';
import { LIMITS } from '../../../static/js/limits.js';

const FIXTURES = new URL('../../../protocol/fixtures/', import.meta.url);
const rust = (/** @type {string} */ name) => readFileSync(new URL(`../../../protocol/src/${name}.rs`, import.meta.url), 'utf8');

test('limits that forms show are those that the server keeps', () => {
  const text = rust('limits');
  const limit = (/** @type {string} */ name) => Number(new RegExp(`const ${name}: \\w+ = ([0-9_]+);`).exec(text)?.[1]?.replaceAll('_', ''));
  assert.equal(LIMITS.displayName, limit('MAX_DISPLAY_NAME_CHARS'));
  assert.equal(LIMITS.roomName, limit('MAX_ROOM_NAME_CHARS'));
  assert.equal(LIMITS.inviteKey, limit('MAX_INVITE_KEY_CHARS'));
  assert.equal(LIMITS.chat, limit('MAX_CHAT_CHARS'));
  assert.equal(LIMITS.history, limit('MAX_CHAT_HISTORY'));
  assert.equal(LIMITS.topic, limit('MAX_TOPIC_CHARS'));
  assert.equal(LIMITS.reason, limit('MAX_REASON_CHARS'));
  assert.equal(LIMITS.capacity, limit('MAX_PARTICIPANTS'));
  assert.equal(LIMITS.breakouts, limit('MAX_BREAKOUTS'));
  assert.equal(LIMITS.consent, limit('MAX_CONSENT_CHARS'));
  assert.equal(LIMITS.recordingTitle, limit('MAX_RECORDING_TITLE_CHARS'));
  assert.equal(LIMITS.broadcast, limit('MAX_BROADCAST_CHARS'));
  assert.match(text, new RegExp(`MAX_BREAKOUT_MINUTES: u16 = ${LIMITS.breakoutMinutes / 60} \\* 60;`));
  assert.equal(LIMITS.question, limit('MAX_QUESTION_CHARS'));
  assert.equal(LIMITS.option, limit('MAX_OPTION_CHARS'));
  assert.equal(LIMITS.options, limit('MAX_OPTIONS'));
  assert.equal(LIMITS.attachments, limit('MAX_ATTACHMENTS'));
  assert.equal(LIMITS.inviteUses, limit('MAX_INVITE_USES'));
  assert.match(text, new RegExp(`MAX_ATTACHMENT_BYTES: usize = ${LIMITS.attachmentBytes / 1024 / 1024} \\* 1024 \\* 1024;`));
  assert.ok(LIMITS.page <= limit('MAX_PAGE'));
  assert.equal(LIMITS.videoSlots, limit('MAX_VIDEO_SLOTS'));
});

test('close codes mean here what they mean there', () => {
  const text = rust('server');
  const code = (/** @type {string} */ name) => Number(new RegExp(`\\b${name}(?:: u16)? = (\\d{4})`).exec(text)?.[1]);
  assert.deepEqual(CLOSE, {
    tooSlow: code('TOO_SLOW'),
    replaced: code('REPLACED'),
    roomClosed: code('ROOM_CLOSED'),
    kicked: code('KICKED'),
    flooding: code('FLOODING'),
    refused: code('REFUSED'),
    sentBack: code('SENT_BACK'),
    signedOut: code('SIGNED_OUT'),
    restarting: code('RESTARTING'),
  });
});

/** @param {string} side */
const fixtures = (side) =>
  readdirSync(FIXTURES)
    .filter((name) => name.startsWith(`${side}.`))
    .map((name) => JSON.parse(readFileSync(new URL(name, FIXTURES), 'utf8')));

test('every message of the server is understood', () => {
  const messages = fixtures('server');
  assert.ok(messages.length >= 18);
  const order = ['lobby.waiting', 'joined', 'state.snapshot', 'breakout.opened', 'breakout.assigned', 'breakout.people', 'breakout.closing', 'breakout.closed'];
  messages.sort((a, b) => (order.indexOf(b.type) + 1 ? 1 : 0) - (order.indexOf(a.type) + 1 ? 1 : 0) || order.indexOf(a.type) - order.indexOf(b.type));
  let meeting = newMeeting({});
  /** Messages that carry no news for the state: they answer requests or belong to the connections. */
  const silent = new Set(['invite.created', 'invite.revoked', 'stream_key.created', 'stream_key.revoked', 'sync.info', 'sync.batch', 'member.unbanned', 'done', 'keys.published', 'signal', 'media.published', 'media.offer', 'media.closed', 'slots.changed', 'media.layers', 'reaction', 'signal.message', 'pong', 'error']);
  for (const message of messages) {
    const next = reduce(meeting, message, 0);
    if (message.type === 'chat.message') assert.ok(next.messages.some((m) => m.id === message.id));
    else if (silent.has(message.type)) assert.equal(next, meeting, message.type);
    else assert.notEqual(next, meeting, message.type);
    meeting = next;
  }
  assert.equal(meeting.phase, 'joined');
});

test('a message of a newer server changes nothing', () => {
  const meeting = newMeeting({});
  /** @type {any} */
  const message = { type: 'weather.changed', sky: 'clear' };
  assert.equal(reduce(meeting, message, 0), meeting);
});
