import { Injectable, type OnModuleInit } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import {
  type ClientMessage,
  itemContract,
  type MovingStream,
  type Peer,
  streamContract,
} from '@nestgate/link/internal';
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
    const stream = this.add(agent, worker, id, message.topic, idleMs);
    worker.request(streamContract.begin, { stream: stream.number, message }, stream, deadline);
  }

  /** A worker may not know what has become of a stream. */
  tellAgain(peer: Peer, stream: number): void {
    const found = this.streams.get(stream);
    if (found?.worker === peer) found.tellAgain();
    else peer.notify(streamContract.cancel, { stream });
  }

  // Streams of sessions that move.

  /** A client begins to move to another gate: its streams. */
  beginLeave(agent: ClientAgent): readonly MovingStream[] {
    return streamsOf(agent)?.beginLeave() ?? [];
  }

  /** It has moved: its streams go on there. Returns the ids of those that have not ended. */
  leave(agent: ClientAgent): readonly number[] {
    return streamsOf(agent)?.leave() ?? [];
  }

  /** It has not moved after all. */
  stay(agent: ClientAgent): void {
    streamsOf(agent)?.stay();
  }

  /** A client has come from another gate with these streams. Returns how to have their workers send the rest to this gate. */
  expect(agent: ClientAgent, from: Peer, streams: readonly MovingStream[], idleMs: number): () => void {
    const begins = streams.map(({ id, topic, number, worker: name, epoch }) => {
      const found = this.node.peers.get(name);
      const worker = found?.info.epoch === epoch ? found : undefined;
      agent.beginStream(id);
      const stream = this.add(agent, worker ?? from, id, topic, idleMs);
      stream.await();
      return () => {
        const { sessionId: clientId } = agent.sessionState.origin;
        const adoption = { clientId, from: from.info.id, fromStream: number, stream: stream.number };
        if (stream.hasEnded) return;
        if (worker) worker.request(streamContract.adopt, adoption, stream, performance.now() + idleMs);
        else stream.breakOff('WORKER_LOST');
      };
    });
    return () => begins.forEach(begin => begin());
  }

  /** The other gate has told which streams of the client have not ended there. `doubts`: the nodes whose messages may be missing. */
  settle(agent: ClientAgent, open: readonly number[], doubts: readonly string[]): void {
    for (const stream of streamsOf(agent)?.all() ?? []) {
      stream.settle(open.includes(stream.id), !doubts.includes(stream.worker.info.id));
    }
  }

  /** The other gate is gone, with items that it had. */
  breakComing(agent: ClientAgent): void {
    for (const stream of streamsOf(agent)?.all() ?? []) stream.settle(true, false);
  }

  private add(agent: ClientAgent, worker: Peer, id: number, topic: string, idleMs: number): ClientStream {
    const number = ++this.last;
    const own = (agent.streams ??= new AgentStreams(agent, this)) as AgentStreams;
    const stream = new ClientStream(own, agent, worker, number, id, topic, idleMs);
    this.streams.set(number, stream);
    own.add(stream);
    return stream;
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

function streamsOf(agent: ClientAgent): AgentStreams | undefined {
  return agent.streams as AgentStreams | undefined;
}
