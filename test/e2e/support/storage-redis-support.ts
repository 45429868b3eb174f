import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { HandlersModule } from '@nestgate-app/handlers';
import { type GateOptions, StorageHandler } from '@nestgate/gate';
import { createTestCluster, type TestCluster } from '@nestgate/testing';

/** A gate app with the example topics and this storage. */
export function gateWith(storage: StorageHandler, options: GateOptions = {}): Promise<TestCluster> {
  return createTestCluster({
    handlers: { imports: [HandlersModule] },
    gate: {
      messageRate: 0,
      maxConnectionsPerIp: 0,
      maxConnectionRate: 0,
      ...options,
      providers: [{ provide: StorageHandler, useValue: storage }],
    },
  });
}

/** A server on a free port of this machine that can end what it has accepted. */
abstract class SmallServer {
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;

  protected constructor() {
    this.server = createServer(socket => {
      this.keep(socket);
      this.accept(socket);
    });
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  end(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  protected abstract accept(socket: Socket): void;

  protected keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => this.sockets.delete(socket));
  }

  protected async listen(): Promise<this> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return this;
  }
}

/** Hands on what a server answers after a delay, in order. */
export class DelayProxy extends SmallServer {
  delayMs = 0;
  private readonly mutes: (() => void)[] = [];

  private constructor(private readonly port: number) {
    super();
  }

  static start(port: number): Promise<DelayProxy> {
    return new DelayProxy(port).listen();
  }

  /** The connections of now stay open, and nothing comes through them any more. New ones work. */
  mute(): void {
    for (const mute of this.mutes.splice(0)) mute();
  }

  protected override accept(socket: Socket): void {
    const upstream = connect(this.port, '127.0.0.1');
    this.keep(upstream);
    let muted = false;
    this.mutes.push(() => (muted = true));
    const answer = (data: Buffer): unknown => !muted && socket.writable && socket.write(data);
    upstream.on('data', data => setTimeout(answer, this.delayMs, data));
    socket.on('data', data => upstream.write(data));
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      one.on('close', () => other.destroy());
    }
  }
}

/** Looks like Redis, and answers every command with what a test wants it to. */
export class FakeRedis extends SmallServer {
  /** The commands that came, but for those of a client's own start. */
  readonly commands: string[][] = [];
  answer: (command: readonly string[]) => string = () => '+OK';
  /** What `INFO` says of the data being loaded. */
  loading = false;

  private constructor() {
    super();
  }

  static start(): Promise<FakeRedis> {
    return new FakeRedis().listen();
  }

  protected override accept(socket: Socket): void {
    let received = Buffer.alloc(0);
    socket.on('data', data => {
      received = Buffer.concat([received, data]);
      for (let parsed = parseCommand(received); parsed; parsed = parseCommand(received)) {
        received = received.subarray(parsed.size);
        socket.write(`${this.reply(parsed.command)}\r\n`);
      }
    });
  }

  private reply(command: string[]): string {
    const name = command[0]?.toUpperCase();
    if (name === 'HELLO') return "-ERR unknown command 'HELLO'";
    if (name === 'CLIENT') return '+OK';
    if (name === 'INFO') return bulk(`loading:${this.loading ? 1 : 0}\r\nloading_eta_seconds:1\r\n`);
    this.commands.push(command);
    return this.answer(command);
  }
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}`;
}

/** The first command of what a Redis client has sent, when it is whole. */
function parseCommand(data: Buffer): { command: string[]; size: number } | undefined {
  const line = (at: number): [value: number, next: number] | undefined => {
    const end = data.indexOf('\r\n', at);
    return end < 0 ? undefined : [Number(data.toString('latin1', at + 1, end)), end + 2];
  };
  const head = line(0);
  if (!head) return undefined;
  let [count, at] = head;
  const command: string[] = [];
  for (; count > 0; count--) {
    const size = line(at);
    if (!size || data.length < size[1] + size[0] + 2) return undefined;
    command.push(data.toString('utf8', size[1], size[1] + size[0]));
    at = size[1] + size[0] + 2;
  }
  return { command, size: at };
}
