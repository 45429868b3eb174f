import { Injectable, type OnModuleInit } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import { gapContract } from '@nestgate/link/internal';
import { Hub } from '../hub/hub.js';
import { StreamTable } from '../routing/stream-table.js';
import { TopicRouter } from '../routing/topic-router.js';

/** Tells workers again what they may have missed, when messages to them have been lost or refused. */
@Injectable()
export class GapAnswers implements OnModuleInit {
  constructor(
    private readonly node: LinkNode,
    private readonly hub: Hub,
    private readonly router: TopicRouter,
    private readonly streams: StreamTable,
  ) {}

  onModuleInit(): void {
    this.node.dispatcher.serve(gapContract, {
      check: ({ streams, clients }, { peer }) => {
        for (const stream of streams) this.streams.tellAgain(peer, stream);
        for (const serial of clients) if (!this.hub.withSerial(serial)) this.router.forgetAgain(peer, serial);
      },
    });
  }
}
