// How the page says things: numbers, times, and what a delivery is doing.

import { now, store } from './store.js';

const number = new Intl.NumberFormat('en');
/** 12345 as 12,345. */
export const count = (value) => number.format(value ?? 0);
/** "1 user", "2 users". */
export const plural = (value, word, words = `${word}s`) => `${count(value)} ${value === 1 ? word : words}`;

/** A duration: 480 ms, 2.4 s, 3 min. */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  return ms < 3_600_000 ? `${Math.round(ms / 60_000)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
/** 14:03:59 */
export const time = (ms) => clock.format(ms);

/** The name of a region, as people say it. */
export const regionName = (id) => store.regions.find((region) => region.id === id)?.label ?? id ?? '';

const PLACEMENTS = {
  geo: 'by address',
  default: 'the default',
  private_metadata: 'asked for by the backend',
  public_metadata: 'asked for by the backend',
  unsafe_metadata: 'asked for by the browser',
};
/** Why a database is where it is. */
export const placementWords = (placement) => PLACEMENTS[placement] ?? placement ?? '';

const STATIONS = { hookdeck: 'at Hookdeck', function: 'in the function', xata: 'at Xata', clerk: 'at Clerk' };

/** Whether an attempt is under way. */
export const isMoving = (row) => ['function', 'xata', 'clerk'].includes(row.stage);

/** waiting, failed or done: what the filter tells apart. */
export function phase(row) {
  if (row.next_at != null || ['queued', 'scheduled', 'hold'].includes(row.status) || isMoving(row)) return 'waiting';
  return row.status === 'failed' ? 'failed' : 'done';
}

/** The tone and the words for what a delivery is doing. `waits`: the words end in a time that passes. */
export function describe(row) {
  if (isMoving(row)) return { tone: 'move', words: STATIONS[row.stage] };
  if (row.status === 'hold') return { tone: 'wait', words: 'held: delivery is paused' };
  if (row.next_at != null) return { tone: 'wait', words: `attempt ${row.attempts + 1}`, waits: true };
  if (row.status === 'successful') {
    return { tone: row.outcome === 'ignored' ? 'quiet' : 'ok', words: row.outcome ?? 'acknowledged' };
  }
  if (row.status === 'failed') return { tone: 'bad', words: `failed${row.outcome ? `: ${row.outcome}` : ''}` };
  if (row.status === 'cancelled') return { tone: 'quiet', words: 'cancelled' };
  if (row.status === 'filtered') return { tone: 'quiet', words: 'filtered out' };
  return { tone: 'wait', words: store.paused ? 'held: delivery is paused' : 'queued' };
}

/** "in 12 s" until the next attempt. */
export function countdown(row) {
  const left = row.next_at - now();
  return left > 500 ? `in ${left < 120_000 ? `${Math.round(left / 1000)} s` : duration(left)}` : 'now';
}

/** The last answer in few words: 503 xata_unreachable, Retry-After 30. */
export function lastAnswer(row) {
  const parts = [];
  if (row.http_status) parts.push(`${row.http_status}${row.reason ? ` ${row.reason}` : ''}`);
  else if (row.reason) parts.push(row.reason);
  if (row.attempts && row.next_at == null) parts.push(`attempt ${row.attempts}`);
  if (row.retry_after && phase(row) !== 'done') parts.push(`Retry-After ${row.retry_after}`);
  if (row.took_ms != null) parts.push(`after ${duration(row.took_ms)}`);
  return parts.join(', ');
}

/** Whose delivery it is. */
export const title = (row) => row.name || (row.type === 'user.created' ? 'a user' : row.type);

/** One sentence about a delivery, for a screen reader. */
export function sentence(row) {
  const { words, waits } = describe(row);
  return [
    `${title(row)}, ${row.user ?? ''}`,
    row.type === 'user.created' ? row.from && `from ${row.from}` : row.type,
    waits ? 'waits for the next attempt' : words,
    lastAnswer(row),
    row.region && `in ${regionName(row.region)}`,
  ].filter(Boolean).join(', ');
}
