import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

/** What the gate does with a connection. */
export type Fault =
  /** Serves it. */
  | { readonly kind: 'serve' }
  /** Refuses the upgrade. */
  | { readonly kind: 'refuse'; readonly status: number; readonly retryAfter?: string }
  /** Takes the connection and never answers. */
  | { readonly kind: 'stall' }
  /** Accepts the upgrade and never says hello. */
  | { readonly kind: 'silent' }
  /** Serves it, and breaks the TCP connection after this many bytes from the gate. */
  | { readonly kind: 'cut'; readonly bytes: number }
  /** Serves it, and closes with this code after this many pushes. */
  | { readonly kind: 'close'; readonly code: number; readonly pushes: number }
  /** Serves it, and sends this before each push, unless much waits to be sent. */
  | { readonly kind: 'broken'; readonly data: string | Buffer };

/** A resumable session of the scripted gate. */
interface Session {
  readonly id: string;
  ticket: string;
  /** Counted frames, all of them: the script never drops one. */
  readonly log: string[];
  heard: number;
  acked: number;
}

interface Frame {
  readonly topic?: string;
  readonly body?: unknown;
  readonly id?: number;
}

const PUSH_MS = 1;
/** What may wait to be sent before broken data is left out, in bytes: a client that closes waits for all of it. */
const MOST_BUFFERED = 1024 * 1024;

/**
 * A gate of a few lines, with real sockets, which does what a test says: `gate.json`, and `gate.json.2` with one session. To each client it
 * pushes numbers: with a session they go on over connections, without one each connection begins with 1.
 */
export class ScriptedGate {
  /** What comes next, for each connection in turn. */
  faults: (attempt: number) => Fault = () => ({ kind: 'serve' });
  /** Connections that have come. */
  attempts = 0;
  /** Bodies of `note` messages, and of `echo` requests, in order. */
  readonly noted: unknown[] = [];
  /** Sockets of clients that are open. */
  readonly open = new Set<WebSocket>();
  session: Session | undefined;
  private sessions = 0;
  private readonly sockets = new Set<Duplex>();
  private readonly timers = new Set<NodeJS.Timeout>();

  private constructor(
    private readonly server: Server,
    private readonly upgrader: WebSocketServer,
    private readonly hasSessions: boolean,
  ) {
    server.on('connection', socket => {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.sockets.delete(socket));
    });
    server.on('upgrade', (request, socket, head) => this.upgrade(request, socket as Socket, head));
  }

  static async start({ sessions = true, port = 0 } = {}): Promise<ScriptedGate> {
    const server = createServer();
    const upgrader = new WebSocketServer({
      noServer: true,
      handleProtocols: offered => (sessions && offered.has('gate.json.2') ? 'gate.json.2' : 'gate.json'),
    });
    const gate = new ScriptedGate(server, upgrader, sessions);
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return gate;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/gate`;
  }

  async end(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const fault = this.faults(this.attempts++);
    if (fault.kind === 'stall') return;
    if (fault.kind === 'refuse') {
      const wait = fault.retryAfter === undefined ? '' : `Retry-After: ${fault.retryAfter}\r\n`;
      socket.end(`HTTP/1.1 ${fault.status} No\r\n${wait}Connection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    if (fault.kind === 'cut') cutAfter(socket, fault.bytes);
    this.upgrader.handleUpgrade(request, socket, head, client => this.serve(client, fault));
  }

  private serve(client: WebSocket, fault: Fault): void {
    this.open.add(client);
    client.on('error', () => undefined);
    let pushes = 0;
    let session: Session | undefined;
    const send = (frame: object): void => {
      const text = JSON.stringify(frame);
      session?.log.push(text);
      client.send(text);
    };
    const begin = (): void => {
      const timer = setInterval(() => {
        if (fault.kind === 'broken' && client.bufferedAmount < MOST_BUFFERED) client.send(fault.data);
        if (fault.kind === 'close' && pushes === fault.pushes) client.close(fault.code);
        else send({ topic: 'count/up', body: session ? session.log.length + 1 : pushes + 1 });
        pushes++;
      }, PUSH_MS);
      this.timers.add(timer);
      client.on('close', () => {
        clearInterval(timer);
        this.timers.delete(timer);
        this.open.delete(client);
      });
    };
    const hello = (): void => {
      const id = `s${++this.sessions}`;
      if (this.hasSessions && client.protocol === 'gate.json.2') {
        session = this.session = { id, ticket: `${id}-0`, log: [], heard: 0, acked: 0 };
      }
      const terms = session && {
        ticket: session.ticket,
        keepMs: 120_000,
        frames: 1_000,
        bytes: 262_144,
        ackEvery: 16,
        ackMs: 50,
      };
      client.send(
        JSON.stringify({ topic: '$gate/hello', body: { clientId: id, heartbeatMs: 3_600_000, session: terms } }),
      );
      begin();
    };
    const resume = ({ session: id, seen }: { session: string; seen: number }): void => {
      session = this.session;
      if (!session || session.id !== id || seen > session.log.length) {
        client.send(JSON.stringify({ topic: '$gate/refused', body: { code: 'RESUME_UNKNOWN', message: 'no' } }));
        session = undefined;
        hello();
        return;
      }
      // An older connection of this session is closed.
      for (const other of this.open) if (other !== client) other.close(4004);
      session.ticket = `${id}-${++this.sessions}`;
      const body = { clientId: id, ticket: session.ticket, from: seen + 1, heard: session.heard, awayMs: 1 };
      client.send(JSON.stringify({ topic: '$gate/resumed', body }));
      for (const text of session.log.slice(seen)) client.send(text);
      begin();
    };
    client.on('message', data => {
      const { topic, body, id } = JSON.parse((data as Buffer).toString()) as Frame;
      if (fault.kind === 'silent') return;
      if (topic === '$gate/open') hello();
      else if (topic === '$gate/resume') resume(body as { session: string; seen: number });
      else if (topic === '$gate/ping') client.send('{"topic":"$gate/pong"}');
      else if (topic === '$gate/bye') this.session = undefined;
      else if (!topic?.startsWith('$')) {
        this.noted.push(body);
        if (session) session.heard++;
        if (id !== undefined) send({ id, body });
      }
    });
    if (fault.kind !== 'silent' && client.protocol !== 'gate.json.2') hello();
  }
}

/** Writes this many bytes more, and then breaks the connection. */
function cutAfter(socket: Socket, bytes: number): void {
  let left = bytes;
  const write = socket.write.bind(socket) as (data: unknown, ...rest: unknown[]) => boolean;
  const cut = (): void => {
    if (!socket.destroyed) socket.resetAndDestroy();
  };
  socket.write = ((data: string | Buffer, ...rest: unknown[]) => {
    const chunk = Buffer.from(data as string);
    if (chunk.length < left) {
      left -= chunk.length;
      return write(data, ...rest);
    }
    write(chunk.subarray(0, left));
    left = 0;
    setImmediate(cut);
    return true;
  }) as Socket['write'];
}
