// A file brought in pieces: each byte once and in order, whatever the line does.

import assert from 'node:assert/strict';
import test from 'node:test';
import { bring } from '../../../static/js/pieces.js';
import { ApiError } from '../../../static/js/session.js';

const MB = 1024 * 1024;

/** A server that takes pieces; `breaks` says what becomes of the nth PATCH: how much of it arrives, and the error then. */
class Shelf {
  bytes = 0;
  patches = 0;
  isGone = false;
  /** @type {string[]} */
  said = [];

  /** @param {Record<number, {arrives: number, error: Error}>} [breaks] */
  constructor(breaks = {}) {
    this.breaks = breaks;
  }

  /** @param {string} method @param {string} address @param {Record<string, string>} headers @param {Blob | null} body @returns {Promise<Response>} */
  request = async (method, address, headers, body) => {
    this.said.push(`${method} ${address}`);
    const answer = (/** @type {Record<string, string>} */ own) => new Response(null, { status: 204, headers: own });
    if (method === 'POST') {
      this.length = Number(headers['upload-length']);
      this.metadata = headers['upload-metadata'];
      return answer({ location: '/up/1' });
    }
    if (method === 'DELETE') this.isGone = true;
    if (method === 'PATCH') {
      assert.equal(Number(headers['upload-offset']), this.bytes, 'a piece stands where the one before ended');
      const fate = this.breaks[this.patches++];
      this.bytes += fate ? fate.arrives : (body?.size ?? 0);
      if (fate) throw fate.error;
    }
    return answer({ 'upload-offset': String(this.bytes) });
  };
}

const file = new File([new Uint8Array(9 * MB)], 'Встреча.webm');
const lost = new ApiError('network', 0, 'no answer');
const noPause = () => Promise.resolve();

test('a file goes in pieces, under its name, and tells how far it is', async () => {
  const shelf = new Shelf();
  /** @type {number[]} */
  const parts = [];
  await bring(shelf, 'weekly', file, (part) => parts.push(part), new AbortController().signal, noPause);
  assert.equal(shelf.bytes, file.size);
  assert.deepEqual(parts.map((part) => Math.round(part * 9)), [4, 8, 9]);
  const title = String(shelf.metadata).split('title ')[1] ?? '';
  assert.equal(Buffer.from(title, 'base64').toString(), 'Встреча');
});

test('what came before a line broke stays, and the rest follows', async () => {
  const shelf = new Shelf({ 1: { arrives: MB, error: lost }, 2: { arrives: 0, error: new ApiError('unavailable', 503, '') } });
  await bring(shelf, 'weekly', file, () => {}, new AbortController().signal, noPause);
  assert.equal(shelf.bytes, file.size);
  assert.equal(shelf.said.filter((what) => what.startsWith('HEAD')).length, 2);
  assert.equal(shelf.isGone, false);
});

test('a refusal ends it at once, and nothing is left at the server', async () => {
  const shelf = new Shelf({ 0: { arrives: 0, error: new ApiError('too_large', 413, '') } });
  await assert.rejects(bring(shelf, 'weekly', file, () => {}, new AbortController().signal, noPause), { code: 'too_large' });
  assert.equal(shelf.patches, 1);
  assert.equal(shelf.isGone, true);
});

test('a line that never comes back is given up', async () => {
  const shelf = new Shelf(Object.fromEntries(Array.from({ length: 50 }, (_, n) => [n, { arrives: 0, error: lost }])));
  await assert.rejects(bring(shelf, 'weekly', file, () => {}, new AbortController().signal, noPause), { code: 'network' });
  assert.ok(shelf.patches > 3 && shelf.patches < 20);
});
