import { Command, CommanderError } from 'commander';
import { logText } from '@nestgate/protocol';
import { addBenchCommand } from './commands/bench.js';
import { addClusterCommands } from './commands/cluster.js';
import { addConnectCommand } from './commands/connect.js';
import { addContractCommand } from './commands/contract.js';
import { addDoctorCommand } from './commands/doctor.js';
import { addGateCommands } from './commands/gates.js';
import { addTapCommand } from './commands/tap.js';
import { addTokenCommands } from './commands/token.js';

const EXAMPLES = `
Examples:
  nestgate connect ws://127.0.0.1:3000/gate        talks to a gate: "chat/say {"text":"hi"}" is a request
  nestgate nodes --link tcp://127.0.0.1:7400       lists gates and workers
  nestgate sessions --group room --json            for programs
  nestgate send --uid ann news/new '{"n":1}'       pushes to a user
  nestgate tap 1AbC.7 --topic chat                 shows what a session sends and receives
  nestgate tap --topic chat/say                    shows what all sessions send and receive on a topic
  nestgate drain gate-1                            closes the clients of a gate by and by
  nestgate rebalance --per-second 50               moves resumable clients to gates that have fewer
  nestgate bench ws://127.0.0.1:3000/gate --topic echo/echo --rate 1000
  nestgate doctor --link tcp://127.0.0.1:7400      finds out what is wrong

NESTGATE_URL and NESTGATE_KEY, or NESTGATE_LINK and NESTGATE_SECRET, say where the cluster is.
Exit codes: 0 done, 1 failed, 2 wrong usage.`;

/** All commands. */
export function createProgram(): Command {
  const program = new Command('nestgate')
    .description('The command line of nestgate.')
    .version('0.1.0')
    .showHelpAfterError('(nestgate --help shows the commands)')
    .addHelpText('after', EXAMPLES);
  addConnectCommand(program);
  addClusterCommands(program);
  addGateCommands(program);
  addTapCommand(program);
  addBenchCommand(program);
  addDoctorCommand(program);
  addContractCommand(program);
  addTokenCommands(program);
  for (const command of [program, ...program.commands]) command.exitOverride();
  return program;
}

/** Runs a command line. Resolves with the exit code. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync([...args], { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // Commander has written what was wrong, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
    process.stderr.write(`nestgate: ${typeof code === 'string' ? `${code}: ` : ''}${logText(String(message))}\n`);
    return code === 'BAD_ARGUMENT' ? 2 : 1;
  }
}
