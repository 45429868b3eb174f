import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type INestApplication, Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { GateModule, type GateOptions } from '@nestgate/gate';

const EVERYWHERE = '0.0.0.0';
const HERE = '127.0.0.1';

describe('a gate that others can reach without TLS', () => {
  let app: INestApplication;
  let lines: string[];

  const { NODE_ENV } = process.env;

  beforeEach(() => {
    process.env['NODE_ENV'] = 'production';
    lines = [];
    jest.spyOn(Logger.prototype, 'warn').mockImplementation((line: unknown) => void lines.push(String(line)));
  });
  afterEach(async () => {
    await app.close();
    jest.restoreAllMocks();
    process.env['NODE_ENV'] = NODE_ENV;
  });

  const start = async (host: string, options: GateOptions = {}): Promise<string[]> => {
    const testing = await Test.createTestingModule({
      imports: [GateModule.forRoot({ link: 'memory:', ...options })],
    }).compile();
    app = testing.createNestApplication();
    await app.listen(0, host);
    return lines.filter(line => line.includes('is not encrypted'));
  };

  it('says so at its start', async () => {
    expect(await start(EVERYWHERE)).toEqual([expect.stringContaining(`WebSocket on ${EVERYWHERE}`)]);
    // `tls` is refused there.
    expect(lines.join()).toContain('set httpsOptions of NestFactory.create');
    expect(lines.join()).not.toContain('set tls');
  });

  it('says so of ports of its own too', async () => {
    const own = { ws: { port: 0, host: EVERYWHERE }, tcp: { port: 0, host: EVERYWHERE } };
    const warnings = await start(HERE, own);
    expect(warnings.filter(line => line.includes('set tls'))).toHaveLength(2);
    expect(warnings.map(line => line.split(' ')[0]).toSorted()).toEqual(['TCP', 'WebSocket']);
  });

  it.each(['development', 'test'])('says nothing to developers (NODE_ENV %s)', async env => {
    process.env['NODE_ENV'] = env;
    expect(await start(EVERYWHERE)).toEqual([]);
  });

  it('says nothing on this machine only, and nothing where proxies are named', async () => {
    expect(await start(HERE)).toEqual([]);
    await app.close();
    expect(await start(EVERYWHERE, { trustedProxies: ['10.0.0.1'] })).toEqual([]);
  });
});
