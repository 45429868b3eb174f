import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { waitUntil } from '@nestgate/testing';

export type Role = 'gate' | 'worker';

/** Information that a node reports about itself. */
export interface NodeState {
  /** What its link has counted. */
  readonly counters: Readonly<Record<string, number>>;
  /** The ids of the nodes it knows, its own included. */
  readonly peers: readonly string[];
  /** Gates: what they have refused, closed and dropped, by name and label. */
  readonly counts?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Gates: the clients that are there, and how many of their frames are handled now. */
  readonly clients?: number;
  readonly unanswered?: number;
  /** Gates: where clients connect over TCP. */
  readonly tcpPort?: number;
  /** How long the event loop was late by itself, in milliseconds, since it was last asked: its 99th percentile and its worst. */
  readonly lagP99: number;
  readonly lagMax: number;
  /** CPU time it has used so far, in milliseconds. */
  readonly cpuMs: number;
}

/** How a process has ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

type Message = { readonly port: number } | { readonly ask: number; readonly answer: unknown };

/** A node starts within two seconds, where it has a core to itself. */
const START_MS = 60_000;
/** How much time may pass between the clock's being set and its being compared, in milliseconds. */
const CLOCK_TOLERANCE_MS = 10_000;
const mainOf = (role: Role) => fileURLToPath(new URL(`./${role}-node.mjs`, import.meta.url));

/** A gate or worker in a process of its own, which answers questions while it can. */
export class NodeProcess {
  /** What it has written to both outputs. */
  output = '';
  /** Where clients connect to a gate. */
  port = 0;
  readonly exited: Promise<Exit>;
  private exit: Exit | undefined;
  private started = false;
  private readonly asked = new Map<number, (answer: unknown) => void>();
  private lastAsk = 0;

  private constructor(
    readonly id: string,
    private readonly child: ChildProcess,
  ) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
    child.on('message', message => this.take(message as Message));
    this.exited = new Promise(resolve => {
      child.once('close', (code, signal) => {
        this.exit = { code, signal };
        resolve(this.exit);
      });
    });
  }

  /** Starts a node, and waits until it is on its link. With `maxFiles` it can open no more files than that. */
  static async start(role: Role, id: string, env: NodeJS.ProcessEnv, maxFiles?: number): Promise<NodeProcess> {
    const { PATH } = process.env;
    const command = [process.execPath, mainOf(role)];
    const [program, ...args] =
      maxFiles === undefined ? command : ['sh', '-c', `ulimit -n ${maxFiles} && exec "$0" "$@"`, ...command];
    const child = spawn(program as string, args, {
      env: { PATH, LOG_LEVEL: 'error', NESTGATE_ID: id, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const node = new NodeProcess(id, child);
    try {
      await waitUntil(
        `${id} to start`,
        () => {
          if (node.exit) throw new Error(`${id} has ended before it had started:\n${node.output}`);
          return node.started;
        },
        START_MS,
      );
      return node;
    } catch (error) {
      await node.end();
      throw error;
    }
  }

  /** The process. */
  get pid(): number | undefined {
    return this.child.pid;
  }

  get isOver(): boolean {
    return this.exit !== undefined;
  }

  /** How it is now. */
  state(): Promise<NodeState> {
    return this.ask('state');
  }

  /** Pushes to a group, without waiting for the gates. Resolves with the error's code when that is refused. */
  push(group: string, topic: string, body: unknown): Promise<string | undefined> {
    return this.ask('push', { group, topic, body });
  }

  /** Memory that the process has in use, in bytes; 0 when it is over. */
  get rss(): number {
    let status = '';
    try {
      status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8');
    } catch {
      return 0;
    }
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  }

  /** Sockets that the process holds; 0 when it is over. */
  get sockets(): number {
    try {
      const folder = `/proc/${this.child.pid}/fd`;
      return readdirSync(folder).filter(fd => isSocket(`${folder}/${fd}`)).length;
    } catch {
      return 0;
    }
  }

  /** Sets its clock: so many milliseconds ahead of the real one. Only for a node that was started with such a clock. */
  async setClock(ms: number): Promise<void> {
    const shown = await this.ask<number>('clock', { ms });
    if (Math.abs(shown - Date.now() - ms) > CLOCK_TOLERANCE_MS) throw new Error(`${this.id} shows ${shown}`);
  }

  /** What its heap and its buffers hold when all garbage has gone, in bytes. */
  heap(): Promise<number> {
    return this.ask('heap');
  }

  /** The status of a gate's health check; 0 when it does not answer. */
  async health(path: '/health' | '/health/ready' = '/health'): Promise<number> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.port}${path}`, { headers: { connection: 'close' } });
      await response.arrayBuffer();
      return response.status;
    } catch {
      return 0;
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Kills the process with all it has. */
  async kill(): Promise<void> {
    if (!this.isOver) this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Ends what a test has left. */
  end(): Promise<void> {
    return this.kill();
  }

  /** Asks the process. Never settles for one that is over. */
  private ask<T>(what: string, args?: object): Promise<T> {
    const ask = ++this.lastAsk;
    return new Promise(resolve => {
      this.asked.set(ask, answer => resolve(answer as T));
      this.child.send({ ask, what, args }, () => undefined);
    });
  }

  private take(message: Message): void {
    if ('ask' in message) {
      this.asked.get(message.ask)?.(message.answer);
      this.asked.delete(message.ask);
    } else {
      this.port = message.port;
      this.started = true;
    }
  }
}

/** Whether a descriptor of a process is a socket. It may be gone by now. */
function isSocket(link: string): boolean {
  try {
    return readlinkSync(link).startsWith('socket:');
  } catch {
    return false;
  }
}
