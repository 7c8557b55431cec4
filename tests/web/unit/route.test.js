import assert from 'node:assert/strict';
import test from 'node:test';
import { linkTo, parseInvitation, routeOf, slugOf } from '../../../static/js/route.js';

const route = (/** @type {string} */ address) => routeOf(new URL(address, 'https://veche.example'));

test('every page has its address', () => {
  assert.deepEqual(route('/'), { name: 'home' });
  assert.deepEqual(route('/index.html'), { name: 'home' });
  assert.deepEqual(route('/signin'), { name: 'signin' });
  assert.deepEqual(route('/rooms/'), { name: 'rooms' });
  assert.deepEqual(route('/register'), { name: 'register', setupToken: null });
  assert.deepEqual(route('/r/daily-42'), { name: 'room', slug: 'daily-42', code: null });
  assert.deepEqual(route('/r/Daily-42/'), { name: 'room', slug: 'daily-42', code: null });
});

test('what is no page is lost, and says so', () => {
  for (const address of ['/nope', '/r/', '/r/ab', '/r/a%20b', '/r/a/b', `/r/${'x'.repeat(65)}`]) {
    assert.deepEqual(route(address), { name: 'lost' }, address);
  }
});

test('the set-up link carries its token in the fragment', () => {
  assert.deepEqual(route('/#/setup?token=abc_-9'), { name: 'register', setupToken: 'abc_-9' });
  assert.deepEqual(route('/#/setup'), { name: 'register', setupToken: null });
  assert.deepEqual(route('/#/setups?token=abc'), { name: 'home' });
});

test('an invite code comes in the fragment of a room link', () => {
  assert.deepEqual(route('/r/daily#code=K7_x-2'), { name: 'room', slug: 'daily', code: 'K7_x-2' });
});

test('people paste links in many shapes', () => {
  const daily = { slug: 'daily', code: null };
  for (const text of ['https://veche.example/r/daily', 'http://veche.example:8080/r/daily/', ' veche.example/r/daily ', '/r/daily', 'https://veche.example/r/Daily?x=1']) {
    assert.deepEqual(parseInvitation(text), daily, text);
  }
  assert.deepEqual(parseInvitation('https://veche.example/r/daily#code=K7'), { slug: 'daily', code: 'K7' });
  assert.deepEqual(parseInvitation('daily'), { word: 'daily' });
  assert.deepEqual(parseInvitation('Xk9_-Zq'), { word: 'Xk9_-Zq' });
});

test('what cannot be an invitation is refused', () => {
  for (const text of ['', '  ', 'a b', 'ab', 'https://example.com/other', 'javascript:alert(1)', 'встреча', `/r/${'y'.repeat(70)}`]) {
    assert.equal(parseInvitation(text), null, text);
  }
});

test('a word is a slug when it could stand in an address', () => {
  assert.equal(slugOf('Daily'), 'daily');
  assert.equal(slugOf('a_b_c'), null);
});

test('the link of a room with a key carries the invite, that of an open room does not', () => {
  const room = { slug: 'daily', invite_code: 'K7/x' };
  assert.equal(linkTo('https://v.example', { ...room, has_invite_key: false }), 'https://v.example/r/daily');
  assert.equal(linkTo('https://v.example', { ...room, has_invite_key: true }), 'https://v.example/r/daily#code=K7%2Fx');
  assert.equal(linkTo('https://v.example', { slug: 'daily', has_invite_key: true }), 'https://v.example/r/daily');
  const back = routeOf(new URL(linkTo('https://v.example', { ...room, has_invite_key: true })));
  assert.deepEqual(back, { name: 'room', slug: 'daily', code: 'K7/x' });
});
