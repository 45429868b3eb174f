import { Injectable, type OnModuleInit } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import { type ClientMessage, itemContract, type Peer, streamContract } from '@nestgate/link/internal';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import { AgentStreams, type StreamIndex } from './agent-streams.js';
import { ClientStream } from './client-stream.js';

/** The streams that workers produce for the clients of this gate. */
@Injectable()
export class StreamTable implements StreamIndex, OnModuleInit {
  private readonly streams = new Map<number, ClientStream>();
  private last = 0;

  constructor(
    private readonly node: LinkNode,
    private readonly counters: GateCounters,
  ) {}

  /** Streams that have not ended. */
  get size(): number {
    return this.streams.size;
  }

  onModuleInit(): void {
    this.node.dispatcher.serve(itemContract, {
      item: ({ stream, isMarked, body }, { peer }) => {
        const found = this.streams.get(stream);
        if (found?.worker === peer) found.take(body, isMarked);
        else this.refuse(peer, stream, isMarked);
      },
    });
  }

  /** Has a worker begin a stream. */
  begin(agent: ClientAgent, worker: Peer, message: ClientMessage, id: number, deadline: number, idleMs: number): void {
    const number = ++this.last;
    const own = (agent.streams ??= new AgentStreams(agent, this)) as AgentStreams;
    const stream = new ClientStream(own, agent, worker, number, id, message.topic, idleMs);
    this.streams.set(number, stream);
    own.add(stream);
    worker.request(streamContract.begin, { stream: number, message }, stream, deadline);
  }

  delete({ number }: ClientStream): void {
    this.streams.delete(number);
  }

  isPresent({ worker }: ClientStream): boolean {
    return this.node.peers.get(worker.info.id) === worker;
  }

  reportDefect(error: unknown, where: string): void {
    this.node.reportDefect(error, where);
  }

  /** An item of a stream that has ended. Its worker has been told; once more, since a message may be lost. */
  private refuse(peer: Peer, stream: number, isMarked: boolean): void {
    this.counters.add('items_dropped', 'ended');
    if (isMarked) peer.notify(streamContract.cancel, { stream });
  }
}
