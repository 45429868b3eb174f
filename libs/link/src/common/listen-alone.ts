import cluster from 'node:cluster';
import type { Server } from 'node:net';

/**
 * Listens on a port that this process does not share. Workers of `node:cluster` share their ports unless told otherwise: each
 * connection would reach any of them, and nodes and clients find the wrong one. `what` names the listener in the error.
 *
 * Rejects with the system's error; where it is a port that another worker of the cluster has, its message names the remedy.
 */
export async function listenAlone(server: Server, port: number, host: string | undefined, what: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      if (cluster.isWorker && error.code === 'EADDRINUSE') {
        error.message += `: ${what} needs a port of its own in each process of node:cluster or PM2; run one process, or give each another port`;
      }
      reject(error);
    };
    server.once('error', fail);
    server.listen({ port, host, exclusive: true }, () => {
      server.off('error', fail);
      resolve();
    });
  });
}
