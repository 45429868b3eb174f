import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import { type ServerCommand, ServerProcess } from './server-process.js';

/** How often a port is looked for: another process may take a free one before Redis does. */
const ATTEMPTS = 5;

/** A `redis-server` of a test's own, on a free port of this machine. It keeps no data on disk. */
export class RedisProcess extends ServerProcess {
  /** A server of a cluster writes down who it is. */
  private readonly directory = mkdtempSync(join(tmpdir(), 'nestgate-redis-'));
  private constructor(
    port: number,
    private readonly args: readonly string[],
  ) {
    super(port);
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

  override async end(): Promise<void> {
    await super.end();
    rmSync(this.directory, { recursive: true, force: true });
  }

  protected override command(): ServerCommand {
    const always = ['--bind', '127.0.0.1', '--port', String(this.port), '--save', '', '--appendonly', 'no'];
    const program = process.env['REDIS_SERVER'] ?? 'redis-server';
    return { program, args: [...always, ...this.args], cwd: this.directory };
  }

  protected override answers(): Promise<boolean> {
    return answersPing(this.port);
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
