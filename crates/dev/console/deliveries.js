// The list of deliveries: each row shows where a delivery is, and its dot moves as the delivery does.
//
// The services of this machine answer within a millisecond. So a row plays the stages back slowly enough to see them,
// unless many move at once or the reader asks for less motion.

import { byId, calm, roving, setAttribute, setText } from './dom.js';
import { mark, newest, on, rowListeners, store } from './store.js';
import { count, countdown, describe, isMoving, lastAnswer, phase, placementWords, regionName, sentence, title } from './words.js';
import { openDetail } from './detail.js';

const MOST = 200;
/** New rows of one frame: more wait for the next, so that no frame takes long. */
const MOST_NEW = 30;
const STEP_MS = 170;
/** More rows than this that move at once are not played back. */
const MOST_PLAYED = 40;

const STATIONS = { hookdeck: 1, function: 2, xata: 3, clerk: 4 };
/** Outcomes after which the delivery has been at Xata and at Clerk. */
const WHOLE_PATH = ['created', 'exists', 'retained', 'parked', 'removed', 'gone'];

const list = byId('deliveries');
const template = byId('delivery-template').content.firstElementChild;
const shown = new Map(); // by id: the row's nodes
const journeys = new Map(); // by id: the stations still to show
const rows = roving(list);
let playing = null;

/** Starts the list. */
export function start() {
  on('rows', render);
  on('settings', render);
  rowListeners.push(remember);
  for (const input of document.querySelectorAll('input[name="outcome"]')) input.addEventListener('change', render);
  byId('user-filter').addEventListener('input', render);
  list.addEventListener('click', (event) => {
    const row = event.target.closest('li');
    if (row) openDetail(row.dataset.id, row.querySelector('button'));
  });
  setInterval(tick, 500);
}

const filter = () => document.querySelector('input[name="outcome"]:checked').value;

function render() {
  const wanted = filter();
  const user = byId('user-filter').value.trim();
  const matches = (row) => (wanted === 'all' || phase(row) === wanted) && (!user || row.user?.includes(user));
  const { shown: found, matching } = newest(store.rows, matches, MOST);
  const ids = new Set(found.map((row) => row.id));
  for (const id of shown.keys()) if (!ids.has(id)) shown.delete(id);
  let made = 0;
  const nodes = [];
  for (const row of found) {
    let item = shown.get(row.id);
    if (!item) {
      if (made === MOST_NEW) continue;
      made += 1;
      shown.set(row.id, item = make(row));
    }
    if (item.row !== row || item.paused !== store.paused) paint(item, row);
    nodes.push(item.node);
  }
  rows.show(nodes);
  if (nodes.length < found.length) mark('rows');
  const all = wanted === 'all' && !user ? store.rowsTotal : matching;
  setText(byId('shown'), found.length ? `showing ${count(found.length)} of ${count(all)}` : '');
  byId('no-deliveries').hidden = found.length > 0;
  if (!found.length) setText(byId('no-deliveries'), !store.rowsTotal ? 'There is no sign-up yet.' : 'No delivery is like that.');
}

function make(row) {
  const node = template.cloneNode(true);
  const [who, track, what, where] = node.children;
  node.dataset.id = row.id;
  const item = { node, track, open: who.firstChild, user: who.lastChild, dot: track.lastChild, state: what.firstChild, answer: what.lastChild, region: where.firstChild, why: where.lastChild };
  item.station = journeys.has(row.id) ? 0 : stationOf(row);
  return item;
}

function paint(item, row) {
  if (item.row?.stage !== row.stage) item.since = Date.now();
  item.row = row;
  item.paused = store.paused;
  const { tone } = describe(row);
  setText(item.open, title(row));
  setAttribute(item.open, 'aria-label', sentence(row));
  setText(item.user, row.user ?? '');
  setText(item.answer, lastAnswer(row));
  setText(item.region, row.region ? regionName(row.region) : row.from ? `from ${row.from}` : '');
  setText(item.why, row.region ? [row.from && `from ${row.from}`, placementWords(row.placement)].filter(Boolean).join(', ') : '');
  for (const cut of [item.answer, item.why]) setAttribute(cut, 'title', cut.textContent);
  setAttribute(item.node, 'data-tone', tone);
  paintWait(item);
  if (!journeys.has(row.id)) item.station = stationOf(row);
  paintStation(item);
}

function paintWait(item) {
  const { words, waits } = describe(item.row);
  const at = isMoving(item.row) && Math.floor((Date.now() - item.since) / 1000);
  setText(item.state, waits ? `${words} ${store.paused ? 'held: paused' : countdown(item.row)}` : at >= 2 ? `${words} for ${at} s` : words);
}

function paintStation(item) {
  setAttribute(item.track, 'data-at', String(item.station));
}

/** Once per half second: the times that pass. */
function tick() {
  for (const item of shown.values()) if (item.row.next_at != null || isMoving(item.row)) paintWait(item);
}

function stationOf(row) {
  if (row.stage !== 'done' && row.stage in STATIONS) return STATIONS[row.stage];
  if (phase(row) !== 'done') return 1;
  return WHOLE_PATH.includes(row.outcome) ? 4 : row.status === 'successful' ? 2 : 1;
}

/** Keeps the stations that a row passes, to show one after the other. */
function remember(row, before) {
  if (calm() || document.hidden) return;
  const to = stationOf(row);
  const from = before ? stationOf(before) : 0;
  if (from === to && before) return;
  if (journeys.size >= MOST_PLAYED && !journeys.has(row.id)) return;
  const journey = journeys.get(row.id) ?? [];
  // A delivery passes the function on its way to Xata and Clerk, also where the stream skips it.
  if (from < 2 && to > 2 && !isMoving(row)) journey.push(2, 3);
  journey.push(to);
  journeys.set(row.id, journey.slice(-9));
  playing ??= requestAnimationFrame(play);
}

let lastStep = 0;
function play(at) {
  playing = null;
  if (at - lastStep >= STEP_MS) {
    lastStep = at;
    for (const [id, journey] of journeys) {
      const item = shown.get(id);
      const station = journey.shift();
      if (item && station != null) {
        item.station = station;
        paintStation(item);
      }
      if (!journey.length) journeys.delete(id);
    }
  }
  if (journeys.size) playing = requestAnimationFrame(play);
}
