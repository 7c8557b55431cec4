import assert from 'node:assert/strict';
import test from 'node:test';
import { RequestError } from '../../../static/js/socket.js';
import { Subscriber } from '../../../static/js/subscriber.js';

/** A connection that is up as soon as it is made. */
class FakeConnection extends EventTarget {
  connectionState = 'connected';
  close() {}
}

/** @param {import('node:test').TestContext} context */
function subscribed(context) {
  Object.assign(globalThis, { window: globalThis, RTCPeerConnection: FakeConnection });
  /** @type {{message: any, reject: (error: Error) => void}[]} */
  const asked = [];
  const subscriber = new Subscriber({
    request: (message) => new Promise((_, reject) => asked.push({ message, reject })),
    send: () => {},
    canAsk: () => true,
    iceServers: [],
    slots: { audio: 4, video: 10 },
    tell: () => {},
    changed: () => {},
  });
  context.after(() => subscriber.close());
  subscriber.restart();
  subscriber.connection?.dispatchEvent(new Event('connectionstatechange'));
  const lose = async () => {
    asked.at(-1)?.reject(new RequestError('disconnected', 'the connection was lost'));
    await new Promise((done) => setImmediate(done));
  };
  return { subscriber, asked, lose };
}

test('a question for a new way that was lost with the socket is asked again over the next one', async (context) => {
  const { subscriber, asked, lose } = subscribed(context);
  subscriber.networkChanged();
  assert.equal(asked.length, 2);
  await lose();
  assert.equal(asked.length, 2, 'nobody can be asked now');
  subscriber.resume();
  assert.equal(asked.length, 3);
  assert.deepEqual(asked[2]?.message, asked[1]?.message);
  subscriber.resume();
  assert.equal(asked.length, 3, 'once');
});

test('what was repaired meanwhile is asked for no more', async (context) => {
  const { subscriber, asked, lose } = subscribed(context);
  subscriber.networkChanged();
  await lose();
  subscriber.networkChanged();
  subscriber.resume();
  assert.equal(asked.length, 3);
});
