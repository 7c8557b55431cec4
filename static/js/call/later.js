// Parts of the call that few need and nobody at once: fetched when they are asked for, so that entering is quick.

import { errorText } from '../i18n.js';
import { toast } from '../notices.js';

/** @typedef {import('../meeting.js').Meeting} Meeting */

/** @param {Meeting} meeting */
export function showRoomSettings(meeting) {
  import('./roomsettings.js').then(({ openRoomSettings }) => openRoomSettings(meeting), unreachable);
}

/** @param {(poll: import('../types.js').NewPoll) => void} send */
export function showPollForm(send) {
  import('./pollform.js').then(({ openPollForm }) => openPollForm(send), unreachable);
}

function unreachable() {
  toast(errorText('network'));
}
