import { setTimeout as delay } from 'node:timers/promises';
import { Controller, UsePipes, ValidationPipe } from '@nestjs/common';
import { Payload, RpcException } from '@nestjs/microservices';
import { AbortSignal, OnTopic } from '@nestgate/worker';
import { CountDto, StreamFailDto } from './dto.js';

/** Streams of numbers: for trying out streams, and for measuring them. */
@Controller()
export class StreamTopics {
  /** The producers that run now. */
  private readonly running = new Set<{ produced: number }>();

  @UsePipes(new ValidationPipe())
  @OnTopic('stream/count')
  async *count(@Payload() { n, everyMs, pad }: CountDto, @AbortSignal() signal: AbortSignal): AsyncGenerator {
    const producer = { produced: 0 };
    this.running.add(producer);
    try {
      const padding = pad === undefined ? undefined : 'x'.repeat(pad);
      for (let i = 1; i <= n; i++) {
        if (everyMs !== undefined) await delay(everyMs, undefined, { signal });
        producer.produced++;
        yield padding === undefined ? i : { i, pad: padding };
      }
    } finally {
      this.running.delete(producer);
    }
  }

  @UsePipes(new ValidationPipe())
  @OnTopic('stream/fail')
  async *fail(@Payload() { after }: StreamFailDto): AsyncGenerator {
    for (let i = 1; i <= after; i++) yield i;
    throw new RpcException({ code: 'STREAM_FAILED', message: 'Failed as asked' });
  }

  @OnTopic('stream/active')
  active(): { active: number } {
    return { active: this.running.size };
  }

  @OnTopic('stream/produced')
  produced(): { max: number } {
    return { max: Math.max(0, ...Array.from(this.running, ({ produced }) => produced)) };
  }
}
