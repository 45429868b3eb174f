/** The worker of the Nest gateway: a Nest microservice on the NATS transporter. */
import 'reflect-metadata';
import { Controller, Inject, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientsModule, EventPattern, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { constructed, method } from './decorate.mjs';

const GATEWAYS = 'GATEWAYS';
const servers = [process.env.NATS_URL ?? 'nats://127.0.0.1:4222'];

class EchoController {
  /** @param {import('@nestjs/microservices').ClientProxy} gateways */
  constructor(gateways) {
    /** @private @readonly */
    this.gateways = gateways;
  }

  /** @param {unknown} body */
  echo(body) {
    return body;
  }

  /** @param {unknown} push */
  out(push) {
    this.gateways.emit('fan.msg', push);
  }
}
constructed(EchoController, [Inject(GATEWAYS)]);
method(EchoController, 'echo', [MessagePattern('echo.echo')], [Payload()]);
method(EchoController, 'out', [EventPattern('fan.out')], [Payload()]);
Controller()(EchoController);

class WorkerModule {}
Module({
  imports: [ClientsModule.register([{ name: GATEWAYS, transport: Transport.NATS, options: { servers } }])],
  controllers: [EchoController],
})(WorkerModule);

const worker = await NestFactory.createMicroservice(WorkerModule, {
  transport: Transport.NATS,
  options: { servers },
  logger: ['error'],
});
await worker.listen();
process.stdout.write('worker started\n');
