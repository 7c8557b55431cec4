// A message in a few words, for quotes, pins and toasts.

import { t } from '../i18n.js';

/** @typedef {import('../types.js').ChatMessage} ChatMessage */

/** A quote is a reminder, not the message. */
const QUOTE_CHARS = 120;

/**
 * The first words of a message, or what it is when it has none.
 * @param {ChatMessage} message
 */
export function summary(message) {
  if (message.deleted_ms !== undefined) return t('chat.deleted');
  if (message.algo) return t('chat.sealed');
  const text = message.text || message.poll?.question || message.attachments?.map((file) => file.name).join(', ') || '';
  return text.length > QUOTE_CHARS ? `${text.slice(0, QUOTE_CHARS)}…` : text;
}
