// Files of a line of chat: pictures as thumbnails that open large, everything else to be saved. They come with the
// access token, so each is fetched and shown as a blob.

import { sizeOf } from '../chat.js';
import { h, icon, keyed } from '../dom.js';
import { currentLanguage, t } from '../i18n.js';
import { openDialog } from '../menu.js';
import { toast } from '../notices.js';
import { wordsFor } from '../views/form.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */
/** @typedef {import('../types.js').Attachment} Attachment */

/** Thumbnails kept: more costs memory, fewer are fetched again while one scrolls. */
const MAX_KEPT = 100;
/** A thumbnail stands in a box of this size, before it is here too. */
const SIDE = 240;

/** Addresses of thumbnails, the longest unused first.
 * @type {Map<string, Promise<string>>} */
const kept = new Map();

/**
 * @param {Meeting} meeting
 * @param {HTMLElement} place
 * @param {readonly Attachment[]} files
 */
export function drawFiles(meeting, place, files) {
  place.hidden = files.length === 0;
  keyed(place, files, { key: (file) => file.id, create: (file) => (isPicture(file) ? picture(meeting, file) : plain(meeting, file)) });
}

/** @param {Attachment} file */
function isPicture(file) {
  return file.width !== undefined && file.height !== undefined;
}

/**
 * @param {Meeting} meeting
 * @param {Attachment} file
 */
function picture(meeting, file) {
  const { width = 1, height = 1 } = file;
  const scale = Math.min(1, SIDE / width, SIDE / height);
  const image = h('img', { alt: file.name, width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) });
  const button = h('button', { type: 'button', class: 'picture', title: file.name, data: { action: 'open-picture', file: file.id }, onclick: () => void openPicture(meeting, file) }, image);
  thumbnail(meeting, file.id).then(
    (address) => {
      image.src = address;
    },
    () => button.classList.add('broken'),
  );
  return button;
}

/**
 * @param {Meeting} meeting
 * @param {string} id
 */
function thumbnail(meeting, id) {
  const before = kept.get(id);
  const address = before ?? blobOf(meeting, id, true).then((blob) => URL.createObjectURL(blob));
  kept.delete(id);
  kept.set(id, address);
  if (!before) address.catch(() => kept.delete(id));
  const [oldest] = kept;
  if (oldest && kept.size > MAX_KEPT) {
    kept.delete(oldest[0]);
    // What it shows now stays painted; only a new load would fail.
    oldest[1].then((old) => URL.revokeObjectURL(old), () => {});
  }
  return address;
}

/**
 * @param {Meeting} meeting
 * @param {string} id
 * @param {boolean} isSmall
 */
function blobOf(meeting, id, isSmall) {
  return meeting.api.file(meeting.state.room?.slug ?? '', id, isSmall);
}

/**
 * @param {Meeting} meeting
 * @param {Attachment} file
 */
async function openPicture(meeting, file) {
  const image = h('img', { class: 'large', alt: file.name });
  const save = h('button', { type: 'button', class: 'button', data: { action: 'save-file' }, onclick: () => void saveFile(meeting, file, save) }, icon('download'), t('files.save', { size: sizeOf(file.bytes, currentLanguage()) }));
  const dialog = openDialog(file.name, image, h('div', { class: 'row ends dialog-end' }, h('span'), save));
  dialog.classList.add('viewer');
  try {
    const address = URL.createObjectURL(await blobOf(meeting, file.id, false));
    dialog.addEventListener('close', () => URL.revokeObjectURL(address));
    image.src = address;
  } catch (error) {
    dialog.close();
    toast(wordsFor(error));
  }
}

/**
 * @param {Meeting} meeting
 * @param {Attachment} file
 */
function plain(meeting, file) {
  const button = h(
    'button',
    { type: 'button', class: 'file', title: file.name, data: { action: 'save-file', file: file.id } },
    icon('file'),
    h('span', { class: 'person-words' }, h('span', { class: 'person-name' }, file.name), h('span', { class: 'quiet person-state' }, sizeOf(file.bytes, currentLanguage()))),
    icon('download', 'small'),
  );
  button.addEventListener('click', () => void saveFile(meeting, file, button));
  return button;
}

/**
 * @param {Meeting} meeting
 * @param {Attachment} file
 * @param {HTMLButtonElement} button
 */
async function saveFile(meeting, file, button) {
  if (button.getAttribute('aria-busy') === 'true') return;
  button.setAttribute('aria-busy', 'true');
  try {
    const address = URL.createObjectURL(await blobOf(meeting, file.id, false));
    h('a', { href: address, download: file.name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  } catch (error) {
    toast(wordsFor(error));
  } finally {
    button.removeAttribute('aria-busy');
  }
}
