import { type CanActivate, Injectable, Module, UseGuards } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, ModuleRef } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { WebSocketGateway } from '@nestjs/websockets';
import { afterEach, describe, expect, it } from '@jest/globals';
import { configOf, EXCEPTION_FILTERS_METADATA, gatewayMetadata, GUARDS_METADATA, hasInjectable } from './nest.js';

class Guard implements CanActivate {
  canActivate(): boolean {
    return true;
  }
}

@Injectable()
@UseGuards(Guard)
class Made {}

@WebSocketGateway(8081, { path: 'chat' })
class Gateway {}

@Module({ imports: [DiscoveryModule], providers: [Made, { provide: 'given', useValue: new Made() }] })
class Root {}

describe('the parts of the installed Nest', () => {
  let app: Awaited<ReturnType<ReturnType<typeof Test.createTestingModule>['compile']>> | undefined;
  afterEach(() => app?.close());

  it('say where a gateway is', () => {
    expect(gatewayMetadata(Gateway)).toEqual({ port: 8081, path: 'chat' });
    expect(gatewayMetadata(Made)).toBeUndefined();
    expect(gatewayMetadata(Gateway, {})).toBeUndefined();
  });

  it('say whether a guard was made for a provider', async () => {
    app = await Test.createTestingModule({ imports: [Root] }).compile();
    const discovery = app.get(DiscoveryService);
    expect(Reflect.getMetadata(GUARDS_METADATA, Made)).toEqual([Guard]);
    expect(Reflect.hasMetadata(EXCEPTION_FILTERS_METADATA, Made)).toBe(false);
    expect(hasInjectable(discovery, app.get(Made), Guard)).toBe(true);
    expect(hasInjectable(discovery, app.get<object>('given'), Guard)).toBe(false);
  });

  it('lead to the configuration of the app', async () => {
    app = await Test.createTestingModule({ imports: [Root] }).compile();
    expect(configOf(app.get(ModuleRef))?.getGlobalGuards()).toEqual([]);
  });
});
