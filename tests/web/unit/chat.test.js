import assert from 'node:assert/strict';
import test from 'node:test';
import { dayOf, layoutChat, mergeMessages, piecesOf } from '../../../static/js/chat.js';

const NOON = new Date(2026, 2, 14, 12, 0, 0).getTime();
const me = { user_id: 'me', unreadFrom: null };

/**
 * @param {number} seq
 * @param {string} user
 * @param {number} ms
 * @returns {import('../../../static/js/types.js').ChatMessage}
 */
const said = (seq, user, ms) => ({ id: `m${seq}`, seq, user_id: user, display_name: user, text: `${seq}`, sent_ms: ms });

/** @param {ReturnType<typeof layoutChat>} items */
const lines = (items) => items.filter((item) => item.kind === 'line');

test('messages of one person within a minute stand together', () => {
  const items = lines(layoutChat([said(1, 'a', NOON), said(2, 'a', NOON + 20_000), said(3, 'a', NOON + 61_000), said(4, 'b', NOON + 62_000)], [], me));
  assert.deepEqual(items.map((item) => item.kind === 'line' && [item.line.first, item.line.last]), [
    [true, false],
    [false, true],
    [true, true],
    [true, true],
  ]);
});

test('each day begins with a line, and a group does not reach over it', () => {
  const late = new Date(2026, 2, 14, 23, 59, 50).getTime();
  const kinds = layoutChat([said(1, 'a', late), said(2, 'a', late + 15_000)], [], me).map((item) => item.kind);
  assert.deepEqual(kinds, ['day', 'line', 'day', 'line']);
});

test('one line stands before the first unread message of somebody else', () => {
  const items = layoutChat([said(1, 'a', NOON), said(2, 'me', NOON), said(3, 'a', NOON), said(4, 'a', NOON)], [], { user_id: 'me', unreadFrom: 2 });
  assert.deepEqual(items.map((item) => (item.kind === 'line' ? item.line.text : item.kind)), ['day', '1', '2', 'unread', '3', '4']);
});

test('own messages are mine, and one that is on its way keeps its place when it arrives', () => {
  const pending = { client_id: 'c1', text: 'hi', sent_ms: NOON, failed: false };
  const before = lines(layoutChat([], [pending], me))[0];
  const after = lines(layoutChat([{ ...said(9, 'me', NOON + 5), client_id: 'c1', text: 'hi' }], [], me))[0];
  assert.ok(before?.kind === 'line' && after?.kind === 'line');
  assert.equal(before.key, after.key);
  assert.deepEqual([before.mine, before.line.state, after.line.state], [true, 'sending', 'sent']);
});

test("another person's client id cannot take the place of a message of mine", () => {
  const items = lines(layoutChat([{ ...said(1, 'a', NOON), client_id: 'c1' }, { ...said(2, 'me', NOON), client_id: 'c1' }], [], me));
  assert.equal(new Set(items.map((item) => item.key)).size, 2);
});

test('merging keeps each message once and in the order of the room', () => {
  const merged = mergeMessages([said(2, 'a', 0), said(5, 'a', 0)], [said(5, 'a', 0), said(3, 'b', 0), said(1, 'b', 0)]);
  assert.deepEqual(merged.map((m) => m.seq), [1, 2, 3, 5]);
});

test('days are calendar days here', () => {
  assert.equal(dayOf(new Date(2026, 0, 2, 0, 0, 1).getTime()), '2026-1-2');
  assert.equal(dayOf(new Date(2026, 0, 2, 23, 59, 59).getTime()), '2026-1-2');
});

/** @param {string} text */
const linksIn = (text) => piecesOf(text).filter((piece) => piece.href).map((piece) => piece.href);

test('links end where the sentence goes on', () => {
  assert.deepEqual(linksIn('see https://a.example/x, and (http://b.example/y_(z)).'), ['https://a.example/x', 'http://b.example/y_(z)']);
  assert.deepEqual(linksIn('«https://a.example/ё»!'), ['https://a.example/ё']);
});

test('only http and https become links, and text is never lost', () => {
  for (const text of ['javascript:alert(1)', 'data:text/html,x', 'file:///etc', '<b>bold</b>', 'https://', 'a https:// b', 'x http://[ y', 'https://a.example/<script>']) {
    assert.equal(piecesOf(text).map((piece) => piece.text).join(''), text);
    for (const href of linksIn(text)) assert.match(String(href), /^https?:\/\/[^<>]+$/);
  }
  assert.deepEqual(linksIn('javascript:alert(1)'), []);
});
