// The panel that explains each picture: how large, how smooth, how much is lost, and why it is this one.

import { h, keyed, setText } from '../dom.js';
import { currentLanguage } from '../i18n.js';
import { t } from '../i18n/details.js';
import { bitrateText, whyOf } from '../stats.js';

/** @typedef {import('../tiles.js').TileSpec} TileSpec */
/** @typedef {import('../stats.js').Reading} Reading */
/** @typedef {[key: string, label: string, value: string]} Row */

export class DetailsPanel {
  #meeting;
  #readings;
  #shown;
  #list = h('div', { class: 'details' });
  element = h('div', { class: 'panel-body' }, this.#list);

  /**
   * @param {import('../meeting.js').Meeting} meeting
   * @param {import('../readings.js').Readings} readings
   * @param {() => TileSpec[]} shown the tiles on the stage now
   */
  constructor(meeting, readings, shown) {
    this.#meeting = meeting;
    this.#readings = readings;
    this.#shown = shown;
    readings.addEventListener('read', () => {
      if (meeting.state.panel === 'details') this.draw();
    });
  }

  draw() {
    keyed(this.#list, this.#shown(), {
      key: (spec) => spec.key,
      create: (spec) => {
        const heading = `details-${spec.key}`;
        return h('section', { 'aria-labelledby': heading, data: { participant: spec.participant.id, source: spec.source } }, h('h3', { id: heading }), h('dl', { class: 'facts' }));
      },
      update: (section, spec) => {
        const [heading, facts] = section.children;
        if (!heading || !facts) return;
        const name = spec.participant.display_name;
        setText(heading, spec.mine ? t('tile.you', { name }) : spec.source === 'screen' ? t('tile.screen', { name }) : name);
        const rows = spec.mine ? ownRows(this.#readings) : rowsOf(this.#meeting, this.#readings, spec);
        keyed(facts, rows, {
          key: ([key]) => key,
          create: ([key]) => h('div', { data: { fact: key } }, h('dt', null), h('dd', null)),
          update: (row, [, label, value]) => {
            setText(/** @type {Element} */ (row.firstElementChild), label);
            setText(/** @type {Element} */ (row.lastElementChild), value);
          },
        });
      },
    });
  }

  /**
   * Brings somebody's part into view.
   * @param {string} key of the tile
   */
  show(key) {
    this.draw();
    this.#list.querySelector(`[data-key="${CSS.escape(key)}"]`)?.scrollIntoView({ block: 'nearest' });
  }
}

/**
 * @param {import('../meeting.js').Meeting} meeting
 * @param {import('../readings.js').Readings} readings
 * @param {TileSpec} spec
 * @returns {Row[]}
 */
function rowsOf(meeting, readings, spec) {
  const slot = spec.csrc === null ? undefined : meeting.slots.find((s) => s.kind === 'video' && s.current === spec.csrc);
  const binding = slot ? meeting.bindingOf(slot.mid) : null;
  const reading = slot ? readings.received.get(slot.mid) : undefined;
  const why = whyOf(binding, spec.csrc !== null);
  /** @type {Row[]} */
  const rows = [['why', t('details.why'), t(`stats.why.${why}`)]];
  if (!reading) return rows;
  rows.unshift(['picture', t('details.picture'), pictureText(reading)]);
  rows.push(['rate', t('details.rate'), rateText(reading)], ['loss', t('details.loss'), percent(reading.loss)], ['jitter', t('details.jitter'), millis(reading.jitterMs)]);
  if (readings.roundTrips.subscribe !== null) rows.push(['trip', t('details.trip'), millis(readings.roundTrips.subscribe)]);
  const layer = binding?.layer ? layerText(binding.layer) : '';
  if (layer) rows.push(['layer', t('details.layer'), layer]);
  if (reading.codec) rows.push(['codec', t('details.codec'), reading.codec]);
  return rows;
}

/**
 * @param {import('../readings.js').Readings} readings
 * @returns {Row[]}
 */
function ownRows(readings) {
  /** @type {Row[]} */
  const rows = [];
  let limit = '';
  let codec = '';
  for (const [source, layers] of readings.sent) {
    for (const layer of layers) {
      const name = layers.length > 1 ? ridText(layer.rid) : t('details.picture');
      const label = source === 'screen' ? t('details.screen') : name;
      const value = layer.active && layer.bitrate > 0 ? [pictureText(layer), rateText(layer), t('details.lost', { part: percent(layer.loss) })].join(' · ') : t('details.paused');
      rows.push([`${source} ${layer.rid}`, label, value]);
      if (layer.active) limit ||= layer.limit;
      codec ||= layer.codec;
    }
  }
  if (rows.length === 0) return [['why', t('details.why'), t('stats.why.off')]];
  if (limit === 'cpu' || limit === 'bandwidth') rows.push(['limit', t('details.limit'), t(`details.limit.${limit}`)]);
  if (readings.roundTrips.publish !== null) rows.push(['trip', t('details.trip'), millis(readings.roundTrips.publish)]);
  if (codec) rows.push(['codec', t('details.codec'), codec]);
  return rows;
}

/** @param {Reading} reading */
function pictureText({ width, height, fps }) {
  return t('details.picture.value', { width: String(width), height: String(height), fps: Math.round(fps) });
}

/** @param {Reading} reading */
function rateText({ bitrate }) {
  const { digits, isLarge } = bitrateText(bitrate, currentLanguage());
  return t(isLarge ? 'details.rate.mega' : 'details.rate.kilo', { rate: digits });
}

/** @param {import('../types.js').Layer} layer */
function layerText({ rid, spatial, temporal }) {
  const parts = [];
  if (rid !== undefined) parts.push(ridText(rid));
  if (spatial !== undefined) parts.push(t('details.layer.size', { n: spatial + 1 }));
  if (temporal !== undefined) parts.push(t('details.layer.rate', { n: temporal + 1 }));
  return parts.join(', ');
}

/** @param {string} rid */
function ridText(rid) {
  return rid === 'q' || rid === 'h' || rid === 'f' ? t(`details.rid.${rid}`) : rid;
}

/** @param {number} share */
function percent(share) {
  return new Intl.NumberFormat(currentLanguage(), { style: 'percent', maximumFractionDigits: 1 }).format(share);
}

/** @param {number} ms */
function millis(ms) {
  return t('details.ms', { n: Math.round(ms) });
}
