/** A gate with resumable sessions, and a handler that pushes to who asks for it. */
import 'reflect-metadata';
import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { createTestCluster } from '@nestgate/testing';
import { ClientSession, GatewayApi, OnTopic } from '@nestgate/worker';
import { constructed, method } from '../../peers/decorate.mjs';
import { paced } from './paced.mjs';

class BenchTopics {
  /** @param {GatewayApi} gateway */
  constructor(gateway) {
    /** @private @readonly */
    this.gateway = gateway;
  }

  /** @param {number} count @param {{ clientId: string }} session */
  push(count, { clientId }) {
    paced(count, bodies => {
      for (const body of bodies) void this.gateway.sendToClient(clientId, 'room/said', body).catch(() => undefined);
    });
  }
}
Controller()(BenchTopics);
Reflect.defineMetadata('design:paramtypes', [GatewayApi], BenchTopics);
constructed(BenchTopics, []);
method(BenchTopics, 'push', [OnTopic('room/push')], [Payload(), ClientSession()]);

const cluster = await createTestCluster({
  handlers: { controllers: [BenchTopics] },
  gate: { resume: {}, maxConnectionsPerIp: 0, maxConnectionRate: 0 },
});
process.stdout.write(`listening on ${cluster.gate.port} ${new URL(cluster.gate.url).pathname}\n`);
