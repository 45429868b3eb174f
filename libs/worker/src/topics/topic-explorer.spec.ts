import { describe, expect, it } from '@jest/globals';
import { Controller, Injectable, type ModuleMetadata } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { OnTopic } from './on-topic.decorator.js';
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
});
