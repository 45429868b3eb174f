import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { freePort } from './free-port.js';
import { waitUntil } from './wait-until.js';

/** A `nats-server` of a test's own, on a free port of this machine. */
export class NatsProcess {
  private child: ChildProcess | undefined;
  private readonly kill = (): void => void this.child?.kill('SIGKILL');

  private constructor(readonly port: number) {
    process.on('exit', this.kill);
  }

  /**
   * Starts a server, and waits until it answers. The program is the one that the variable `NATS_SERVER` names, or else the
   * one on PATH.
   */
  static async start(): Promise<NatsProcess> {
    const server = new NatsProcess(await freePort());
    await server.launch();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** Hangs the server: it takes what is sent, and does nothing with it. */
  suspend(): void {
    this.child?.kill('SIGSTOP');
  }

  resume(): void {
    this.child?.kill('SIGCONT');
  }

  /** Kills the server. */
  async crash(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** Starts the server again, on the same port. */
  async launch(): Promise<void> {
    const program = process.env['NATS_SERVER'] ?? 'nats-server';
    const child = spawn(program, ['-a', '127.0.0.1', '-p', String(this.port)], { stdio: 'ignore' });
    this.child = child;
    let failure: Error | undefined;
    child.once('error', error => (failure = error));
    await waitUntil('nats-server to answer', () => {
      if (failure) throw failure;
      if (child.exitCode !== null) throw new Error(`nats-server ended with ${child.exitCode}`);
      return greets(this.port);
    });
  }

  /** Ends the server. */
  async end(): Promise<void> {
    process.off('exit', this.kill);
    await this.crash();
  }
}

/** Whether a server says hello on this port: NATS does so first. */
function greets(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('data', () => socket.destroy());
  });
}
