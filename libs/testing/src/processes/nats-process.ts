import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import { type ServerCommand, ServerProcess } from './server-process.js';

/** What a {@link NatsProcess} runs with. */
export interface NatsProcessOptions {
  /** The text of its configuration. It needs no address: that is given apart from it. */
  readonly config?: string | undefined;
}

/** A `nats-server` of a test's own, on a free port of this machine. */
export class NatsProcess extends ServerProcess {
  private readonly dir = mkdtempSync(join(tmpdir(), 'nestgate-nats-'));

  private constructor(port: number, config: string) {
    super(port);
    writeFileSync(this.configFile, config);
  }

  /**
   * Starts a server, and waits until it answers. The program is the one that the variable `NATS_SERVER` names, or else the
   * one on PATH.
   */
  static async start(options: NatsProcessOptions = {}): Promise<NatsProcess> {
    const server = NatsProcess.prepare(await freePort(), options);
    try {
      await server.launch();
      return server;
    } catch (error) {
      await server.end();
      throw error;
    }
  }

  /** A server that is not there yet, until `restart` is called. */
  static prepare(port: number, { config = '' }: NatsProcessOptions = {}): NatsProcess {
    return new NatsProcess(port, config);
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** Has the server that runs take another configuration. */
  reload(config: string): void {
    writeFileSync(this.configFile, config);
    process.kill(Number(readFileSync(this.pidFile, 'utf8')), 'SIGHUP');
  }

  /** Has the server send its clients away, to the others of its cluster, before it ends. */
  lameDuck(): void {
    process.kill(Number(readFileSync(this.pidFile, 'utf8')), 'SIGUSR2');
  }

  override async end(): Promise<void> {
    await super.end();
    rmSync(this.dir, { recursive: true, force: true });
  }

  protected override command(): ServerCommand {
    const args = ['-a', '127.0.0.1', '-p', String(this.port), '-c', this.configFile, '-P', this.pidFile];
    return { program: process.env['NATS_SERVER'] ?? 'nats-server', args };
  }

  /** NATS speaks first. */
  protected override async answers(): Promise<boolean> {
    const socket = connect(this.port, '127.0.0.1');
    try {
      await once(socket, 'data');
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }

  private get configFile(): string {
    return join(this.dir, 'nats.conf');
  }

  private get pidFile(): string {
    return join(this.dir, 'nats.pid');
  }
}
