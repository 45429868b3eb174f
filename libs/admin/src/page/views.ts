import { act, type AdminNode, ask, type Listed, type Overview, type SessionRow } from './api.js';
import { Chart } from './charts.js';
import { button, type Cell, confirmed, element, field, table } from './dom.js';
import { showSession, showTopic } from './session-view.js';

/** A view of the page. */
export interface View {
  readonly root: HTMLElement;
  /** The overview has come, every two seconds. */
  update?(overview: Overview): void;
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;
const mebibytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;

function uptimeOf(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min`;
  return minutes < 2_880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1_440)} d`;
}

/** Nodes, with charts of the cluster. */
export class NodesView implements View {
  readonly root = element('section');
  private readonly clients = new Chart('Clients', value => value.toLocaleString());
  private readonly rate = new Chart('Messages received per second', value => value.toFixed(value < 10 ? 1 : 0));
  private readonly cpu = new Chart('CPU of the busiest node', percent);
  private readonly delay = new Chart('Event loop delay, the longest', value => `${value.toFixed(1)} ms`);
  private readonly list = element('div');
  private readonly actions = element('div', { className: 'row' });
  private readonly frames = new Map<string, { readonly at: number; readonly count: number }>();
  private readonly rates = new Map<string, number>();

  constructor(private readonly say: (text: string) => void) {
    const charts = [this.clients, this.rate, this.cpu, this.delay].map(({ root }) => root);
    this.root.append(
      element('div', { className: 'charts' }, ...charts),
      element('h2', { text: 'Nodes' }),
      this.list,
      this.actions,
    );
  }

  update({ nodes, actions }: Overview): void {
    const now = performance.now();
    for (const node of nodes) this.noteRate(node, now);
    const sumOf = (read: (node: AdminNode) => number): number => nodes.reduce((sum, node) => sum + read(node), 0);
    const mostOf = (read: (node: AdminNode) => number): number => Math.max(0, ...nodes.map(read));
    this.clients.add(
      now,
      sumOf(({ gate }) => gate?.clients ?? 0),
    );
    this.rate.add(
      now,
      sumOf(({ id }) => this.rates.get(id) ?? 0),
    );
    this.cpu.add(
      now,
      mostOf(({ cpu }) => cpu),
    );
    this.delay.add(
      now,
      mostOf(({ loopDelayMs }) => loopDelayMs),
    );
    const gates = nodes.filter(({ role, isDraining }) => role === 'gate' && !isDraining);
    if (!actions || gates.length < 2) this.actions.replaceChildren();
    else if (this.actions.childElementCount === 0)
      this.actions.append(button('Rebalance gates', () => this.rebalance(), 'danger'));
    // What has the focus must not be taken away while it is used.
    if (this.list.contains(document.activeElement) && this.list.childElementCount > 0) return;
    const heads = [
      'Id',
      'Role',
      'Version',
      'Up',
      'CPU',
      'Delay',
      'Memory',
      'Clients',
      'Msgs/s',
      'Handlers',
      'Link',
      'State',
      '',
    ];
    this.list.replaceChildren(
      table(
        heads,
        nodes.map(node => this.cellsOf(node, actions)),
        'No node answers.',
      ),
    );
  }

  private async rebalance(): Promise<void> {
    const question = 'Ask resumable clients of the fullest gates to go on on another one, 100 per second and gate?';
    if (!(await confirmed(question))) return;
    try {
      const asked = Object.entries((await act('rebalance', {})) as Readonly<Record<string, number>>);
      this.say(asked.map(([gate, clients]) => `${gate} asks ${clients}`).join(', ') || 'The gates have equal shares');
    } catch (error) {
      this.say((error as Error).message);
    }
  }

  private cellsOf(node: AdminNode, mayAct: boolean): Cell[] {
    const { id, role, gate, handlers } = node;
    const drain = async (): Promise<void> => {
      if (await confirmed(`Close all clients of ${id}, and accept no new ones?`)) {
        await act('drain', { gate: id }).then(
          () => this.say(`${id} drains`),
          (error: unknown) => this.say((error as Error).message),
        );
      }
    };
    return [
      id,
      role,
      node.version,
      uptimeOf(node.uptimeMs),
      percent(node.cpu),
      `${node.loopDelayMs.toFixed(1)} ms`,
      mebibytes(node.memoryBytes),
      gate?.clients.toLocaleString(),
      gate ? (this.rates.get(id) ?? 0).toFixed(1) : undefined,
      handlers ? `${handlers.running} run, ${handlers.waiting} wait` : undefined,
      node.isLinkUp ? 'up' : element('span', { text: 'down', className: 'bad' }),
      node.isDraining ? 'draining' : 'serving',
      mayAct && role === 'gate' && !node.isDraining ? button('Drain', drain, 'danger') : undefined,
    ];
  }

  private noteRate({ id, gate }: AdminNode, now: number): void {
    if (!gate) return;
    const before = this.frames.get(id);
    const count = gate.framesReceived;
    if (before && now > before.at) {
      this.rates.set(id, Math.max(0, ((count - before.count) * 1_000) / (now - before.at)));
    }
    this.frames.set(id, { at: now, count });
  }
}

/** A list that comes page by page. */
abstract class PagedView<T> implements View {
  readonly root = element('section');
  protected mayAct = false;
  private readonly list = element('div', { attributes: { 'aria-live': 'polite' } });
  private readonly more = element('div', { className: 'row' });

  constructor(
    private readonly path: string,
    ...before: readonly HTMLElement[]
  ) {
    this.root.append(...before, this.list, this.more);
  }

  update({ actions }: Overview): void {
    this.mayAct = actions;
  }

  async load(cursor?: string): Promise<void> {
    try {
      const page = await ask<Listed<T>>(this.path, { ...this.query(), cursor });
      this.list.replaceChildren(this.show(page.items));
      const next = page.cursor;
      this.more.replaceChildren(
        ...(cursor === undefined ? [] : [button('First page', () => this.load())]),
        ...(next === undefined ? [] : [button('Next page', () => this.load(next))]),
      );
      if (page.missing.length > 0) {
        this.list.append(
          element('p', { className: 'bad', text: `Gates that do not answer: ${page.missing.join(', ')}` }),
        );
      }
    } catch (error) {
      this.list.replaceChildren(element('p', { className: 'bad', text: (error as Error).message }));
    }
  }

  protected query(): Readonly<Record<string, string>> {
    return {};
  }

  protected abstract show(items: T): HTMLElement;
}

/** Sessions, all or those of a search. */
export class SessionsView extends PagedView<readonly SessionRow[]> {
  private readonly uid: HTMLInputElement;
  private readonly group: HTMLInputElement;
  private readonly taps: HTMLElement;

  constructor() {
    const [id, uid, group] = [
      field('Client id', 'search-id'),
      field('User', 'search-uid'),
      field('Group', 'search-group'),
    ];
    const submit = element('button', { text: 'Search', className: 'main', attributes: { type: 'submit' } });
    const form = element('form', { attributes: { role: 'search' } }, id.root, uid.root, group.root, submit);
    const topic = field('Topic or module', 'tap-topic');
    const tap = button('Tap topic', () => showTopic(topic.input.value.trim()));
    const taps = element('div', { className: 'row' }, topic.root, tap);
    super('sessions', form, taps);
    this.taps = taps;
    taps.hidden = true;
    this.uid = uid.input;
    this.group = group.input;
    form.addEventListener('submit', event => {
      event.preventDefault();
      const wanted = id.input.value.trim();
      void (wanted === '' ? this.load() : showSession(wanted, this.mayAct));
    });
  }

  override update(overview: Overview): void {
    super.update(overview);
    this.taps.hidden = !overview.actions;
  }

  /** Shows the sessions of a uid or a group. */
  search(uid: string, group: string): void {
    this.uid.value = uid;
    this.group.value = group;
    void this.load();
  }

  protected override query(): Readonly<Record<string, string>> {
    return { uid: this.uid.value.trim(), group: this.group.value.trim() };
  }

  protected show(items: readonly SessionRow[]): HTMLElement {
    const rows = items.map(row => [
      button(row.clientId, () => showSession(row.clientId, this.mayAct), 'link'),
      row.uid || '–',
      `${row.ip} (${row.network})`,
      new Date(row.connectedAt).toLocaleString(),
      row.isAway ? 'away' : 'online',
    ]);
    return table(['Client', 'User', 'Address', 'Since', 'State'], rows, 'No session.');
  }
}

/** Groups, or uids, with their numbers of clients. */
export class NamesView extends PagedView<Readonly<Record<string, number>>> {
  constructor(
    path: 'groups' | 'uids',
    private readonly head: string,
    private readonly open: (name: string) => void,
  ) {
    super(path);
  }

  protected show(items: Readonly<Record<string, number>>): HTMLElement {
    const rows = Object.entries(items).map(([name, count]) => [
      button(name, () => this.open(name), 'link'),
      count.toLocaleString(),
    ]);
    return table([this.head, 'Clients'], rows, 'None.');
  }
}
