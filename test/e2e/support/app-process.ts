import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { FakeClient, type FakeClientOptions, waitUntil } from '@nestgate/testing';

/** The apps that run as processes. */
export type AppName = 'chat' | 'gate' | 'worker';

const mainOf = (app: AppName) => fileURLToPath(new URL(`../../../apps/${app}/dist/main.js`, import.meta.url));

/** How a process has ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A built app, the chat unless told otherwise, in a process of its own on a free port. */
export class AppProcess {
  /** What it has written to both outputs. */
  output = '';
  readonly exited: Promise<Exit>;
  private readonly clients: FakeClient[] = [];
  private isOver = false;

  private constructor(private readonly child: ChildProcess) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
    this.exited = new Promise(resolve => {
      child.once('close', (code, signal) => {
        this.isOver = true;
        resolve({ code, signal });
      });
    });
  }

  /** Spawns the app without waiting for it. */
  static spawn(env: NodeJS.ProcessEnv = {}, app: AppName = 'chat'): AppProcess {
    const { PATH } = process.env;
    return new AppProcess(
      spawn(process.execPath, [mainOf(app)], {
        env: { PATH, PORT: '0', LOG_LEVEL: 'error', ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
  }

  /** Spawns the app, and waits until it says where it can be reached. */
  static async start(env: NodeJS.ProcessEnv = {}, name: AppName = 'chat'): Promise<AppProcess> {
    const app = AppProcess.spawn(env, name);
    try {
      await waitUntil(
        'the app to start',
        () => {
          if (app.isOver) throw new Error(`The app ended before it had started:\n${app.output}`);
          return app.port > 0;
        },
        15_000,
      );
      return app;
    } catch (error) {
      await app.end();
      throw error;
    }
  }

  /** The port it has printed; 0 before that. */
  get port(): number {
    return Number(/:\/\/localhost:(\d+)\/(?:gate|health)/.exec(this.output)?.[1] ?? 0);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async connect(options: FakeClientOptions = {}): Promise<FakeClient> {
    const client = await FakeClient.connect(`ws://127.0.0.1:${this.port}/gate`, options);
    this.clients.push(client);
    return client;
  }

  /** The status of a GET; 0 when the connection is refused. */
  async status(path: string): Promise<number> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.port}${path}`, { headers: { connection: 'close' } });
      await response.arrayBuffer();
      return response.status;
    } catch {
      return 0;
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Waits for the process to end by itself. */
  async exitWithin(timeoutMs: number): Promise<Exit> {
    await waitUntil('the process to end by itself', () => this.isOver, timeoutMs);
    return this.exited;
  }

  /** Ends what a test has left: its clients and the process. */
  async end(): Promise<void> {
    for (const client of this.clients) client.socket.terminate();
    if (!this.isOver) this.child.kill('SIGKILL');
    await this.exited;
  }
}
