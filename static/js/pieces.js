// A large file brought to the server in pieces (tus 1.0): a line that breaks costs a piece, and not the file.

import { waitBefore } from './backoff.js';
import { ApiError } from './session.js';

/** Larger pieces lose more with a broken line, smaller ones wait more often for an answer. */
const PIECE_BYTES = 4 * 1024 * 1024;
/** After so many broken lines without a byte between them it is given up. */
const ATTEMPTS = 8;
const TUS = { 'tus-resumable': '1.0.0' };

/**
 * @param {Pick<import('./session.js').Session, 'request'>} session
 * @param {string} slug of the room
 * @param {File} file
 * @param {(part: number) => void} progress 0..1
 * @param {AbortSignal} signal gives it up, here and at the server
 * @param {(ms: number) => Promise<unknown>} [pause] between two attempts
 */
export async function bring(session, slug, file, progress, signal, pause = (ms) => new Promise((done) => setTimeout(done, ms))) {
  const title = file.name.replace(/\.[a-z0-9]{2,4}$/i, '');
  const metadata = `filename ${encoded(file.name)},title ${encoded(title)}`;
  const begun = await session.request('POST', `/api/v1/rooms/${encodeURIComponent(slug)}/recordings/uploads`, { ...TUS, 'upload-length': String(file.size), 'upload-metadata': metadata }, null, signal);
  const place = begun.headers.get('location');
  if (!place) throw new ApiError('internal', begun.status, 'no place for the pieces');
  let offset = 0;
  let attempt = 0;
  try {
    while (offset < file.size) {
      try {
        const piece = file.slice(offset, offset + PIECE_BYTES);
        const answer = await session.request('PATCH', place, { ...TUS, 'upload-offset': String(offset), 'content-type': 'application/offset+octet-stream' }, piece, signal);
        offset = offsetOf(answer, offset + piece.size);
        attempt = 0;
      } catch (error) {
        if (signal.aborted || !mayPass(error) || attempt >= ATTEMPTS) throw error;
        await pause(waitBefore(attempt++, Math.random()));
        // What has come before the line broke stays.
        const answer = await session.request('HEAD', place, TUS, null, signal).catch((again) => {
          if (mayPass(again)) return null;
          throw again;
        });
        if (answer) offset = offsetOf(answer, offset);
      }
      progress(offset / file.size);
    }
  } catch (error) {
    session.request('DELETE', place, TUS, null, AbortSignal.timeout(10_000)).catch(() => {});
    throw error;
  }
}

/**
 * Whether another attempt may do better.
 * @param {unknown} error
 */
function mayPass(error) {
  return error instanceof ApiError && (error.status === 0 || error.status >= 500 || error.status === 409 || error.status === 429);
}

/**
 * @param {Response} answer
 * @param {number} otherwise
 */
function offsetOf(answer, otherwise) {
  const said = Number(answer.headers.get('upload-offset') ?? Number.NaN);
  return Number.isSafeInteger(said) && said >= 0 ? said : otherwise;
}

/** @param {string} text as tus wants it: base64 of UTF-8 */
function encoded(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text.slice(0, 200))));
}
