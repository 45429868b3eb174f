import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { waitUntil } from '@nestgate/testing';
import type { OutsideProject } from './outside-project.js';

/** An app of a project, in a process of its own. */
export class OutsideApp {
  output = '';

  private constructor(
    private readonly child: ChildProcess,
    private readonly ended: Promise<number | NodeJS.Signals>,
  ) {
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text: string) => (this.output += text));
  }

  /** Starts a file with Node, and waits until it has said `listening on PORT`. */
  static async start(
    project: OutsideProject,
    folder: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
  ): Promise<OutsideApp> {
    const child = project.spawn(process.execPath, args, { cwd: join(project.root, folder), env });
    let outcome: number | NodeJS.Signals | undefined;
    const ended = new Promise<number | NodeJS.Signals>(done => {
      child.on('close', (code, signal) => done((outcome = signal ?? code ?? 0)));
    });
    const app = new OutsideApp(child, ended);
    await waitUntil(
      `${args.join(' ')} to listen`,
      () => {
        if (outcome !== undefined) throw new Error(`It ended with ${outcome}:\n${app.output}`);
        return app.listening;
      },
      60_000,
    );
    return app;
  }

  /** The port of its HTTP server. */
  get port(): number {
    return Number(this.listening?.[1]);
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/gate`;
  }

  /** Ends it in order, and resolves with its exit code, or with the signal: Nest's shutdown hooks end the process by that. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals> {
    this.child.kill(signal);
    return this.ended;
  }

  private get listening(): RegExpExecArray | null {
    return /listening on (\d+)/.exec(this.output);
  }
}
