/** More examples of `docs/gate.md`, about what travels on the connection. See `gate-examples.ts`. */
import { GateModule, type Splitter, type StreamCodec, type Wire } from '@nestgate/gate';
import { type Body, BodyKind, type ErrorBody, JsonFrameDecoder } from '@nestgate/protocol';

// example: custom codec
/** One JSON text per line. */
export class LineWire implements Wire {
  readonly codec = 'lines';
  readonly pushesResults = false;
  private readonly decoder = new JsonFrameDecoder();

  get frame() {
    return this.decoder.frame;
  }

  decode(data: Buffer) {
    return this.decoder.decode(data);
  }

  hello(clientId: string) {
    return Buffer.from(`{"topic":"$gate/hello","body":{"clientId":"${clientId}"}}\n`);
  }

  push(topic: string, body: Body) {
    return Buffer.from(`{"topic":"${topic}","body":${textOf(body)}}\n`);
  }

  reply(id: number, body: Body) {
    return Buffer.from(`{"id":${id},"body":${textOf(body)}}\n`);
  }

  error(id: number, error: ErrorBody, topic?: string) {
    return Buffer.from(`${JSON.stringify({ id, topic, error })}\n`);
  }

  pong(id: number) {
    return Buffer.from(`{"id":${id},"topic":"$gate/pong"}\n`);
  }
}

function textOf({ kind, bytes }: Body): string {
  if (kind === BodyKind.none) return 'null';
  const text = Buffer.from(bytes).toString();
  return kind === BodyKind.json ? text : JSON.stringify(text);
}

/** Finds the lines in what one client sends. */
export class LineSplitter implements Splitter {
  private rest = Buffer.alloc(0);

  constructor(
    private readonly maxSize: number,
    private readonly onMessage: (message: Buffer) => void,
  ) {}

  push(chunk: Buffer) {
    let data = Buffer.concat([this.rest, chunk]);
    for (let end = data.indexOf('\n'); end >= 0; end = data.indexOf('\n')) {
      if (end > this.maxSize) return 'too-large';
      this.onMessage(data.subarray(0, end));
      data = data.subarray(end + 1);
    }
    this.rest = data;
    return data.length > this.maxSize ? 'too-large' : undefined;
  }
}

export const lines: StreamCodec = {
  wire: new LineWire(),
  createSplitter: (maxSize, onMessage) => new LineSplitter(maxSize, onMessage),
};

export const lineGate = GateModule.forRoot({ tcp: { port: 0, codec: 'lines' }, codecs: { lines } });
// end

// example: tcp
export const deviceGate = GateModule.forRoot({ tcp: { port: 0, host: '127.0.0.1', codec: 'frame' } });
// end

// example: tls
export function secureGate(certFile: string, keyFile: string) {
  return GateModule.forRoot({ tls: { certFile, keyFile }, tcp: { port: 0 }, ws: { port: 0 } });
}
// end

// example: encryptKey
export const sealedGate = GateModule.forRoot({ encryptKey: 'correct horse battery staple', tcp: { port: 0 } });
// end

// example: login
export const oneLoginGate = GateModule.forRoot({ login: 'replace' });
// end

// example: limits
export const smallGate = GateModule.forRoot({
  messageRate: 10, // per second and client, 20 at once
  maxPackSize: 1_024,
  maxConnectionsPerIp: 2,
  trustedProxies: ['10.0.0.0/8'],
  slowClientPolicy: 'drop-oldest',
});
// end
