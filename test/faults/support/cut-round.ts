import { LinkNode, type NodeInfo, type NodeRole, TcpLink } from '@nestgate/link';
import { type Codec, type Contract, type Handlers, nodeOp, PendingCall } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { waitUntil } from '@nestgate/testing';
import { CutProxy, type Way } from './cut-proxy.js';
import { ACCEPTED, Arrivals, SenderLog } from './ledger.js';
import type { Payload } from './payload.js';

/** Turns of the event loop in which messages are sent: so many batches each way. */
const BATCHES = 3;
const REQUEST_MS = 5_000;
const SECRET = 'a secret of the tests';

const payload: Codec<Payload> = {
  write: (writer, value) => writer.str(JSON.stringify(value)),
  read: reader => JSON.parse(reader.str()) as Payload,
};

/** What the two nodes of a round ask of each other: a request, and a message that nobody answers. */
const contract = {
  ask: nodeOp(900, 'required', payload, payload),
  tell: nodeOp(901, 'never', payload, payload),
} satisfies Contract;

function createNode(role: NodeRole, id: string, url: string): { node: LinkNode; link: TcpLink } {
  const self: NodeInfo = { id, role, epoch: 'e', modules: [], draining: false };
  const link = new TcpLink({ url, secret: SECRET });
  return { node: new LinkNode({ link, self }), link };
}

/** What a round has found. */
export interface CutResult {
  readonly findings: CutFindings;
  /** Bytes that went each way before the connection broke, or before it was looked at whether all goes on. */
  readonly carried: Readonly<Record<Way, number>>;
  /** Requests that ended with an error. */
  readonly failed: number;
  /** Messages that nobody answers and that have not arrived. */
  readonly lost: number;
}

/** What has gone wrong in a round; nothing, if all is well. */
export interface CutFindings {
  readonly corrupt: number;
  readonly foreign: number;
  readonly dup: number;
  readonly reorder: number;
  /** Requests without an outcome, or with one that is no coded error of a broken link. */
  readonly strange: readonly string[];
  /** Messages without an answer that neither arrived nor were counted. */
  readonly silent: number;
}

/** One worker that dials one gate through a proxy, which breaks their first connection at a byte. */
export class CutRound {
  private readonly asks: SenderLog;
  private readonly told: { readonly log: SenderLog; readonly arrivals: Arrivals }[] = [];
  private readonly askArrivals: Arrivals;
  private readonly replies: Arrivals;

  private constructor(
    private readonly gate: LinkNode,
    private readonly worker: LinkNode,
    name: string,
  ) {
    this.asks = new SenderLog({ run: 'cut', session: name, dir: 'ask' });
    this.askArrivals = new Arrivals(this.asks);
    this.replies = new Arrivals(this.asks);
    for (const session of [`${name}-down`, `${name}-up`]) {
      const log = new SenderLog({ run: 'cut', session, dir: 'push' });
      this.told.push({ log, arrivals: new Arrivals(log) });
    }
    gate.dispatcher.serve(contract, this.handlersOf(1));
    worker.dispatcher.serve(contract, this.handlersOf(0));
  }

  /** Runs a round. Without `cut` nothing breaks. @throws {Error} when the two do not go on afterwards. */
  static async run(name: string, cut?: { readonly way: Way; readonly at: number }): Promise<CutResult> {
    const gate = createNode('gate', `g-${name}`, 'tcp://127.0.0.1:0');
    await gate.node.open();
    const proxy = await CutProxy.start(gate.link.address?.port ?? 0);
    if (cut) proxy.arm(cut.way, cut.at);
    const worker = createNode('worker', `w-${name}`, `tcp://127.0.0.1:${proxy.port}`);
    const round = new CutRound(gate.node, worker.node, name);
    try {
      await worker.node.open();
      await round.exchange();
      const carried = { ...proxy.carried };
      // All that was sent has gone through before the byte at which it breaks: then it breaks in silence.
      if (cut) await waitUntil(`${name} to break`, () => proxy.cuts === 1);
      await round.resync();
      return { findings: round.findings(), carried, failed: round.asks.failed.length, lost: round.lost };
    } finally {
      await worker.node.close({ drain: false });
      await gate.node.close({ drain: false });
      await proxy.end();
    }
  }

  private handlersOf(direction: 0 | 1): Handlers<typeof contract> {
    return {
      ask: (value, call) => {
        this.askArrivals.note(value);
        call.peer.reply(call, contract.ask, value);
      },
      tell: value => void this.told[direction]?.arrivals.note(value),
    };
  }

  /** Sends in several turns, each time one request down and one message each way; waits for the outcomes. */
  private async exchange(): Promise<void> {
    await this.meet();
    const outcomes: Promise<void>[] = [];
    for (let i = 0; i < BATCHES; i++) {
      outcomes.push(this.ask());
      this.tell(0, this.gate);
      this.tell(1, this.worker);
      await new Promise(resolve => setImmediate(resolve));
    }
    await Promise.all(outcomes);
  }

  /** The two find each other again, and everything flows. */
  private async resync(): Promise<void> {
    await waitUntil('traffic to flow again', async () => {
      await this.meet();
      await this.ask();
      return this.asks.intents.at(-1)?.outcome === ACCEPTED;
    });
    const counts = this.told.map(({ arrivals }) => arrivals.seqs.size);
    this.tell(0, this.gate);
    this.tell(1, this.worker);
    await waitUntil('messages each way', () =>
      this.told.every(({ arrivals }, i) => arrivals.seqs.size > (counts[i] as number)),
    );
  }

  private async meet(): Promise<void> {
    await waitUntil('the two to meet', () => this.peerOf(this.gate) && this.peerOf(this.worker));
  }

  private peerOf(node: LinkNode) {
    return [...node.remotes.values()][0];
  }

  private async ask(): Promise<void> {
    const value = this.asks.intend();
    const peer = this.peerOf(this.gate);
    if (!peer) return void this.asks.settle(value.seq, 'NO_PEER');
    const pending = new PendingCall(contract.ask);
    peer.request(contract.ask, value, pending, performance.now() + REQUEST_MS);
    try {
      const reply = await pending.promise;
      if (this.replies.note(reply) === value.seq) this.asks.settle(value.seq, ACCEPTED);
    } catch (error) {
      this.asks.settle(value.seq, error instanceof GateError ? error.code : 'NO_CODE');
    }
  }

  /** Down with 0, up with 1. Only what is handed to the link counts as accepted. */
  private tell(direction: 0 | 1, from: LinkNode): void {
    const log = (this.told[direction] as { log: SenderLog }).log;
    const peer = this.peerOf(from);
    const value = log.intend();
    if (!peer) return void log.settle(value.seq, 'NO_PEER');
    peer.notify(contract.tell, value);
    log.settle(value.seq, ACCEPTED);
  }

  private get lost(): number {
    return this.told.flatMap(({ log, arrivals }) =>
      log.intents.filter(({ seq, outcome }) => outcome === ACCEPTED && !arrivals.seqs.has(seq)),
    ).length;
  }

  private findings(): CutFindings {
    const all = [this.askArrivals, this.replies, ...this.told.map(({ arrivals }) => arrivals)];
    const sum = (key: 'foreign' | 'dup' | 'reorder') => all.reduce((total, arrivals) => total + arrivals[key], 0);
    const nodes = [this.gate.counters, this.worker.counters];
    const counted = nodes.reduce((total, { gaps, refused, uncertain }) => total + gaps + refused + uncertain, 0);
    const fine = new Set([ACCEPTED, 'NO_PEER', 'NODE_LOST', 'LINK_UNAVAILABLE']);
    return {
      corrupt: nodes.reduce((total, { corrupt }) => total + corrupt, 0),
      foreign: sum('foreign'),
      dup: sum('dup'),
      reorder: sum('reorder'),
      strange: this.asks.intents.map(({ outcome = 'none' }) => outcome).filter(outcome => !fine.has(outcome)),
      silent: Math.max(0, this.lost - counted),
    };
  }
}
