import type { Command } from 'commander';
import type { NodeReport } from '@nestgate/worker';
import { GateError } from '@nestgate/protocol';
import { isConfirmed } from '../confirm.js';
import { Output } from '../output.js';
import type { Target } from '../target.js';
import { aboutCluster, type ClusterOptions, positive, withTarget } from './cluster.js';

const POLL_MS = 1_000;

/** Adds the commands that take clients from gates. */
export function addGateCommands(program: Command): void {
  aboutCluster(program.command('drain').description('has a gate close its clients by and by, and refuse new ones'))
    .argument('<gate>', 'id of the gate')
    .option('--per-second <n>', 'clients that are closed in a second', positive, 500)
    .option('--no-wait', 'does not wait until they are gone')
    .option('--yes', 'does not ask')
    .action(async (gate: string, options: ClusterOptions & { perSecond: number; wait: boolean; yes?: boolean }) => {
      if (!(await isConfirmed(`Close all clients of ${gate}, and accept no new ones?`, options.yes))) return;
      const output = new Output(options.json === true);
      await withTarget(options, async target => {
        const { result } = await target.call<{ result: boolean }>('drainGate', { gate, perSecond: options.perSecond });
        if (!result) throw new GateError('BAD_ARGUMENT', `There is no gate with the id ${gate}`);
        for (let left = Infinity; options.wait && left > 0;) {
          left = await clientsLeft(target, gate);
          if (output.isJson) output.json({ gate, left });
          else output.line(`${left} left`);
          if (left > 0) await new Promise(resolve => setTimeout(resolve, POLL_MS));
        }
      });
    });

  aboutCluster(program.command('rebalance').description('has gates ask resumable clients to go on on another one'))
    .argument('[gate]', 'id of one gate; without it those with more clients than the average')
    .option('--clients <n>', 'how many clients of that gate', positive)
    .option('--per-second <n>', 'clients that a gate asks in a second', positive, 100)
    .option('--yes', 'does not ask')
    .action(async (gate: string | undefined, options: RebalanceOptions) => {
      const { clients, perSecond, yes } = options;
      if ((gate === undefined) !== (clients === undefined))
        throw new GateError('BAD_ARGUMENT', 'A gate and --clients belong together');
      const whose = gate === undefined ? 'clients of the fullest gates' : `${clients} clients of ${gate}`;
      if (!(await isConfirmed(`Ask ${whose} to go on on another gate?`, yes))) return;
      const asked = await withTarget(options, target => rebalance(target, gate, clients, perSecond));
      const output = new Output(options.json === true);
      if (output.isJson) output.json(asked);
      else if (Object.keys(asked).length === 0) output.line('the gates have equal shares');
      else for (const [id, count] of Object.entries(asked)) output.line(`${id} asks ${count}`);
    });
}

interface RebalanceOptions extends ClusterOptions {
  readonly clients?: number;
  readonly perSecond: number;
  readonly yes?: boolean;
}

/** How many clients each gate will ask, by its id. */
async function rebalance(
  target: Target,
  gate: string | undefined,
  clients: number | undefined,
  perSecond: number,
): Promise<Readonly<Record<string, number>>> {
  if (gate === undefined)
    return (await target.call<{ result: Record<string, number> }>('rebalanceGates', { perSecond })).result;
  const { result } = await target.call<{ result: number | null }>('moveClients', { gate, clients, perSecond });
  if (result === null) throw new GateError('BAD_ARGUMENT', `There is no gate with the id ${gate}`);
  return { [gate]: result };
}

async function clientsLeft(target: Target, gate: string): Promise<number> {
  const { result } = await target.call<{ result: readonly NodeReport[] }>('getNodes', { partial: 'allow' });
  return result.find(({ id }) => id === gate)?.gate?.clients ?? 0;
}
