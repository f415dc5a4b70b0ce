// What the page knows, and who wants to hear of a change. Nothing here touches the document.
//
// A change marks its kind; once per animation frame, the listeners of the marked kinds run. So a thousand events cost
// one update.

/** More rows or databases than this are forgotten, the oldest first. */
const KEEP = 3000;

export const store = {
  ready: false,
  connection: 'connecting', // or 'live', 'lost'
  mode: 'stand-ins',
  api: 'platform',
  postgres: false,
  paused: false,
  timeScale: 1,
  places: [],
  regions: [],
  switches: [],
  counts: {},
  runs: [],
  rows: new Map(), // by id, oldest first
  rowsTotal: 0,
  databases: new Map(), // by id, oldest first
  databasesTotal: 0,
  skew: 0, // the server's clock minus this one
};

/** The time of the server, in milliseconds since the Unix epoch. */
export const now = () => Date.now() + store.skew;

const listeners = new Map();
const marked = new Set();
let scheduled = false;

/** Runs `listener` in the next frame after a change of this kind. */
export function on(kind, listener) {
  listeners.set(kind, [...(listeners.get(kind) ?? []), listener]);
}

/** Says that this kind has changed. */
export function mark(kind) {
  marked.add(kind);
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(update);
}

function update() {
  scheduled = false;
  const start = performance.now();
  const kinds = [...marked];
  marked.clear();
  const due = new Set(kinds.flatMap((kind) => listeners.get(kind) ?? []));
  for (const listener of due) listener();
  performance.measure('console-update', { start });
  performance.clearMeasures('console-update');
}

/** Replaces everything with a snapshot of the server. */
export function load(snapshot) {
  store.ready = true;
  store.skew = snapshot.now - Date.now();
  store.mode = snapshot.mode;
  store.api = snapshot.api;
  store.postgres = Boolean(snapshot.postgres);
  store.places = snapshot.places ?? [];
  store.regions = snapshot.regions ?? [];
  store.rows = new Map((snapshot.rows ?? []).toReversed().map((row) => [row.id, row]));
  store.rowsTotal = snapshot.rows_total ?? store.rows.size;
  store.databases = new Map((snapshot.databases ?? []).toReversed().map((database) => [database.id, database]));
  store.databasesTotal = snapshot.databases_total ?? store.databases.size;
  store.counts = snapshot.counts ?? {};
  store.runs = snapshot.runs ?? [];
  setSettings(snapshot);
  for (const kind of ['snapshot', 'rows', 'databases', 'counts', 'runs']) mark(kind);
}

function setSettings({ paused, time_scale: timeScale, switches }) {
  store.paused = Boolean(paused);
  store.timeScale = timeScale ?? 1;
  store.switches = switches ?? [];
  mark('settings');
}

/** Listeners of single rows: `(row, before)`, where `before` is undefined for a new one. They run at once. */
export const rowListeners = [];

/** What to do with each kind of event of the stream. */
export const apply = {
  row(row) {
    const before = store.rows.get(row.id);
    if (!before) {
      store.rowsTotal += 1;
      forgetOldest(store.rows);
    }
    store.rows.set(row.id, row);
    for (const listener of rowListeners) listener(row, before);
    mark('rows');
  },
  database(database) {
    if (!store.databases.has(database.id)) {
      store.databasesTotal += 1;
      forgetOldest(store.databases);
    }
    store.databases.set(database.id, database);
    mark('databases');
  },
  gone({ id }) {
    if (store.databases.delete(id)) store.databasesTotal -= 1;
    mark('databases');
  },
  counts(counts) {
    store.counts = counts;
    mark('counts');
  },
  settings: setSettings,
  runs({ runs }) {
    store.runs = runs;
    mark('runs');
  },
};

function forgetOldest(map) {
  if (map.size >= KEEP) map.delete(map.keys().next().value);
}

/** Says how the connection to the server is. */
export function setConnection(state) {
  store.connection = state;
  mark('connection');
}

/** The newest first, those that match, at most `limit` of them, and how many match in all. */
export function newest(map, matches, limit) {
  const all = [...map.values()];
  const shown = [];
  let matching = 0;
  for (let index = all.length - 1; index >= 0; index -= 1) {
    if (!matches(all[index])) continue;
    matching += 1;
    if (shown.length < limit) shown.push(all[index]);
  }
  return { shown, matching };
}
