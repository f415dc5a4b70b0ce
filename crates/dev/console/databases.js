// The databases: a map with a circle for each region, and a table.

import { byId, calm, element, roving, setAttribute, setText, svg } from './dom.js';
import { mark, newest, on, store } from './store.js';
import { HEIGHT, WIDTH, landPath, project } from './world.js';
import { count, plural, regionName } from './words.js';
import { deleteUser } from './actions.js';

const MOST = 200;
/** New rows of one frame, as in deliveries.js. */
const MOST_NEW = 30;
const shown = new Map(); // by id: the row's nodes
const rows = roving(byId('databases'));
const circles = new Map(); // by region
const STATES = { creating: 'move', ready: 'ok', asleep: 'quiet', parked: 'quiet' };
const ENTRIES = { agrees: 'ok', differs: 'bad', missing: 'wait', none: 'quiet' };

/** Starts the map and the table. */
export function start() {
  on('snapshot', drawMap);
  on('databases', showTable);
  on('databases', showMap);
  on('counts', showMap);
  byId('database-filter').addEventListener('input', showTable);
  byId('databases').addEventListener('click', async (event) => {
    const { user } = event.target.dataset;
    if (!user) return;
    try {
      if (await deleteUser(user)) setText(byId('database-result'), `Clerk deletes ${user}.`);
    } catch (error) {
      setText(byId('database-result'), error.message);
    }
  });
}

function showTable() {
  const user = byId('database-filter').value.trim();
  const { shown: databases, matching } = newest(store.databases, (each) => !user || each.user.includes(user), MOST);
  const ids = new Set(databases.map(({ id }) => id));
  for (const id of shown.keys()) if (!ids.has(id)) shown.delete(id);
  let made = 0;
  const nodes = [];
  for (const database of databases) {
    let item = shown.get(database.id);
    if (!item) {
      if (made === MOST_NEW) continue;
      made += 1;
      shown.set(database.id, item = make(database));
    }
    if (item.database !== database) paint(item, database);
    nodes.push(item.node);
  }
  rows.show(nodes);
  if (nodes.length < databases.length) mark('databases');
  for (const node of document.querySelectorAll('.for-psql')) node.hidden = !store.postgres;
  byId('no-databases').hidden = databases.length > 0;
  setText(byId('databases-shown'), databases.length ? `showing ${count(databases.length)} of ${count(user ? matching : store.databasesTotal)}` : '');
}

function make({ user }) {
  const cells = ['', 'region', 'state', 'entry', 'psql', ''].map((label) => element('td', { role: 'cell', 'data-label': label || false }));
  cells[0].className = 'mono';
  cells[4].className = 'for-psql';
  cells[5].append(element('button', { type: 'button', class: 'small', tabindex: -1, 'data-user': user, 'aria-label': `Delete ${user}` }, 'delete'));
  return { node: element('tr', { role: 'row' }, ...cells), cells };
}

function paint(item, database) {
  item.database = database;
  const [user, region, state, entry, psql] = item.cells;
  setText(user, database.user);
  setText(region, regionName(database.region));
  setText(state, database.state);
  setText(entry, database.entry === 'none' ? '–' : database.entry);
  setAttribute(state, 'data-tone', STATES[database.state] ?? 'quiet');
  setAttribute(entry, 'data-tone', ENTRIES[database.entry] ?? 'quiet');
  if (psql.firstChild?.value !== database.connect) {
    psql.replaceChildren(database.connect ? element('input', { class: 'mono', readonly: true, tabindex: -1, value: database.connect, 'aria-label': `psql command for ${database.user}`, onfocus: ({ target }) => target.select() }) : '');
  }
}

function drawMap() {
  circles.clear();
  const marks = store.regions.map((region) => {
    const [x, y] = project(region.longitude, region.latitude);
    const circle = svg('circle', { class: 'region', cx: x, cy: y, r: 3 });
    const number = svg('text', { class: 'number', x, y: y + 4 });
    const item = element('li', {}, element('span', {}, region.label), ' ', element('code', {}, region.id), element('b', {}, '0'));
    circles.set(region.id, { circle, number, item, n: 0 });
    return svg('g', {}, circle, number);
  });
  byId('regions').replaceChildren(...[...circles.values()].map(({ item }) => item));
  byId('map').replaceChildren(svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': 'Map of the world: each region has a circle, the larger the more databases it has. The list that follows has the numbers.' }, svg('path', { class: 'land', d: landPath() }), ...marks));
  showMap();
}

function showMap() {
  const numbers = store.counts.regions ?? {};
  if (!store.counts.regions) for (const { region } of store.databases.values()) numbers[region] = (numbers[region] ?? 0) + 1;
  for (const [id, each] of circles) {
    const n = numbers[id] ?? 0;
    if (n === each.n) continue;
    if (n > each.n && !calm()) each.circle.animate([{ strokeWidth: '10px', strokeOpacity: 0.6 }, { strokeWidth: '1px', strokeOpacity: 1 }], 500);
    each.n = n;
    // The area grows with the number, up to a circle that leaves its neighbours visible.
    setAttribute(each.circle, 'r', String(Math.min(22, n ? 6 + 1.6 * Math.sqrt(n) : 3)));
    setText(each.number, n ? count(n) : '');
    setText(each.item.querySelector('b'), count(n));
    setAttribute(each.item, 'title', plural(n, 'database'));
  }
}
