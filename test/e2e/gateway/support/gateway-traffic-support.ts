import type { Link, LinkEvents, LinkFrame } from '@nestgate/link';
import { askContract, ByteReader, sessionContract } from '@nestgate/link/internal';

/** The kind of a message that is a request; see the envelope. */
const REQUEST = 1;
const NAMES = new Map<number, string>(
  Object.entries({ ...sessionContract, ...askContract }).map(([name, { id }]) => [id, name]),
);

/** Counts the requests of the session contract that leave a node, and those that come to it. */
export class LinkWatch {
  /** The operations of requests that were sent: one name for each message, however many receive it. */
  readonly sent: string[] = [];
  readonly received: string[] = [];

  /** The same link, watched. Whatever else a link can do is left to it. */
  wrap(link: Link): Link {
    const send: Link['send'] = (to, frame) => {
      this.sent.push(...requestsIn(frame));
      return link.send(to, frame);
    };
    const cast: Link['cast'] = (channel, frame) => {
      this.sent.push(...requestsIn(frame));
      return link.cast(channel, frame);
    };
    const open: Link['open'] = (self, events) => link.open(self, this.watched(events));
    const own: Partial<Link> = { send, cast, open };
    return new Proxy(link, {
      get(target, key) {
        if (Object.hasOwn(own, key)) return Reflect.get(own, key) as unknown;
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  clear(): void {
    this.sent.length = 0;
    this.received.length = 0;
  }

  private watched(events: LinkEvents): LinkEvents {
    return {
      ...events,
      onFrame: (from, frame) => {
        this.received.push(...requestsIn(frame));
        events.onFrame(from, frame);
      },
    };
  }
}

/** The names of the requests to gates in a batch. */
function requestsIn(frame: LinkFrame): string[] {
  const reader = new ByteReader(Buffer.isBuffer(frame) ? frame : Buffer.concat(frame));
  const { end } = reader;
  reader.u8();
  reader.u32();
  reader.f64();
  const names: string[] = [];
  while (reader.at < end) {
    const next = reader.u32() + reader.at;
    const name = reader.u8() === REQUEST ? NAMES.get(reader.u16()) : undefined;
    if (name) names.push(name);
    reader.at = next;
  }
  return names;
}
