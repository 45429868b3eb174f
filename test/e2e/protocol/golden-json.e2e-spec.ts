import { describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { RpcException } from '@nestjs/microservices';
import { createTestCluster, waitUntil } from '@nestgate/testing';
import { ClientSession, OnTopic, type Session } from '@nestgate/worker';
import { RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { textFrame } from '../support/raw-websocket.js';

@Controller()
class GoldenTopics {
  @OnTopic('golden/echo')
  echo(@Payload() body: unknown): unknown {
    return body;
  }
  @OnTopic('golden/fail')
  fail(): never {
    throw new RpcException({ code: 'NOT_MEMBER', message: 'no' });
  }
  @OnTopic('golden/push')
  async push(@Payload() body: unknown, @ClientSession() session: Session): Promise<void> {
    await session.toSend('golden/pushed', body);
  }
}

/** What a client sends, and what it must get for it, to the byte. */
const EXCHANGES = [
  ['{"topic":"golden/echo","body":{"b":1,"a":[ 1 ]},"id":1}', '{"id":1,"body":{"b":1,"a":[1]}}'],
  ['{"topic":"golden/echo","id":2}', '{"id":2,"body":null}'],
  ['{"topic":"golden/fail","id":3}', '{"id":3,"error":{"code":"NOT_MEMBER","message":"no"}}'],
  ['{"topic":"golden/push","body":"ü"}', '{"topic":"golden/pushed","body":"ü"}'],
  ['{"topic":"$gate/ping"}', '{"topic":"$gate/pong"}'],
  ['{"topic":"$gate/ping","id":4}', '{"id":4,"body":null}'],
  ['{', '{"topic":"$gate/error","body":{"code":"BAD_FRAME","message":"The frame is malformed"}}'],
  [
    '{"topic":"$gate/ack","body":0}',
    '{"topic":"$gate/error","body":{"code":"BAD_TOPIC","message":"The topic is not allowed","topic":"$gate/ack"}}',
  ],
  [
    '{"topic":"$gate/open","body":{"v":2,"keep":true}}',
    '{"topic":"$gate/error","body":{"code":"BAD_TOPIC","message":"The topic is not allowed","topic":"$gate/open"}}',
  ],
  ['{"topic":"$gate/bye","id":5}', '{"id":5,"error":{"code":"BAD_TOPIC","message":"The topic is not allowed"}}'],
] as const;

function frameOf(text: string): Buffer {
  const payload = Buffer.from(text);
  const head = payload.length < 126 ? [0x81, payload.length] : [0x81, 126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from(head), payload]);
}

describe.each([
  ['off', undefined],
  ['on', {}],
])('gate.json with resume %s', (_name, resume) => {
  it('is the same to the byte', async () => {
    const cluster = await createTestCluster({ handlers: { controllers: [GoldenTopics] }, gate: { resume } });
    try {
      const socket = await RawSocket.open(cluster.gate.port);
      socket.send(upgradeRequest());
      const headEnd = await waitUntil('the hello', () => {
        const at = socket.received.indexOf('\r\n\r\n');
        return at >= 0 && socket.received.includes('heartbeatMs') ? at + 4 : 0;
      });
      const id = /"clientId":"([^"]+)"/.exec(socket.received.toString())?.[1] as string;
      let expected = frameOf(`{"topic":"$gate/hello","body":{"clientId":"${id}","heartbeatMs":25000}}`);
      for (const [sent, answer] of EXCHANGES) {
        socket.send(textFrame(sent));
        expected = Buffer.concat([expected, frameOf(answer)]);
        const { length } = expected;
        await waitUntil(`the answer to ${sent}`, () => socket.received.length >= headEnd + length);
      }
      expect(socket.received.subarray(headEnd).toString()).toBe(expected.toString());
      socket.socket.destroy();
    } finally {
      await cluster.close();
    }
  });
});
