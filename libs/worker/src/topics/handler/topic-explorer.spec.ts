import { describe, expect, it } from '@jest/globals';
import { Controller, Injectable, type ModuleMetadata } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { OnPresence } from '../../presence/on-presence.decorator.js';
import { OnConnect } from '../client-events.js';
import { OnTopic } from '../on-topic.decorator.js';
import { TopicExplorer } from './topic-explorer.js';

class Base {
  @OnTopic('base/inherited')
  inherited(): void {}
}

@Controller()
class First extends Base {
  @OnTopic('first/json', { concurrent: true })
  json(@Payload() _body: object): void {}

  @OnTopic('first/bytes')
  bytes(_context: string, @Payload() _body: Buffer): void {}

  @OnTopic('first/parsed', { payload: 'json' })
  parsed(_body: Uint8Array): void {}

  @MessagePattern('other')
  ofAnotherTransport(): void {}

  get accessor(): never {
    throw new Error('Exploring must not call getters');
  }

  plain(): void {}
}

@Controller()
class Second {
  @OnTopic('second')
  handle(): void {}
}

@Controller()
class Rival {
  @OnTopic('second')
  too(): void {}
}

@Controller()
class Heir extends Base {}

@Injectable()
class Stray {
  @OnTopic('stray/topic')
  handle(): void {}
}

async function explore(metadata: ModuleMetadata) {
  const module = await Test.createTestingModule({
    ...metadata,
    imports: [DiscoveryModule, ...(metadata.imports ?? [])],
    providers: [TopicExplorer, ...(metadata.providers ?? [])],
  }).compile();
  return module.get(TopicExplorer).explore();
}

describe('TopicExplorer', () => {
  it('finds the handlers of all controllers, inherited ones too', async () => {
    const found = await explore({ controllers: [First, Second] });
    expect(found.map(({ name, metadata }) => ({ name, ...metadata }))).toEqual(
      expect.arrayContaining([
        { name: 'First.json', topic: 'first/json', payload: 'json', concurrent: true },
        { name: 'First.bytes', topic: 'first/bytes', payload: 'raw' },
        { name: 'First.parsed', topic: 'first/parsed', payload: 'json' },
        { name: 'First.inherited', topic: 'base/inherited', payload: 'json' },
        { name: 'Second.handle', topic: 'second', payload: 'json' },
      ]),
    );
    expect(found).toHaveLength(5);
  });

  it('finds nothing where there is nothing', async () => {
    const providers = [
      { provide: 'value', useValue: null },
      { provide: 'factory', useFactory: () => ({}) },
      { provide: 'class', useClass: class Plain {} },
    ];
    expect(await explore({ providers })).toEqual([]);
  });

  it.each([
    { controllers: [Second, Rival], topic: 'second', one: 'Second.handle', other: 'Rival.too' },
    { controllers: [First, Heir], topic: 'base/inherited', one: 'First.inherited', other: 'Heir.inherited' },
  ])('names two handlers of $topic', async ({ controllers, topic, one, other }) => {
    await expect(explore({ controllers })).rejects.toThrow(
      `The topic '${topic}' has two handlers: ${one} and ${other}`,
    );
  });

  it('finds all topics of a method', async () => {
    @Controller()
    class Several {
      @OnTopic('several/a')
      @OnTopic('several/b', { concurrent: true })
      @OnTopic('several/c', { payload: 'raw' })
      handle(): void {}
    }
    const found = await explore({ controllers: [Several] });
    expect(found.map(({ name, metadata }) => [name, metadata])).toEqual([
      ['Several.handle', { topic: 'several/c', payload: 'raw' }],
      ['Several.handle', { topic: 'several/b', payload: 'json', concurrent: true }],
      ['Several.handle', { topic: 'several/a', payload: 'json' }],
    ]);
  });

  it.each<[string, MethodDecorator[], string]>([
    ['one topic twice', [OnTopic('a/b'), OnTopic('a/b')], "Class.method handles 'a/b' twice"],
    ['a topic and @OnConnect', [OnTopic('a/b'), OnConnect()], "the messages of 'a/b' and the events of '$connect'"],
    ['@OnConnect and a topic', [OnConnect(), OnTopic('a/b')], "the messages of 'a/b' and the events of '$connect'"],
    ['a topic and @OnPresence', [OnPresence('online'), OnTopic('a/b')], "and the events of '$presence/online'"],
    [
      'a topic over @MessagePattern',
      [MessagePattern('m') as MethodDecorator, OnTopic('a/b')],
      'has @MessagePattern or',
    ],
    ['an event over @EventPattern', [EventPattern('m') as MethodDecorator, OnConnect()], 'has @MessagePattern or'],
  ])('refuses %s where it is written', (_what, decorators, message) => {
    class Class {
      method(): void {}
    }
    const descriptor = Object.getOwnPropertyDescriptor(Class.prototype, 'method') as PropertyDescriptor;
    const decorate = () => decorators.forEach(each => each(Class.prototype, 'method', descriptor));
    expect(decorate).toThrow(message);
  });

  it.each([MessagePattern('m'), EventPattern('m')])('refuses a pattern that hides a topic at start', async pattern => {
    @Controller()
    class Hidden {
      @(pattern as MethodDecorator)
      @OnTopic('hidden/topic')
      handle(): void {}
    }
    await expect(explore({ controllers: [Hidden] })).rejects.toThrow(
      "Hidden.handle handles 'hidden/topic' and has @MessagePattern or @EventPattern too",
    );
  });

  it('tells which handlers do not say what kind of payload they want', async () => {
    type Photo = Buffer | string;
    @Controller()
    class Doubtful {
      @OnTopic('doubtful/alias')
      alias(@Payload() _photo: Photo): void {}

      @OnTopic('doubtful/said', { payload: 'raw' })
      said(@Payload() _photo: Photo): void {}

      @OnTopic('doubtful/bytes')
      bytes(@Payload() _photo: Buffer): void {}

      @OnTopic('doubtful/none')
      none(): void {}
    }
    // As tsx and esbuild leave it: decorators, and no types.
    class Untyped {
      takes(_body: unknown): void {}
      takesNothing(): void {}
    }
    for (const [key, topic] of [
      ['takes', 'untyped/takes'],
      ['takesNothing', 'untyped/nothing'],
    ] as const) {
      OnTopic(topic)(
        Untyped.prototype,
        key,
        Object.getOwnPropertyDescriptor(Untyped.prototype, key) as PropertyDescriptor,
      );
    }
    Controller()(Untyped);
    const module = await Test.createTestingModule({
      imports: [DiscoveryModule],
      controllers: [Doubtful, Untyped],
      providers: [TopicExplorer],
    }).compile();
    expect([...module.get(TopicExplorer).payloadDoubts()]).toEqual([
      ['doubtful/alias', { name: 'Doubtful.alias', isUntyped: false }],
      ['untyped/takes', { name: 'Untyped.takes', isUntyped: true }],
    ]);
  });

  it('takes a controller of two modules once', async () => {
    class One {}
    class Other {}
    const imports = [One, Other].map(module => ({ module, controllers: [Second] }));
    expect((await explore({ imports })).map(({ name }) => name)).toEqual(['Second.handle']);
  });

  it.each([
    ['a class', Stray],
    ['a class under a token', { provide: 'token', useClass: Stray }],
  ])('refuses topics on a provider that is %s', async (_what, provider) => {
    await expect(explore({ providers: [provider] })).rejects.toThrow(
      `Stray.handle has @OnTopic('stray/topic'), but only controllers handle topics: list Stray under "controllers"`,
    );
  });

  it('refuses what is no topic where it is written', () => {
    expect(() => OnTopic('no topic')).toThrow(expect.objectContaining({ code: 'BAD_TOPIC' }));
    expect(() => OnTopic('$gate/mine')).toThrow(expect.objectContaining({ code: 'BAD_TOPIC' }));
  });

  it('are refused at once with options that are none', () => {
    const define = (options: unknown) => () => OnTopic('a/b', options as never);
    expect(define({ concurent: true })).toThrow(
      '@OnTopic("a/b"): unknown option "concurent"; did you mean "concurrent"?',
    );
    expect(define({ payload: 'text' })).toThrow("@OnTopic(\"a/b\"): payload must be 'json' or 'raw'");
    expect(define('raw')).toThrow('@OnTopic("a/b"): the options must be an object, but a string was given');
    expect(define({ payload: undefined, concurrent: undefined })).not.toThrow();
  });
});
