// Everything that the packages export, for the type checker.
export * as gate from '@nestgate/gate';
export * as redis from '@nestgate/gate/redis';
export * as link from '@nestgate/link';
export * as nats from '@nestgate/link/nats';
export * as protocol from '@nestgate/protocol';
export * as testing from '@nestgate/testing';
export * as worker from '@nestgate/worker';
