import 'reflect-metadata';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import request from 'supertest';
import { WholeApp } from '../src/apps.js';
import { ChatTopics, Roll } from '../src/chat.js';

describe('a cluster of @nestgate/testing', () => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await createTestCluster({ workers: 1, handlers: { controllers: [ChatTopics], providers: [Roll] } });
  });

  afterAll(() => cluster.close());

  it('answers requests and pushes to groups', async () => {
    const ada = await cluster.connect({ path: '?token=ada' });
    expect(await ada.request('chat/join', { room: 'lobby' })).toEqual({ members: 1, topic: 'chat/join' });
    await ada.request('chat/say', { room: 'lobby', text: 'hi', extra: 1 });
    expect((await ada.push('chat/said')).body).toEqual({ from: 'ada', text: 'hi', isDto: true });
  });

  it('rejects with the code of the error', async () => {
    const guest = await cluster.connect();
    await expect(guest.request('chat/join', { room: 'lobby' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });
});

describe('the app in a supertest suite', () => {
  let app: INestApplication;

  beforeAll(async () => {
    const module = await Test.createTestingModule({ imports: [WholeApp] }).compile();
    app = module.createNestApplication();
    await app.init();
  });

  afterAll(() => app?.close());

  it('answers its routes', async () => {
    const response = await request(app.getHttpServer()).get('/rooms/lobby').expect(200);
    expect(response.body).toEqual({ members: 0 });
  });
});
