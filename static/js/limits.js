// How much of everything the server takes, as far as forms and pages show it.

/** Bounds of the protocol that forms show (`protocol/src/limits.rs`). */
export const LIMITS = {
  displayName: 64,
  roomName: 120,
  inviteKey: 128,
  chat: 4000,
  topic: 500,
  question: 500,
  option: 200,
  options: 10,
  attachments: 10,
  attachmentBytes: 16 * 1024 * 1024,
  inviteUses: 100_000,
  reason: 200,
  capacity: 1000,
  breakouts: 50,
  breakoutMinutes: 1440,
  broadcast: 1000,
  consent: 1000,
  recordingTitle: 200,
  speakMinutes: 1440,
  /** Messages that the first snapshot brings; fewer means that there are no older ones. */
  history: 50,
  page: 50,
  /** Pictures that one person may be sent at once. */
  videoSlots: 25,
};
