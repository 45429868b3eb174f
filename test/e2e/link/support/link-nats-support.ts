import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NatsLink, type NatsLinkOptions } from '@nestgate/link/nats';
import type { NodeInfo, NodeRole } from '@nestgate/link';
import { LinkProbe, type NatsProcess, waitUntil } from '@nestgate/testing';
import { nkeys } from '@nats-io/transport-node';

export const nodeInfo = (id: string, role: NodeRole, epoch = 'e1'): NodeInfo => ({
  id,
  role,
  epoch,
  modules: [],
  draining: false,
});

/** A node on NATS, and everything that it is told. */
export class NatsProbe extends LinkProbe {
  declare readonly link: NatsLink;

  constructor(
    info: NodeInfo,
    options: NatsLinkOptions,
    readonly warnings: string[] = [],
  ) {
    super(new NatsLink({ onWarning: message => warnings.push(message), ...options }), info);
  }
}

/** The nodes of a test, and the files that they need. */
export class NatsNodes {
  private readonly probes: NatsProbe[] = [];
  private dir: string | undefined;

  /** A node that is not on its link yet. */
  make(id: string, role: NodeRole, options: string | NatsLinkOptions, epoch?: string): NatsProbe {
    const probe = new NatsProbe(nodeInfo(id, role, epoch), typeof options === 'string' ? { url: options } : options);
    this.probes.push(probe);
    return probe;
  }

  async open(id: string, role: NodeRole, options: string | NatsLinkOptions, epoch?: string): Promise<NatsProbe> {
    const probe = this.make(id, role, options, epoch);
    await probe.open();
    return probe;
  }

  /** A gate and a worker that have met. */
  async pair(options: string | NatsLinkOptions): Promise<[gate: NatsProbe, worker: NatsProbe]> {
    const gate = await this.open('g1', 'gate', options);
    const worker = await this.open('w1', 'worker', options);
    await Promise.all([gate.meets('w1'), worker.meets('g1')]);
    return [gate, worker];
  }

  /** Writes a file, and says where it is. */
  file(name: string, content: string | Uint8Array): string {
    this.dir ??= mkdtempSync(join(tmpdir(), 'nestgate-nats-test-'));
    const path = join(this.dir, name);
    writeFileSync(path, content);
    return path;
  }

  async end(): Promise<void> {
    await Promise.all(this.probes.splice(0).map(({ link }) => link.close({ drain: false })));
    if (this.dir !== undefined) rmSync(this.dir, { recursive: true });
    this.dir = undefined;
  }
}

/** Sends numbered frames to another node, one per turn of the event loop, until it is told to stop. */
export class FrameStream {
  readonly accepted: number[] = [];
  private next = 0;
  private isOver = false;

  constructor(
    private readonly from: NatsProbe,
    private readonly to: NatsProbe,
  ) {
    this.turn();
  }

  stop(): void {
    this.isOver = true;
  }

  /** The numbers that have come, in their order. */
  get received(): number[] {
    return this.to.texts(this.from.info.id).map(Number);
  }

  private turn(): void {
    if (this.isOver) return;
    const number = this.next++;
    const frame = Buffer.from(String(number));
    if (this.from.link.send(this.to.info.id, frame) !== 'refused') this.accepted.push(number);
    setImmediate(() => this.turn());
  }
}

/** Hangs a server, and waits until it really stands still: for a moment it may still work. */
export async function hang(server: NatsProcess): Promise<void> {
  server.suspend();
  await waitUntil('the server to stand still', async () => {
    const socket = connect(server.port, '127.0.0.1');
    try {
      await once(socket, 'data', { signal: AbortSignal.timeout(100) });
      return false;
    } catch {
      return true;
    } finally {
      socket.destroy();
    }
  });
}

/** The users and permissions that the docs tell people to copy, with passwords. */
export function docsConfig(): string {
  const page = readFileSync(join(process.cwd(), 'docs/nats.md'), 'utf8');
  const [, block] = /^```\n(authorization \{[\s\S]*?)^```$/m.exec(page) ?? [];
  if (block === undefined) throw new Error('docs/nats.md has no users and permissions');
  return `GATE_PASSWORD: for-gates\nWORKER_PASSWORD: for-workers\nAPI_PASSWORD: for-services\n${block}`;
}

/** The credentials of {@link docsConfig}, as they stand in a URL. */
export const DOCS_USERS = { gate: 'gate:for-gates', worker: 'worker:for-workers', api: 'api:for-services' } as const;

/** A URL with credentials. */
export function urlAs(url: string, credentials: string): string {
  return url.replace('://', `://${credentials}@`);
}

/** An operator, an account and a user: what the server is to be told, and the user's `.creds` file. */
export function jwtWorld(): { readonly config: string; readonly creds: string } {
  const [operator, account, user] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createUser()];
  const accountJwt = jwt('A', 'account', account.getPublicKey(), operator);
  const config = `operator: ${jwt('O', 'operator', operator.getPublicKey(), operator)}
resolver: MEMORY
resolver_preload: { ${account.getPublicKey()}: ${accountJwt} }
`;
  const seed = new TextDecoder().decode(user.getSeed());
  const creds = `-----BEGIN NATS USER JWT-----
${jwt('U', 'user', user.getPublicKey(), account)}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`;
  return { config, creds };
}

function jwt(name: string, type: string, subject: string, issuer: nkeys.KeyPair): string {
  const limits = type === 'operator' ? {} : type === 'user' ? { subs: -1, data: -1, payload: -1 } : undefined;
  const nats = {
    type,
    version: 2,
    ...(limits ?? {
      limits: { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 },
    }),
  };
  const claims = { iat: Math.floor(Date.now() / 1_000), iss: issuer.getPublicKey(), sub: subject, name, nats };
  const jti = createHash('sha256').update(JSON.stringify(claims)).digest('hex');
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${encode({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encode({ jti, ...claims })}`;
  return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString('base64url')}`;
}

/** A forged message between nodes, as any client with publish permission can send it. */
export function forgedFrame({ id, epoch }: Pick<NodeInfo, 'id' | 'epoch'>, tag: number, text: string): Buffer {
  const head = Buffer.alloc(9);
  head[0] = 2 << 4;
  head.writeUInt32LE(tag, 1);
  // A later connection than any that the node has had: what comes by an earlier one would not be looked at.
  head.writeUInt32LE(1_000, 5);
  const texts = [id, epoch].map(value => Buffer.from(`${String.fromCharCode(value.length)}${value}`, 'latin1'));
  return Buffer.concat([head, ...texts, Buffer.from(text)]);
}
