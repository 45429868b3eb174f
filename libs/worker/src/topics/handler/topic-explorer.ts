import { Injectable } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { lostTopics, payloadDoubts, type TopicMetadata, topicsOf } from '../on-topic.decorator.js';
import type { EnhancerFinder } from './handler-enhancers.js';
import { type PlainCall, plainCall } from './plain-handler.js';

/** A method with `@OnTopic`. */
export interface ExploredTopic {
  readonly metadata: TopicMetadata;
  /** `Class.method`, for messages to the developer. */
  readonly name: string;
  /** The method's name. */
  readonly key: string;
  readonly method: Function;
  readonly controller: Function;
}

/** A handler whose payload kind is a guess. */
export interface DoubtfulPayload {
  /** `Class.method`. */
  readonly name: string;
  /** Whether the compiler has left no types of its parameters. */
  readonly isUntyped: boolean;
}

/** Finds the topic handlers of an app, and the mistakes that Nest itself would pass over. */
@Injectable()
export class TopicExplorer {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  /**
   * All topic handlers of the app's controllers.
   * @throws {Error} when two methods handle one topic, a method has a second decorator that hides its topics, or a provider that is
   * not a controller has `@OnTopic`.
   */
  explore(): readonly ExploredTopic[] {
    for (const wrapper of this.discovery.getProviders()) {
      const [stray] = this.topicsOf(wrapper.metatype);
      if (stray)
        throw new Error(
          `${stray.name} has @OnTopic('${stray.metadata.topic}'), but only controllers handle topics: list ${wrapper.name} under "controllers"`,
        );
    }
    const byTopic = new Map<string, ExploredTopic>();
    for (const controller of new Set(this.discovery.getControllers().map(wrapper => wrapper.metatype))) {
      for (const found of this.topicsOf(controller)) {
        if (lostTopics(found.method).length > 0)
          throw new Error(
            `${found.name} handles '${found.metadata.topic}' and has @MessagePattern or @EventPattern too: one of them is lost. Use two methods`,
          );
        const other = byTopic.get(found.metadata.topic);
        if (other && !found.metadata.isEvent)
          throw new Error(`The topic '${found.metadata.topic}' has two handlers: ${other.name} and ${found.name}`);
        byTopic.set(found.metadata.topic, found);
      }
    }
    return [...byTopic.values()];
  }

  /**
   * How to call the handlers that need no more of Nest's pipeline than guards and pipes, by topic: not those of controllers that
   * are made for each request, or of which there are several.
   */
  plainCalls(finder: EnhancerFinder): ReadonlyMap<string, PlainCall> {
    const plain = new Map<string, PlainCall>();
    const seen = new Set<string>();
    for (const { metatype, instance, isStatic, moduleKey } of this.controllers()) {
      const controller = instance as Record<string, unknown>;
      for (const { metadata, key, method } of this.topicsOf(metatype)) {
        // A method that the object itself has in place of its class's is the one that Nest calls.
        const isUsual = isStatic && moduleKey !== undefined && !metadata.isEvent && controller[key] === method;
        const call = isUsual ? plainCall({ controller, key, method, moduleKey }, finder) : undefined;
        if (call && !seen.has(metadata.topic)) plain.set(metadata.topic, call);
        else plain.delete(metadata.topic);
        seen.add(metadata.topic);
      }
    }
    return plain;
  }

  /** The topics whose handlers do not say whether they want bytes or JSON, with the name of the method and why it is not known. */
  payloadDoubts(): ReadonlyMap<string, DoubtfulPayload> {
    const doubtful = new Map<string, DoubtfulPayload>();
    for (const { metadata, name, method } of this.explore()) {
      const doubt = payloadDoubts(method)[metadata.topic];
      if (doubt) doubtful.set(metadata.topic, { name, isUntyped: doubt === 'untyped' });
    }
    return doubtful;
  }

  private controllers() {
    return this.discovery.getControllers().map(wrapper => ({
      metatype: wrapper.metatype,
      instance: wrapper.instance as unknown,
      isStatic: wrapper.isDependencyTreeStatic() && !wrapper.isTransient,
      moduleKey: wrapper.host?.token,
    }));
  }

  private topicsOf(metatype: Function | null | undefined): ExploredTopic[] {
    const prototype = metatype?.prototype as Record<string, unknown> | undefined;
    if (!metatype || !prototype) return [];
    const found: ExploredTopic[] = [];
    for (const key of this.scanner.getAllMethodNames(prototype)) {
      const method = prototype[key];
      if (typeof method !== 'function') continue;
      const name = `${metatype.name}.${key}`;
      for (const metadata of topicsOf(method)) found.push({ metadata, name, key, method, controller: metatype });
    }
    return found;
  }
}
