import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { waitUntil } from '../wait-until.js';

/** What a {@link ServerProcess} runs. */
export interface ServerCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd?: string;
}

/** A server of a test's own, in a process of its own. It ends with the test's process at the latest. */
export abstract class ServerProcess {
  private child: ChildProcess | undefined;
  private readonly kill = (): void => void this.child?.kill('SIGKILL');

  protected constructor(readonly port: number) {
    process.on('exit', this.kill);
  }

  /** Hangs the server: it takes what is sent, and does nothing with it. */
  suspend(): void {
    this.child?.kill('SIGSTOP');
  }

  resume(): void {
    this.child?.kill('SIGCONT');
  }

  /** Sends the server a signal, and does not wait for what comes of it. */
  signal(signal: NodeJS.Signals): void {
    this.child?.kill(signal);
  }

  /** Kills the server with all it has. */
  crash(): Promise<void> {
    return this.endWith('SIGKILL');
  }

  /** Tells the server to end in order, and waits until it has. */
  shutDown(): Promise<void> {
    return this.endWith('SIGTERM');
  }

  /** Starts the server again, empty, on the same port. */
  async restart(): Promise<void> {
    await this.crash();
    await this.launch();
  }

  /** Ends what the test has started. */
  async end(): Promise<void> {
    process.off('exit', this.kill);
    await this.crash();
  }

  /** Starts the server, and waits until it answers. */
  protected async launch(): Promise<void> {
    const { program, args, cwd } = this.command();
    const child = spawn(program, args, { cwd, stdio: 'ignore' });
    this.child = child;
    let failure: Error | undefined;
    child.on('error', error => (failure = error));
    await waitUntil(`${program} to answer`, () => {
      if (failure) throw failure;
      if (child.exitCode !== null) throw new Error(`${program} has ended with ${child.exitCode}`);
      return this.answers();
    });
  }

  private async endWith(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  protected abstract command(): ServerCommand;
  /** Whether the server can be used. */
  protected abstract answers(): Promise<boolean>;
}
