import { requestTo } from '../requests.mjs';

/**
 * What Nest's pipeline adds to a frame, as applications put it together: handlers of a worker that do nothing, with decorated
 * parameters, a guard and a `ValidationPipe`, from the dispatcher to the answer. The last cases are what validation takes by itself.
 */
const CLIENTS = 64;
const VALUE = { name: 'Ada Lovelace', count: 12, tags: ['one', 'two'] };

/**
 * @param {import('../target.mjs').Target} target
 * @returns {Promise<import('../target.mjs').MicroCase[]>}
 */
export async function cases(target) {
  const { method } = await import('../../peers/decorate.mjs');
  /** @type {typeof import('@nestjs/common')} */
  const nest = await target.load('node_modules/@nestjs/common/index.js');
  /** @type {typeof import('@nestjs/core')} */
  const { NestFactory } = await target.load('node_modules/@nestjs/core/index.js');
  /** @type {typeof import('@nestjs/microservices')} */
  const { Ctx, Payload } = await target.load('node_modules/@nestjs/microservices/index.js');
  /** @type {typeof import('class-validator')} */
  const { IsInt, IsString, validate } = await target.load('node_modules/class-validator/cjs/index.js');
  /** @type {typeof import('class-transformer')} */
  const { plainToInstance } = await target.load('node_modules/class-transformer/cjs/index.js');
  /** @type {typeof import('../../../libs/link/dist/index.js')} */
  const { LinkNode, MemoryBus } = await target.load('libs/link/dist/index.js');
  /** @type {typeof import('../../../libs/link/dist/internal.js')} */
  const { Pending, topicContract } = await target.loadInternal('link');
  /** @type {typeof import('../../../libs/worker/dist/index.js')} */
  const { ClientSession, GateTransport, OnTopic, WorkerModule } = await target.load('libs/worker/dist/index.js');
  /** @type {typeof import('../../../libs/protocol/dist/index.js')} */
  const { BodyKind } = await target.load('libs/protocol/dist/index.js');

  class Dto {}
  IsString()(Dto.prototype, 'name');
  IsInt()(Dto.prototype, 'count');
  IsString({ each: true })(Dto.prototype, 'tags');

  class Guard {
    canActivate() {
      return true;
    }
  }
  class AsyncGuard {
    async canActivate() {
      return true;
    }
  }
  const Own = nest.createParamDecorator(
    (_data, /** @type {import('@nestjs/common').ExecutionContext} */ context) =>
      context.switchToRpc().getContext().clientId,
  );
  const pipe = new nest.ValidationPipe({ transform: true, whitelist: true });
  const { UseGuards, UsePipes } = nest;
  const payload = Payload();
  const session = ClientSession();
  const context = Ctx();
  /** @type {Record<string, [decorators: MethodDecorator[], parameters: ParameterDecorator[]]>} */
  const combinations = {
    'a bare handler': [[], []],
    '@Payload': [[], [payload]],
    '@Payload, @ClientSession': [[], [payload, session]],
    '@Payload, @ClientSession, @Ctx': [[], [payload, session, context]],
    '@Payload, own decorator': [[], [payload, Own()]],
    '@Payload, guard': [[UseGuards(Guard)], [payload]],
    '@Payload, @ClientSession, guard': [[UseGuards(Guard)], [payload, session]],
    '@Payload, async guard': [[UseGuards(AsyncGuard)], [payload]],
    '@Payload, ValidationPipe on a DTO': [[UsePipes(pipe)], [payload]],
    '@Payload, @ClientSession, ValidationPipe': [[UsePipes(pipe)], [payload, session]],
    '@Payload, @ClientSession, guard, ValidationPipe': [
      [UseGuards(Guard), UsePipes(pipe)],
      [payload, session],
    ],
  };
  const names = Object.keys(combinations);
  class Topics {}
  nest.Controller()(Topics);
  for (const [index, [decorators, parameters]] of Object.values(combinations).entries()) {
    const key = `handle${index}`;
    Object.defineProperty(Topics.prototype, key, {
      value: (/** @type {unknown} */ body) => body,
      configurable: true,
      writable: true,
    });
    // As the compiler leaves them.
    Reflect.defineMetadata('design:paramtypes', [Dto, Object, Object], Topics.prototype, key);
    method(Topics, key, [...decorators, OnTopic(`bench/case${index}`)], parameters);
  }

  const bus = new MemoryBus();
  const self = /** @type {const} */ ({ id: 'g1', role: 'gate', epoch: 'e1', modules: [], draining: false });
  const gate = new LinkNode({ link: bus.link(), self });
  await gate.open();
  class BenchModule {}
  const module = {
    module: BenchModule,
    imports: [WorkerModule.forRoot({ link: bus.link(), nodeId: 'w1' })],
    controllers: [Topics],
  };
  const app = await NestFactory.create(module, { logger: ['error'] });
  app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
  await app.startAllMicroservices();
  await app.init();
  const peer = gate.peers.get('w1');
  if (!peer) throw new Error('The nodes do not see each other');
  const request = requestTo(gate, peer);

  let left = 0;
  let done = () => {};
  class Answer extends Pending {
    get result() {
      return topicContract.message.result;
    }

    succeed() {
      if (--left === 0) done();
    }

    /** @param {Error} error */
    fail(error) {
      throw error;
    }
  }

  const body = { kind: BodyKind.json, bytes: Buffer.from(JSON.stringify(VALUE)) };
  /** @param {string} topic */
  const framesOn = async topic => {
    const messages = Array.from({ length: CLIENTS }, (_, serial) => ({
      serial,
      topic,
      body,
      wantsResult: true,
      session: snapshotOf(serial),
    }));
    const ask = () =>
      new Promise(resolve => {
        left = CLIENTS;
        done = () => resolve(undefined);
        const deadline = performance.now() + 30_000;
        for (const message of messages) request(topicContract.message, message, new Answer(), deadline);
      });
    // The session travels once, and again only when it has changed.
    await ask();
    for (const message of messages) Object.assign(message, { session: undefined });
    return ask;
  };
  /** @param {string} name @param {() => Promise<unknown>} once @returns {import('../target.mjs').MicroCase} */
  const alone = (name, once) => ({
    name,
    operations: CLIENTS,
    run: () => Promise.all(Array.from({ length: CLIENTS }, once)),
  });
  /** @type {import('../target.mjs').MicroCase[]} */
  const found = [];
  for (const [index, name] of names.entries()) {
    found.push({ name, operations: CLIENTS, run: await framesOn(`bench/case${index}`) });
  }
  const type = /** @type {const} */ ('body');
  return [
    ...found,
    alone('alone: ValidationPipe', () => pipe.transform({ ...VALUE }, { type, metatype: Dto })),
    alone('alone: class-transformer and class-validator', () =>
      validate(plainToInstance(Dto, { ...VALUE }), { whitelist: true, forbidUnknownValues: false }),
    ),
  ];
}

/** @param {number} serial */
function snapshotOf(serial) {
  const sessionId = `g1.e1.${serial.toString(36)}`;
  const traceParent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const origin = { sessionId, serverId: 'g1', ip: '::1', network: 'ws', connectedAt: 5, traceParent };
  return { ...origin, userId: '', settings: {}, version: 1 };
}
