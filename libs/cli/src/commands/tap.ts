import type { Command } from 'commander';
import { GateError, logText } from '@nestgate/protocol';
import type { TapAnswer, TapFrame } from '@nestgate/worker';
import { Output, parseDuration } from '../output.js';
import { aboutCluster, type ClusterOptions, withTarget } from './cluster.js';

const POLL_MS = 500;
/** Characters of a line: more than a gate shows of a frame. */
const MAX_LINE = 2_048;

interface TapOptions extends ClusterOptions {
  readonly topic?: string;
  readonly for: number;
}

/** Adds `tap`, which shows what a session sends and receives. */
export function addTapCommand(program: Command): void {
  aboutCluster(
    program
      .command('tap')
      .description('shows what a session, or all on a topic, send and receive, for a minute at most'),
  )
    .argument('[client]', 'client id; without it all sessions, on the topic')
    .option('--topic <topic>', 'only frames of this topic, or of this module')
    .option('--for <duration>', 'ends after this time', parseDuration, 60_000)
    .action(async (clientId: string | undefined, options: TapOptions) => {
      const { topic } = options;
      if (clientId === undefined && topic === undefined)
        throw new GateError('BAD_ARGUMENT', 'Say what is tapped: a client, or --topic');
      const output = new Output(options.json === true);
      await withTarget(options, async target => {
        const ask = async (args: object): Promise<TapAnswer> => {
          const call =
            clientId === undefined ? (['tapTopic', { topic }] as const) : (['tapClient', { clientId }] as const);
          return (await target.call<{ result: TapAnswer }>(call[0], { ...call[1], ...args })).result;
        };
        let answer = await ask({ topic });
        const until = performance.now() + options.for;
        let skipped = 0;
        if (!output.isJson) output.line(output.faint(`taps ${logText(clientId ?? `all sessions on ${topic}`)}`));
        while (!answer.isOver && performance.now() < until) {
          await new Promise(resolve => setTimeout(resolve, Math.min(POLL_MS, Math.max(0, until - performance.now()))));
          answer = await ask({ cursor: answer.cursor });
          for (const frame of answer.frames) show(output, frame);
          if (answer.skipped > skipped && !output.isJson) {
            output.line(output.bad(`${answer.skipped - skipped} frames more were not recorded`));
          }
          skipped = Math.max(skipped, answer.skipped);
        }
        if (answer.isOver && !output.isJson) output.line(output.faint('over'));
      });
    });
}

/** A line for each frame. Text of clients must not drive the terminal. */
function show(output: Output, frame: TapFrame): void {
  if (output.isJson) return output.json(frame);
  const { at, way, kind, topic = '', id, body = '', isCut, code = '', clientId = '' } = frame;
  const parts = [
    new Date(at).toISOString().slice(11, 23),
    way === 'in' ? '→' : '←',
    kind,
    topic,
    id || '',
    code,
    body,
    clientId,
  ];
  output.line(logText(parts.filter(part => part !== '').join(' '), MAX_LINE) + (isCut === true ? '…' : ''));
}
