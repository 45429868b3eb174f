// Everything that the packages export, for the type checker.
export * as client from '@nestgate/client';
export * as clientFrame from '@nestgate/client/frame';
export * as clientShare from '@nestgate/client/share';
export * as clientTesting from '@nestgate/client/testing';
export * as contract from '@nestgate/contract';
export * as asyncapi from '@nestgate/contract/asyncapi';
export * as dto from '@nestgate/contract/dto';
export * as gate from '@nestgate/gate';
export * as redis from '@nestgate/gate/redis';
export * as link from '@nestgate/link';
export * as nats from '@nestgate/link/nats';
export * as protocol from '@nestgate/protocol';
export * as testing from '@nestgate/testing';
export * as worker from '@nestgate/worker';
