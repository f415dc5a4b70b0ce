// The requests of this page: the snapshot, the stream, and the actions.

import { apply, load, setConnection, store } from './store.js';

const RETRY_MS = [300, 600, 1000, 2000, 3000];
let source = null;
let failures = 0;

/** Loads the snapshot and follows the stream after it; after a lost connection, does so again. */
export async function connect() {
  source?.close();
  source = null;
  try {
    const response = await fetch('/api/state');
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    const snapshot = await response.json();
    load(snapshot);
    follow(snapshot.sequence);
  } catch {
    lost();
  }
}

function follow(sequence) {
  source = new EventSource(`/api/stream?after=${sequence}`);
  source.addEventListener('open', () => {
    failures = 0;
    setConnection('live');
  });
  source.addEventListener('error', lost);
  source.addEventListener('reset', connect);
  for (const [kind, change] of Object.entries(apply)) {
    source.addEventListener(kind, (event) => change(JSON.parse(event.data)));
  }
}

function lost() {
  source?.close();
  source = null;
  setConnection('lost');
  setTimeout(connect, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]);
  failures += 1;
}

/** Sends an action. The server's sentence becomes the error. */
export async function post(path, body = {}) {
  let response;
  try {
    response = await fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error('The server does not answer.');
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok || answer.error) throw new Error(answer.error ?? `The server answers ${response.status}.`);
  return answer;
}

/** Loads the detail of one event, or the text to copy. */
export async function get(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error ?? `The server answers ${response.status}.`);
  return (response.headers.get('content-type') ?? '').includes('json') ? response.json() : response.text();
}

/** Whether actions reach real services. */
export const isLive = () => store.mode === 'live';
