import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { connect, type GateClient, GateError } from '@nestgate/client';
import { logText } from '@nestgate/protocol';
import { WebSocket } from 'ws';
import { Output, parseDuration } from '../output.js';
import { parseBody } from './cluster.js';
import { topicsOf } from './contract.js';

interface ConnectOptions {
  readonly token?: string;
  readonly resume: boolean;
  readonly cutEvery?: number;
  readonly contract?: string;
  readonly origin?: string;
  readonly json?: boolean;
}

const HELP = `  topic {"body":1}    a request; its reply is shown
  !topic {"body":1}   a message without a reply
  .state  .help  .exit`;

/** Adds `connect`, which talks to a gate. */
export function addConnectCommand(program: Command): void {
  program
    .command('connect')
    .description('talks to a gate: requests, messages, and the pushes that come')
    .argument('<url>', 'WebSocket URL of a gate, such as ws://127.0.0.1:3000/gate')
    .option('--token <token>', 'token of the client')
    .option('--no-resume', 'asks for no session that outlives its connection')
    .option('--cut-every <duration>', 'cuts the connection so often, to see what a client sees', parseDuration)
    .option('--contract <file>', 'AsyncAPI document, whose topics are completed')
    .option('--origin <origin>', 'sends this Origin, as a page would')
    .option('--json', 'writes each event as a line of JSON')
    .action((url: string, options: ConnectOptions) => converse(url, options));
}

async function converse(url: string, options: ConnectOptions): Promise<void> {
  const { token, origin, cutEvery } = options;
  const output = new Output(options.json === true);
  const sockets = new Set<WebSocket>();
  class Socket extends WebSocket {
    constructor(...args: ConstructorParameters<typeof WebSocket>) {
      super(...args);
      sockets.add(this);
      this.once('close', () => sockets.delete(this));
      // A client library listens to the topics that it knows; here all of them are shown.
      this.on('message', data => showPush(output, (data as Buffer).toString()));
    }
  }
  const gate = connect(url, {
    WebSocket: Socket,
    resume: options.resume,
    ...(token !== undefined && { token: () => token }),
    ...(origin !== undefined && { socketOptions: { headers: { Origin: origin } } }),
  });
  gate.on('state', state => note(output, 'state', state.name, state));
  gate.on('session', event => note(output, 'session', `${event.clientId} (${event.why})`, event));
  gate.on('gap', event => note(output, 'gap', `${event.n ?? 'unknown'} pushes are missing: ${event.why}`, event));
  gate.on('error', error => note(output, 'error', error.message, { message: error.message }));
  const cutter =
    cutEvery === undefined ? undefined : setInterval(() => sockets.forEach(socket => socket.terminate()), cutEvery);
  try {
    await readLines(gate, output, options.contract === undefined ? [] : topicsOf(options.contract));
  } finally {
    clearInterval(cutter);
    gate.close();
  }
  if (gate.state.name === 'ended') process.exitCode = 1;
}

/** Reads commands until the input ends, or the gate does. Waits for the replies that are still to come. */
async function readLines(gate: GateClient, output: Output, topics: readonly string[]): Promise<void> {
  const pending = new Set<Promise<void>>();
  const lines = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: process.stdin.isTTY,
    historySize: 500,
    completer: (line: string) => [topics.filter(topic => topic.startsWith(line.replace(/^!/, ''))), line],
  });
  const off = gate.on('state', ({ name }) => name === 'ended' && lines.close());
  if (process.stdin.isTTY) output.line(HELP);
  for await (const line of lines) {
    const [, isMessage, topic = '', text = ''] = /^\s*(!?)\s*(\S*)\s*([^]*?)\s*$/.exec(line) ?? [];
    if (topic === '') continue;
    if (topic === '.exit') break;
    if (topic === '.help') output.line(HELP);
    else if (topic === '.state') output.fields({ ...gate.state, session: gate.session, clientId: gate.clientId });
    else if (isMessage === '!') attempt(output, () => gate.send(topic, bodyOf(text)));
    else {
      const asked = ask(gate, output, topic, bodyOf(text)).finally(() => pending.delete(asked));
      pending.add(asked);
    }
  }
  off();
  await Promise.all(pending);
}

function bodyOf(text: string): unknown {
  return text === '' ? undefined : parseBody(text);
}

function attempt(output: Output, send: () => unknown): void {
  try {
    send();
  } catch (error) {
    note(output, 'error', String(error), { message: String(error) });
  }
}

async function ask(gate: GateClient, output: Output, topic: string, body: unknown): Promise<void> {
  const start = performance.now();
  try {
    const reply = await gate.request(topic, body);
    const ms = Math.round(performance.now() - start);
    if (output.isJson) output.json({ event: 'reply', topic, body: reply, ms });
    else
      output.line(`${output.good('<')} ${topic} ${logText(JSON.stringify(reply) ?? '')} ${output.faint(`${ms} ms`)}`);
  } catch (error) {
    const { code, message } = error instanceof GateError ? error : { code: 'INTERNAL', message: String(error) };
    if (output.isJson) output.json({ event: 'error', topic, code, message });
    else output.line(`${output.bad('<')} ${topic} ${code}: ${logText(message)}`);
  }
}

function showPush(output: Output, text: string): void {
  let frame: { readonly topic?: unknown; readonly body?: unknown };
  try {
    frame = JSON.parse(text) as typeof frame;
  } catch {
    return;
  }
  const { topic, body } = frame;
  if (typeof topic !== 'string' || topic.startsWith('$')) return;
  if (output.isJson) output.json({ event: 'push', topic, body });
  else output.line(`${output.good('*')} ${logText(topic)} ${logText(JSON.stringify(body) ?? '')}`);
}

function note(output: Output, event: string, text: string, details: object): void {
  if (output.isJson) output.json({ event, ...details });
  else output.line(output.faint(`- ${event}: ${logText(text)}`));
}
