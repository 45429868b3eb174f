import { ask, type Overview } from './api.js';
import { byId } from './dom.js';
import { NamesView, NodesView, SessionsView, type View } from './views.js';

/** How often the overview is asked for, in milliseconds; not while the page is hidden. */
const POLL_MS = 2_000;

const status = byId('status');
const main = byId('view');
const sessions = new SessionsView();
const groups = new NamesView('groups', 'Group', name => show('sessions', () => sessions.search('', name)));
const uids = new NamesView('uids', 'User', name => show('sessions', () => sessions.search(name, '')));
const views: Readonly<Record<string, View>> = { nodes: new NodesView(say), sessions, groups, uids };
let timer: ReturnType<typeof setTimeout> | undefined;

function say(text: string, isBad = false): void {
  status.textContent = text;
  status.classList.toggle('bad', isBad);
}

function show(name: string, load?: () => void): void {
  const view = views[name];
  if (!view) return;
  for (const each of document.querySelectorAll<HTMLElement>('nav button')) {
    each.setAttribute('aria-pressed', String(each.dataset['view'] === name));
  }
  main.replaceChildren(view.root);
  if (load) load();
  else if ('load' in view) void (view as typeof sessions).load();
}

async function poll(): Promise<void> {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const overview = await ask<Overview>('overview');
    for (const view of Object.values(views)) view.update?.(overview);
    const { missing, nodes } = overview;
    if (missing.length > 0) say(`Gates that do not answer: ${missing.join(', ')}`, true);
    else say(`${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'}, ${new Date().toLocaleTimeString()}`);
  } catch (error) {
    say((error as Error).message, true);
  }
  timer = setTimeout(() => void poll(), POLL_MS);
}

for (const each of document.querySelectorAll<HTMLElement>('nav button')) {
  each.addEventListener('click', () => show(each.dataset['view'] ?? ''));
}
document.addEventListener('visibilitychange', () => void poll());
show('nodes');
void poll();
