import { describe, expect, it } from '@jest/globals';
import { Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { GatewayApiModule, WorkerModule } from '../worker.module.js';

async function initOf(...imports: NonNullable<Parameters<typeof Test.createTestingModule>[0]['imports']>) {
  const module = await Test.createTestingModule({ imports }).compile();
  try {
    await module.init();
  } finally {
    await module.close();
  }
}

@Module({ imports: [WorkerModule.forRoot({})] })
class Feature {}

describe('an app', () => {
  it('with two modules that handle topics does not start, and says which they are', async () => {
    await expect(initOf(WorkerModule.forRoot({}), Feature)).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
      message: expect.stringMatching(/^2 modules of this app handle topics: WorkerModule, WorkerModule\. .*once/),
    });
  });

  it('may import one of them in many places, and have a service for another cluster beside it', async () => {
    const worker = WorkerModule.forRoot({});
    await initOf(worker, worker, GatewayApiModule.forRoot({ isGlobal: false }));
  });
});
