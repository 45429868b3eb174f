import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/**
 * The network between a client and its server. It takes as long as it is told, can cut connections, and can lose them without a word.
 */
export class Relay {
  /**
   * @param {number} target port of the server
   * @param {number} delayMs how long bytes are under way, in each direction
   */
  constructor(target, delayMs) {
    /** @private @readonly @type {Set<readonly [import('node:net').Socket, import('node:net').Socket]>} */
    this.pairs = new Set();
    /** @private @readonly */
    this.server = createServer(client => {
      const server = connect(target, '127.0.0.1');
      const pair = /** @type {const} */ ([client, server]);
      this.pairs.add(pair);
      for (const [from, to] of [pair, /** @type {const} */ ([server, client])]) {
        from.setNoDelay(true);
        from.on('data', data => {
          if (delayMs === 0) to.write(data);
          else setTimeout(() => to.write(data), delayMs);
        });
        from.on('error', () => undefined);
        from.on('close', () => {
          // What was lost without a word stays lost: the other end is not told either.
          if (this.pairs.delete(pair)) setTimeout(() => to.destroy(), delayMs);
        });
      }
    });
    /** @private @readonly @type {Set<import('node:net').Socket>} */
    this.lost = new Set();
  }

  /** @returns {Promise<number>} the port for clients */
  async start() {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return /** @type {import('node:net').AddressInfo} */ (this.server.address()).port;
  }

  /** Resets all connections; new ones work. */
  cut() {
    for (const [client, server] of this.pairs) {
      client.resetAndDestroy();
      server.destroy();
    }
  }

  /** From now on nothing comes through on the connections that there are, and neither end is told. New ones work. */
  lose() {
    for (const pair of this.pairs) {
      this.pairs.delete(pair);
      for (const socket of pair) {
        this.lost.add(socket);
        socket.removeAllListeners('data').resume();
      }
    }
  }

  end() {
    this.cut();
    for (const socket of this.lost) socket.destroy();
    this.server.close();
  }
}
