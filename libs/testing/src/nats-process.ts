import { once } from 'node:events';
import { connect } from 'node:net';
import { freePort } from './free-port.js';
import { type ServerCommand, ServerProcess } from './server-process.js';

/** A `nats-server` of a test's own, on a free port of this machine. */
export class NatsProcess extends ServerProcess {
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

  protected override command(): ServerCommand {
    const args = ['-a', '127.0.0.1', '-p', String(this.port)];
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
}
