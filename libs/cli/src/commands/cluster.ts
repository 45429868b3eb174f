import { type Command, InvalidArgumentError } from 'commander';
import type { ClientDetail, ClientRow, NodeReport, Page } from '@nestgate/worker';
import { GateError } from '@nestgate/protocol';
import { bytesText, durationText, Output } from '../output.js';
import { openTarget } from '../open-target.js';
import type { Target, TargetOptions } from '../target.js';

/** Options that all commands about a cluster have. */
export interface ClusterOptions extends TargetOptions {
  readonly json?: boolean;
}

/** Adds the options of {@link ClusterOptions}. */
export function aboutCluster(command: Command): Command {
  return command
    .option('--url <url>', 'HTTP API of a node (NESTGATE_URL), such as http://127.0.0.1:3000')
    .option('--key <key>', 'key of the HTTP API (NESTGATE_KEY)')
    .option('--link <url>', 'link of the cluster (NESTGATE_LINK), such as tcp://127.0.0.1:7400')
    .option('--secret <secret>', 'secret of the link (NESTGATE_SECRET)')
    .option('--json', 'writes JSON, for programs');
}

/** A value on the command line: JSON, or else the text itself. */
export function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Runs with a target, and leaves it at the end. */
export async function withTarget<T>(options: TargetOptions, run: (target: Target) => Promise<T>): Promise<T> {
  const target = await openTarget(options);
  try {
    return await run(target);
  } finally {
    await target.close();
  }
}

/** Adds the commands that look at a cluster and change it. */
export function addClusterCommands(program: Command): void {
  aboutCluster(program.command('nodes').description('lists the nodes of the cluster')).action(
    async (options: ClusterOptions) => {
      const { result } = await withTarget(options, target =>
        target.call<{ result: readonly NodeReport[] }>('getNodes', { partial: 'allow' }),
      );
      new Output(options.json === true).table(result, {
        ID: node => node.id,
        ROLE: node => node.role,
        VERSION: node => node.version,
        UPTIME: node => durationText(node.uptimeMs),
        CPU: node => `${Math.round(node.cpu * 100)} %`,
        DELAY: node => `${node.loopDelayMs.toFixed(1)} ms`,
        MEMORY: node => bytesText(node.memoryBytes),
        CLIENTS: node => node.gate?.clients ?? node.handlers?.clients,
        LINK: node => (node.isLinkUp ? 'up' : 'down'),
        STATE: node => (node.isDraining ? 'draining' : ''),
      });
    },
  );

  aboutCluster(program.command('sessions').description('lists sessions, all or those of a group or uid'))
    .option('--group <group>', 'only sessions in this group')
    .option('--uid <uid>', 'only sessions of this uid')
    .option('--limit <n>', 'at most so many', positive, 100)
    .option('--cursor <cursor>', 'starts after this one')
    .action(async (options: ClusterOptions & { group?: string; uid?: string; limit: number; cursor?: string }) => {
      const { group, uid, limit, cursor } = options;
      const rows = await withTarget(options, async target => {
        if (uid !== undefined) return rowsOfUid(target, uid);
        const args = { groups: group, limit, cursor };
        const { result } = await target.call<{ result: Page<readonly ClientRow[]> }>('getClientPage', args);
        return result.items;
      });
      new Output(options.json === true).table(rows, {
        ID: row => row.clientId,
        UID: row => row.uid,
        NETWORK: row => row.network,
        ADDRESS: row => row.ip,
        SINCE: row => new Date(row.connectedAt).toISOString(),
        STATE: row => (row.isAway ? 'away' : 'online'),
      });
    });

  aboutCluster(
    program.command('who').description('shows a session in detail').argument('<id>', 'client id or uid'),
  ).action(async (id: string, options: ClusterOptions) => {
    const found = await withTarget(options, async target => {
      const { result } = await target.call<{ result: ClientDetail | null }>('getClient', { clientId: id });
      return result ? [result] : details(target, await idsOfUid(target, id));
    });
    if (found.length === 0)
      throw new GateError('SESSION_NOT_FOUND', `${id} is neither a client id nor a uid that is online`);
    const output = new Output(options.json === true);
    if (output.isJson) output.json(found);
    else for (const each of found) output.fields(each);
  });

  aboutCluster(program.command('groups').description('lists the groups with their numbers of clients')).action(
    async (options: ClusterOptions) => {
      const { result } = await withTarget(options, target =>
        target.call<{ result: Record<string, number> }>('getAllGroupClientIdCount', { partial: 'allow' }),
      );
      const rows = Object.entries(result).map(([group, clients]) => ({ group, clients }));
      rows.sort((one, other) => other.clients - one.clients);
      new Output(options.json === true).table(rows, { GROUP: row => row.group, CLIENTS: row => row.clients });
    },
  );

  aboutCluster(program.command('send').description('sends a message to clients'))
    .argument('<topic>', 'such as chat/said')
    .argument('[body]', 'JSON, or a text', parseBody)
    .option('--client <id...>', 'to these clients')
    .option('--uid <uid...>', 'to the clients of these uids')
    .option('--group <group...>', 'to the members of these groups')
    .option('--all', 'to all clients')
    .action(async (topic: string, body: unknown, options: ClusterOptions & Recipients) => {
      const [name, args] = recipientsOf(options);
      const outcome = await withTarget(options, target =>
        target.call<{ delivered: number }>(name, { ...args, topic, body, confirm: true }),
      );
      const output = new Output(options.json === true);
      if (output.isJson) output.json(outcome);
      else output.line(`delivered to ${outcome.delivered}`);
    });

  aboutCluster(program.command('kick').description('closes clients'))
    .argument('[ids...]', 'client ids')
    .option('--uid <uid>', 'the clients of this uid')
    .option('--now', 'drops what is queued for them')
    .action(async (ids: string[], options: ClusterOptions & { uid?: string; now?: boolean }) => {
      const closed = await withTarget(options, async target => {
        const all = options.uid === undefined ? ids : [...ids, ...(await idsOfUid(target, options.uid))];
        if (all.length === 0) throw new GateError('SESSION_NOT_FOUND', 'No client is named, or online');
        const name = options.now === true ? 'destroyClient' : 'closeClient';
        return (await target.call<{ result: number }>(name, { clientIds: all })).result;
      });
      const output = new Output(options.json === true);
      if (output.isJson) output.json({ closed });
      else output.line(`closed ${closed}`);
    });
}

interface Recipients {
  readonly client?: string[];
  readonly uid?: string[];
  readonly group?: string[];
  readonly all?: boolean;
}

function recipientsOf({ client, uid, group, all }: Recipients) {
  const given = [client, uid, group, all].filter(each => each !== undefined);
  if (given.length !== 1) throw new GateError('BAD_ARGUMENT', 'Say to whom: one of --client, --uid, --group and --all');
  if (client) return ['sendToClient', { clientIds: client }] as const;
  if (uid) return ['sendToUid', { uids: uid }] as const;
  if (group) return ['sendToGroup', { groups: group }] as const;
  return ['sendToAll', {}] as const;
}

async function idsOfUid(target: Target, uid: string): Promise<readonly string[]> {
  return (await target.call<{ result: readonly string[] }>('getClientIdByUid', { uid })).result;
}

async function details(target: Target, ids: readonly string[]): Promise<readonly ClientDetail[]> {
  const found = await Promise.all(
    ids.map(clientId => target.call<{ result: ClientDetail | null }>('getClient', { clientId })),
  );
  return found.flatMap(({ result }) => (result ? [result] : []));
}

async function rowsOfUid(target: Target, uid: string): Promise<readonly ClientRow[]> {
  return details(target, await idsOfUid(target, uid));
}

/** @throws {InvalidArgumentError} */
export function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It must be a positive integer.');
  return value;
}
