import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { GateError, urlForLog } from '@nestgate/protocol';
import type { NodeReport } from '@nestgate/worker';
import { WebSocket } from 'ws';
import { Output, parseDuration } from '../output.js';
import { readEvictionPolicy } from '../redis-policy.js';
import { openTarget } from '../open-target.js';
import type { TargetOptions } from '../target.js';
import { aboutCluster, type ClusterOptions } from './cluster.js';

const MIN_OPEN_FILES = 4_096;
const MAX_CLOCK_OFFSET_MS = 1_000;
/** What a client waits for at most, in milliseconds. */
const CONNECT_MS = 5_000;

/** One finding. */
export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'problem' | 'skipped';
  readonly text: string;
}

interface DoctorOptions extends ClusterOptions {
  readonly client?: string;
  readonly origin?: string;
  readonly token?: string;
  readonly redis?: string;
  readonly idle: number;
}

/** Adds `doctor`, which finds out what is wrong. */
export function addDoctorCommand(program: Command): void {
  aboutCluster(program.command('doctor').description('finds out what is wrong; exits with 1 when something is'))
    .option('--client <url>', 'WebSocket URL that clients use, with the proxy in front of the gates')
    .option('--origin <origin>', 'origin of the page that connects')
    .option('--token <token>', 'token of a client')
    .option('--redis <url>', 'session storage (NESTGATE_STORAGE)')
    .option('--idle <duration>', 'how long a client stays silent, to find proxies that cut it', parseDuration, 30_000)
    .action(async (options: DoctorOptions) => {
      const findings = await examine(options);
      const output = new Output(options.json === true);
      if (output.isJson) output.json(findings);
      else for (const finding of findings) output.line(lineOf(output, finding));
      if (findings.some(({ state }) => state === 'problem')) process.exitCode = 1;
    });
}

function lineOf(output: Output, { check, state, text }: Finding): string {
  const mark = { ok: output.good('ok     '), problem: output.bad('PROBLEM'), skipped: output.faint('skipped') }[state];
  return `${mark}  ${check}: ${text}`;
}

async function examine(options: DoctorOptions): Promise<Finding[]> {
  const storage = options.redis ?? process.env['NESTGATE_STORAGE'];
  const [cluster, client, redis] = await Promise.all([
    examineCluster(options),
    examineClient(options),
    examineRedis(storage !== undefined && /^rediss?:/.test(storage) ? storage : undefined),
  ]);
  return [examineFiles(), ...cluster, redis, ...client];
}

function examineFiles(): Finding {
  const check = 'open files';
  let limit: number;
  try {
    limit = Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity);
  } catch {
    return { check, state: 'skipped', text: 'this system does not tell its limit' };
  }
  if (limit >= MIN_OPEN_FILES) return { check, state: 'ok', text: `${limit} may be open` };
  return { check, state: 'problem', text: `${limit} may be open, of which a client needs one: raise ulimit -n` };
}

async function examineCluster(options: TargetOptions): Promise<Finding[]> {
  const { env } = process;
  const places = [options.url, options.link, env['NESTGATE_URL'], env['NESTGATE_LINK']];
  if (!places.some(Boolean))
    return [{ check: 'cluster', state: 'skipped', text: 'say where it is, with --link or --url' }];
  try {
    const target = await openTarget(options);
    try {
      const before = Date.now();
      const { result, missing } = await target.call<{ result: readonly NodeReport[]; missing: readonly string[] }>(
        'getNodes',
        { partial: 'allow', deadlineMs: 3_000 },
      );
      const middle = (before + Date.now()) / 2;
      const found = result.length === 0 ? 'no node' : `${result.length} nodes`;
      const reached: Finding = { check: 'link', state: 'ok', text: `${found} answer` };
      const { unreached = [] } = target;
      return [
        missing.length + unreached.length === 0
          ? reached
          : { ...reached, state: 'problem', text: `gates do not answer: ${[...missing, ...unreached].join('; ')}` },
        ...permissions(target.denials),
        versions(result),
        clocks(result, middle),
        peers(result),
      ];
    } catch (error) {
      const { unreached = [], denials = [] } = target;
      if (denials.length > 0) return permissions(denials);
      if (unreached.length === 0) throw error;
      throw new GateError('LINK_UNAVAILABLE', unreached.join('; '));
    } finally {
      await target.close();
    }
  } catch (error) {
    const [denial] = /NATS does not permit .+/.exec(messageOf(error)) ?? [];
    if (denial !== undefined) return permissions([denial]);
    const where = urlForLog(places.find(Boolean) ?? '');
    return [{ check: 'link', state: 'problem', text: `${where}: ${messageOf(error)}` }];
  }
}

/** What the user of a NATS link may not do: subjects, each with what was tried. `undefined` where there is no such server to ask. */
function permissions(denials: readonly string[] | undefined): Finding[] {
  if (!denials) return [];
  const check = 'permissions';
  if (denials.length === 0) return [{ check, state: 'ok', text: 'the server has permitted all that was tried' }];
  const text = `${[...new Set(denials)].join('; ')}: permit it to the user of this link (docs/nats.md, users and permissions)`;
  return [{ check, state: 'problem', text }];
}

function versions(nodes: readonly NodeReport[]): Finding {
  const all = [...new Set(nodes.map(({ version }) => version))];
  const text = all.join(', ');
  return {
    check: 'versions',
    state: all.length > 1 ? 'problem' : 'ok',
    text: all.length > 1 ? `they differ: ${text}` : text,
  };
}

function clocks(nodes: readonly NodeReport[], now: number): Finding {
  const off = nodes
    .map(({ id, clock }) => ({ id, by: Math.round(clock - now) }))
    .filter(({ by }) => Math.abs(by) > MAX_CLOCK_OFFSET_MS);
  if (off.length === 0) return { check: 'clocks', state: 'ok', text: 'within a second of this one' };
  const text = off.map(({ id, by }) => `${id} is ${Math.abs(by)} ms ${by > 0 ? 'ahead' : 'behind'}`).join(', ');
  return { check: 'clocks', state: 'problem', text: `${text}: revocations and expiry compare clocks` };
}

/** Gates of a tcp link that are not each other's `peers` do not exchange logins and revocations. */
function peers(nodes: readonly NodeReport[]): Finding {
  const gates = nodes.filter(({ role }) => role === 'gate');
  const alone = gates.filter(gate => gate.peers.gate < gates.length - 1);
  if (alone.length === 0) return { check: 'peers', state: 'ok', text: `${gates.length} gates know each other` };
  const text = alone.map(({ id, peers: known }) => `${id} knows ${known.gate} of ${gates.length - 1}`).join(', ');
  return { check: 'peers', state: 'problem', text: `${text}: name the other gates in peers= of the link` };
}

async function examineRedis(url: string | undefined): Promise<Finding> {
  const check = 'redis';
  if (url === undefined) return { check, state: 'skipped', text: 'no session storage is named' };
  try {
    const policy = await readEvictionPolicy(url);
    if (policy === 'noeviction') return { check, state: 'ok', text: 'maxmemory-policy is noeviction' };
    return {
      check,
      state: 'problem',
      text: `maxmemory-policy is ${policy}: sessions of users are lost; set noeviction`,
    };
  } catch (error) {
    return { check, state: 'problem', text: `${urlForLog(url)}: ${messageOf(error)}` };
  }
}

async function examineClient({ client, origin, token, idle }: DoctorOptions): Promise<Finding[]> {
  if (client === undefined)
    return [{ check: 'client', state: 'skipped', text: 'say where clients connect, with --client' }];
  const protocols = ['gate.json', ...(token === undefined ? [] : [`bearer.${token}`])];
  const socket = new WebSocket(client, protocols, {
    handshakeTimeout: CONNECT_MS,
    ...(origin !== undefined && { origin }),
  });
  // It may come together with the answer to the upgrade.
  let pingMs: number | undefined;
  socket.once('message', (data: Buffer) => (pingMs = pingIntervalOf(data)));
  const end = new Promise<string>(resolve => {
    socket.once('close', (code, reason) => resolve(`${code} ${reason.toString()}`.trimEnd()));
  });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
      socket.once('unexpected-response', (_request, response) => {
        response.resume();
        reject(new GateError('FORBIDDEN', refusedText(response.statusCode ?? 0, origin)));
      });
    });
  } catch (error) {
    socket.terminate();
    return [{ check: 'client', state: 'problem', text: `${urlForLog(client)}: ${messageOf(error)}` }];
  }
  socket.on('error', () => undefined);
  const connected: Finding = { check: 'client', state: 'ok', text: 'connects' };
  const begun = performance.now();
  const outcome = await Promise.race([
    new Promise<'ping'>(resolve => socket.once('ping', () => resolve('ping'))),
    end.then(how => ({ how })),
    new Promise<'time'>(resolve => setTimeout(resolve, idle, 'time').unref()),
  ]);
  socket.terminate();
  const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
  const check = 'idle';
  const interval = pingMs === undefined ? 'its pingInterval' : `${pingMs / 1_000} s (pingInterval)`;
  if (outcome === 'ping') return [connected, { check, state: 'ok', text: `the gate pings after ${seconds} s` }];
  if (outcome === 'time') {
    const text = `no ping within ${seconds} s; the gate pings every ${interval}: wait longer with --idle`;
    return [connected, { check, state: 'skipped', text }];
  }
  const text =
    `a silent client was cut after ${seconds} s (${outcome.how}), before the first ping: the idle timeout of a proxy is shorter than ` +
    `pingInterval. The gate pings every ${interval}: set it well below ${seconds} s, or raise the timeout of the proxy`;
  return [connected, { check, state: 'problem', text }];
}

/** The interval of pings that a gate tells its clients in its first message, in milliseconds. */
function pingIntervalOf(hello: Buffer): number | undefined {
  try {
    const { body } = JSON.parse(hello.toString('utf8')) as { readonly body?: { readonly heartbeatMs?: unknown } };
    return typeof body?.heartbeatMs === 'number' ? body.heartbeatMs : undefined;
  } catch {
    return undefined;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function refusedText(status: number, origin: string | undefined): string {
  const why: Readonly<Record<number, string>> = {
    401: 'the token is missing, or not valid',
    403:
      origin === undefined
        ? 'the gate refuses the client'
        : `the Origin ${origin} is not allowed: see ws.origins, and Host behind a proxy`,
    404: 'there is no gate at this path',
    429: 'too many connections of this address',
    503: 'no gate accepts clients',
  };
  return `refused with ${status}: ${why[status] ?? 'this is no WebSocket endpoint'}`;
}
