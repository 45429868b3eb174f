import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import { waitUntil } from './wait-until.js';

/** How often a port is looked for: another process may take a free one before Redis does. */
const ATTEMPTS = 5;

/** A `redis-server` of a test's own, on a free port of this machine. It keeps no data on disk. */
export class RedisProcess {
  private child: ChildProcess | undefined;
  /** A server of a cluster writes down who it is. */
  private readonly directory = mkdtempSync(join(tmpdir(), 'nestgate-redis-'));
  private readonly kill = (): void => void this.child?.kill('SIGKILL');

  private constructor(
    readonly port: number,
    private readonly args: readonly string[],
  ) {
    process.on('exit', this.kill);
  }

  /**
   * Starts a server, and waits until it answers. `args` are further arguments of `redis-server`. The program is the one
   * that the variable `REDIS_SERVER` names, or else the one on PATH.
   */
  static async start(args: readonly string[] = []): Promise<RedisProcess> {
    for (let attempt = 1; ; attempt++) {
      const server = new RedisProcess(await freePort(), args);
      try {
        await server.launch();
        return server;
      } catch (error) {
        await server.end();
        if (attempt === ATTEMPTS) throw error;
      }
    }
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Hangs the server: it takes connections and commands, and answers nothing. */
  suspend(): void {
    this.child?.kill('SIGSTOP');
  }

  resume(): void {
    this.child?.kill('SIGCONT');
  }

  /** Kills the server with all it has. */
  async crash(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
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
    rmSync(this.directory, { recursive: true, force: true });
  }

  private async launch(): Promise<void> {
    const always = ['--bind', '127.0.0.1', '--port', String(this.port), '--save', '', '--appendonly', 'no'];
    const child = spawn(process.env['REDIS_SERVER'] ?? 'redis-server', [...always, ...this.args], {
      cwd: this.directory,
      stdio: 'ignore',
    });
    this.child = child;
    let failure: Error | undefined;
    child.on('error', error => (failure = error));
    await waitUntil('redis-server to answer', async () => {
      if (failure) throw failure;
      if (child.exitCode !== null) throw new Error(`redis-server has ended with ${child.exitCode}`);
      return answersPing(this.port);
    });
  }
}

async function answersPing(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.write('PING\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    return answer.toString().startsWith('+PONG');
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
