import { Injectable, type OnModuleInit } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { GateError } from '@nestgate/protocol';
import { GateTransport } from '../topics/gate-transport.js';

/**
 * Refuses the start of an app with two modules that handle topics. `GatewayApi` and `GateTransport` would be those of either,
 * and clients of one would not be known to the other.
 */
@Injectable()
export class OneNode implements OnModuleInit {
  constructor(private readonly modules: ModulesContainer) {}

  /** @throws {GateError} `BAD_ARGUMENT` that names the modules. */
  onModuleInit(): void {
    const found: string[] = [];
    for (const { metatype, providers } of this.modules.values()) {
      // By name: of another copy of this package the class is another one.
      const hasTransport = [...providers.values()].some(
        ({ token, isAlias }) => !isAlias && typeof token === 'function' && token.name === GateTransport.name,
      );
      if (hasTransport) found.push(metatype.name);
    }
    if (found.length < 2) return;
    throw new GateError(
      'BAD_ARGUMENT',
      `${found.length} modules of this app handle topics: ${found.join(', ')}. ` +
        'Call GateModule.forRoot() or WorkerModule.forRoot() once in an app, and import the other modules without it: their providers are global.',
    );
  }
}
