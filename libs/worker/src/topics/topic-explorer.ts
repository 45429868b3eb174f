import { Injectable } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { TOPIC_METADATA, type TopicMetadata } from './on-topic.decorator.js';
import { type PlainCall, plainCall } from './plain-handler.js';

/** A method with `@OnTopic`. */
export interface ExploredTopic {
  readonly metadata: TopicMetadata;
  /** `Class.method`, for messages to the developer. */
  readonly name: string;
  /** The method's name. */
  readonly key: string;
  readonly method: Function;
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
   * @throws {Error} when two methods handle one topic, or a provider that is not a controller has `@OnTopic`.
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
        const other = byTopic.get(found.metadata.topic);
        if (other && !found.metadata.isEvent)
          throw new Error(`The topic '${found.metadata.topic}' has two handlers: ${other.name} and ${found.name}`);
        byTopic.set(found.metadata.topic, found);
      }
    }
    return [...byTopic.values()];
  }

  /**
   * The handlers that may be called without Nest's pipeline, by topic: not those of controllers that are made anew for each
   * request, or of which there are several.
   */
  plainCalls(): ReadonlyMap<string, PlainCall> {
    const plain = new Map<string, PlainCall>();
    const seen = new Set<string>();
    for (const { metatype, instance, isStatic } of this.controllers()) {
      for (const { metadata, key, method } of this.topicsOf(metatype)) {
        const call = isStatic && !metadata.isEvent ? plainCall(instance as object, key, method) : undefined;
        if (call && !seen.has(metadata.topic)) plain.set(metadata.topic, call);
        else plain.delete(metadata.topic);
        seen.add(metadata.topic);
      }
    }
    return plain;
  }

  private controllers() {
    return this.discovery.getControllers().map(wrapper => ({
      metatype: wrapper.metatype,
      instance: wrapper.instance as unknown,
      isStatic: wrapper.isDependencyTreeStatic() && !wrapper.isTransient,
    }));
  }

  private topicsOf(metatype: Function | null | undefined): ExploredTopic[] {
    const prototype = metatype?.prototype as Record<string, unknown> | undefined;
    if (!metatype || !prototype) return [];
    const found: ExploredTopic[] = [];
    for (const key of this.scanner.getAllMethodNames(prototype)) {
      const method = prototype[key];
      if (typeof method !== 'function') continue;
      const metadata = Reflect.getMetadata(TOPIC_METADATA, method) as TopicMetadata | undefined;
      if (metadata) found.push({ metadata, name: `${metatype.name}.${key}`, key, method });
    }
    return found;
  }
}
