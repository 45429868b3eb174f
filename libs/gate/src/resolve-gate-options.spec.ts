import { describe, expect, it } from '@jest/globals';
import { GateError } from '@nestgate/protocol';
import { connectionsForFdLimit } from './fd-limit.js';
import type { GateOptions } from './gate-options.js';
import { doubtsAbout, resolveGateOptions } from './resolve-gate-options.js';

/** Every number: its default, its smallest and its largest value. */
const NUMBERS: readonly (readonly [key: string, fallback: number, min: number, max: number])[] = [
  ['maxPackSize', 65_535, 64, 16_777_216],
  ['maxJsonDepth', 32, 2, 512],
  ['concurrentTasks', 20, 1, 10_000],
  ['sendPackBuffNum', 1_000, 1, 1_000_000],
  ['sendBuffBytes', 1_048_576, 1_024, 1_073_741_824],
  ['sendBurstBytes', 16_777_216, 1_048_576, 1_073_741_824],
  ['sendBurstTotalBytes', 268_435_456, 16_777_216, 1_099_511_627_776],
  ['slowClientTimeout', 5_000, 100, 600_000],
  ['overTime', 10_000, 10, 600_000],
  ['pingInterval', 25_000, 50, 3_600_000],
  ['heartOverTimer', 60_000, 100, 86_400_000],
  ['requestTimeout', 30_000, 10, 3_600_000],
  ['workerWait', 3_000, 0, 600_000],
  ['startupWait', 1_500, 0, 60_000],
  ['rebalanceRate', 100, 0, 100_000],
  ['messageRate', 100, 0, 1_000_000],
  ['maxConnections', connectionsForFdLimit(), 0, 10_000_000],
  ['maxConnectionsPerIp', 100, 0, 10_000_000],
  ['maxConnectionRate', 2_000, 0, 1_000_000],
  ['maxGroups', 128, 1, 1_000_000],
  ['maxSettingsBytes', 16_384, 2, 16_777_216],
  ['closeTimeout', 5_000, 10, 600_000],
  ['drainTimeout', 4_000, 0, 600_000],
  ['storageHeartbeat', 10_000, 1_000, 3_600_000],
  ['bufSize', 65_536, 1_024, 16_777_216],
];

/** Something for certificates to be used on. */
const LISTENING = { tcp: { port: 0 } };

function resolve(options: Record<string, unknown>): Record<string, unknown> {
  return { ...resolveGateOptions(options as GateOptions) };
}

/** The message of the refusal. */
function refusalOf(options: Record<string, unknown>): string {
  try {
    resolve(options);
  } catch (error) {
    expect(error).toBeInstanceOf(GateError);
    expect(error).toMatchObject({ code: 'BAD_ARGUMENT' });
    return (error as GateError).message;
  }
  throw new Error('The options were accepted');
}

describe('resolveGateOptions', () => {
  it('has bounds for bursts that are no lower than those for a queue', () => {
    const MIB = 1024 * 1024;
    const bounds = (options: Record<string, unknown>): unknown[] => {
      const { sendBuffBytes, sendBurstBytes, sendBurstTotalBytes } = resolve(options);
      return [sendBuffBytes, sendBurstBytes, sendBurstTotalBytes];
    };
    expect(bounds({ sendBuffBytes: 300 * MIB })).toEqual([300 * MIB, 300 * MIB, 300 * MIB]);
    expect(bounds({ sendBuffBytes: 2_000, sendBurstBytes: 2_000 })).toEqual([2_000, 2_000, 256 * MIB]);
    expect(refusalOf({ sendBuffBytes: 2_000, sendBurstBytes: 1_999 })).toContain('sendBurstBytes');
    expect(refusalOf({ sendBurstBytes: 2 * MIB, sendBurstTotalBytes: 2 * MIB - 1 })).toContain('sendBurstTotalBytes');
  });

  it('has a default for everything but the node', () => {
    expect(resolve({})).toEqual({
      ...Object.fromEntries(NUMBERS.map(([key, fallback]) => [key, fallback])),
      link: undefined,
      nodeId: undefined,
      secret: undefined,
      slowClientPolicy: 'disconnect',
      requireOnConnect: false,
      login: 'many',
      encryptKey: undefined,
      encryptMode: 'aes-256-gcm',
      trustedProxies: [],
      tcp: undefined,
      tls: undefined,
      ws: { path: '/gate', port: undefined, host: '127.0.0.1', origins: [] },
    });
  });

  describe.each(NUMBERS)('%s', (key, fallback, min, max) => {
    it('may be left out, also as undefined', () => {
      expect(resolve({ [key]: undefined })[key]).toBe(fallback);
    });

    it.each([min, max])('may be %d', value => {
      expect(resolve({ [key]: value })[key]).toBe(value);
    });

    it.each([min - 1, max + 1, min + 0.5, Number.NaN, Number.POSITIVE_INFINITY])('may not be %d', value => {
      expect(refusalOf({ [key]: value })).toBe(
        `Option ${key}: ${value} is not allowed; allowed: an integer from ${min} to ${max}`,
      );
    });

    it('may not be text', () => {
      expect(refusalOf({ [key]: String(max) })).toContain(`Option ${key}: "${max}" is not allowed`);
    });
  });

  it.each([
    ['slowClientPolicy', ['disconnect', 'drop-oldest', 'drop-newest']],
    ['login', ['many', 'replace', 'refuse']],
  ])('takes one of few words for %s', (key, words) => {
    for (const word of words) expect(resolve({ [key]: word })).toMatchObject({ [key]: word });
    expect(refusalOf({ [key]: 'other' })).toBe(`Option ${key}: "other" is not allowed; allowed: ${words.join(', ')}`);
  });

  it('takes a key that fits its mode', () => {
    expect(resolve({ encryptKey: 'any' })).toMatchObject({ encryptKey: 'any', encryptMode: 'aes-256-gcm' });
    for (const length of [16, 24, 32]) resolve({ encryptKey: 'k'.repeat(length), encryptMode: 'river-cbc' });
    expect(refusalOf({ encryptKey: 'k'.repeat(15), encryptMode: 'river-cbc' })).toContain('encryptKey');
    expect(refusalOf({ encryptKey: '' })).toContain('encryptKey');
  });

  it('never shows the key', () => {
    for (const encryptMode of ['river-cbc', 'other']) {
      expect(refusalOf({ encryptKey: 'secret', encryptMode })).not.toContain('secret');
    }
  });

  it('refuses a mode that there is not, with a key and without', () => {
    for (const encryptKey of ['secret', undefined]) {
      expect(refusalOf({ encryptKey, encryptMode: 'rot13' })).toBe(
        'Option encryptMode: "rot13" is not allowed; allowed: aes-256-gcm, river-cbc',
      );
    }
  });

  it('takes addresses and ranges of trusted proxies', () => {
    const trustedProxies = ['10.0.0.1', '192.168.0.0/16', '::1', 'fd00::/8'];
    expect(resolve({ trustedProxies })).toMatchObject({ trustedProxies });
    for (const no of [
      'example.com',
      '10.0.0',
      '10.0.0.0/33',
      '10.0.0.0/',
      '10.0.0.0/x',
      'fd00::/129',
      '',
      '10.0.0.0/8/8',
    ]) {
      expect(refusalOf({ trustedProxies: ['10.0.0.1', no] })).toContain(`Option trustedProxies: ${JSON.stringify(no)}`);
    }
  });

  it('passes on what belongs to the node', () => {
    expect(resolve({ link: 'memory:', nodeId: 'g1' })).toMatchObject({ link: 'memory:', nodeId: 'g1' });
  });

  it.each([
    ['maxPacksize', 'maxPackSize'],
    ['heartBeatTimer', 'heartOverTimer'],
    ['lnik', 'link'],
    ['secrte', 'secret'],
    ['provider', 'providers'],
    ['isglobal', 'isGlobal'],
  ])('refuses the unknown key %s, and names %s', (key, nearest) => {
    expect(refusalOf({ [key]: 1 })).toBe(`GateModule: unknown option "${key}"; did you mean "${nearest}"?`);
  });

  it.each(['toString', 'hasOwnProperty', 'messagesPerHour'])(
    'refuses the unknown key %s, and lists those it knows',
    key => {
      expect(refusalOf({ [key]: 1 })).toMatch(
        new RegExp(`^GateModule: unknown option "${key}"; known: ws, tcp, tls, `),
      );
    },
  );

  it('shows no value of an unknown key: it may be a secret', () => {
    expect(refusalOf({ secert: 'hunter2' })).not.toContain('hunter2');
  });

  it('can refuse a value that JSON cannot carry', () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    expect(refusalOf({ ws: { port: cycle } })).toContain('Option ws.port: ');
    expect(refusalOf({ ws: { port: { big: 1n } } })).toContain('Option ws.port: ');
  });

  it.each([
    ['ws', false],
    ['ws', 3000],
    ['ws', null],
    ['tcp', true],
    ['tcp', 7000],
    ['tls', 'cert.pem'],
    ['tls', []],
  ])('refuses %s: %j, which is no object', (key, value) => {
    expect(refusalOf({ tcp: { port: 0 }, [key]: value })).toMatch(
      new RegExp(`^GateModule: option ${key} must be an object, but .+ was given$`),
    );
  });

  it.each([
    ['link', 5],
    ['link', {}],
    ['link', null],
    ['secret', 5],
    ['nodeId', 5],
    ['currentClient', 'yes'],
    ['encryptKey', 5],
    ['trustedProxies', '10.0.0.0/8'],
  ])('refuses %s: %j, which is of another kind', (key, value) => {
    expect(refusalOf({ [key]: value })).toContain(key);
  });

  it.each([undefined, {}])('needs no options: %j', options => {
    expect(resolveGateOptions(options)).toMatchObject({ ws: { path: '/gate' } });
  });

  it('refuses what is no options at all', () => {
    for (const bad of [null, 'memory:', []]) {
      expect(() => resolveGateOptions(bad as never)).toThrow('GateModule: the options must be an object');
    }
  });

  it.each([
    ['ws.path', {}, '/', '/gate/v1', '/a-b_c.d'],
    ['ws.port', {}, 0, 1, 65_535],
    ['ws.host', {}, '0.0.0.0', '::', 'localhost'],
    ['ws.origins', {}, '*', [], ['example.com', 'https://example.com:8443']],
    ['tcp.port', {}, 0, 1, 65_535],
    ['tcp.host', { port: 0 }, '0.0.0.0', '::', 'localhost'],
    ['tcp.codec', { port: 0 }, 'pack', 'frame', 'mine'],
    ['tls.certFile', { keyFile: 'k' }, 'c.pem'],
    ['tls.keyFile', { certFile: 'c' }, 'k.pem'],
    ['tls.caFile', { certFile: 'c', keyFile: 'k' }, undefined, 'ca.pem'],
  ])('takes %s', (path, rest, ...values) => {
    const [group, key] = path.split('.') as [string, string];
    for (const value of values)
      expect(resolve({ ...LISTENING, [group]: { ...rest, [key]: value } })[group]).toMatchObject({ [key]: value });
  });

  it('refuses certificates where nothing would use them', () => {
    const tls = { certFile: 'c', keyFile: 'k' };
    expect(refusalOf({ tls })).toContain('allowed: only with tcp or ws.port');
    expect(resolve({ tls, ws: { port: 0 } })['tls']).toEqual(tls);
  });

  it('fills in what tcp leaves out', () => {
    expect(resolve({ tcp: { port: 7 } })).toMatchObject({ tcp: { port: 7, host: '127.0.0.1', codec: 'pack' } });
  });

  it.each([
    ['ws.path', {}, 'a path that starts with /', ['', 'gate', '/a b', '/a?b', '/a#b', '/:id', '/*', 5]],
    ['ws.port', {}, 'an integer from 0 to 65535', [-1, 65_536, 1.5, '80', Number.NaN]],
    ['ws.host', {}, 'a host name or address', ['', 5]],
    ['ws.origins', {}, "'*' or an array of origins", ['example.com', [5], {}]],
    ['tcp.port', {}, 'an integer from 0 to 65535', [-1, 65_536, 1.5, '80', undefined]],
    ['tcp.host', { port: 0 }, 'a host name or address', ['', 5]],
    ['tcp.codec', { port: 0 }, "'pack', 'frame', or the name of a custom codec", ['', 5]],
    ['tls.certFile', { keyFile: 'k' }, 'a file in PEM', ['', undefined, 5]],
    ['tls.keyFile', { certFile: 'c' }, 'a file in PEM', ['', undefined, 5]],
    ['tls.caFile', { certFile: 'c', keyFile: 'k' }, 'a file in PEM', ['', 5]],
  ])('refuses a bad %s', (path, rest, allowed, values) => {
    const [group, key] = path.split('.') as [string, string];
    for (const value of values) {
      const shown = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? 'undefined');
      expect(refusalOf({ ...LISTENING, [group]: { ...rest, [key]: value } })).toBe(
        `Option ${path}: ${shown} is not allowed; allowed: ${allowed}`,
      );
    }
  });

  it.each([
    ['ws', {}, 'paths', 'path'],
    ['tcp', { port: 0 }, 'prot', 'port'],
    ['tls', { certFile: 'c', keyFile: 'k' }, 'certfile', 'certFile'],
  ])('refuses an unknown option of %s', (group, rest, key, nearest) => {
    expect(refusalOf({ ...LISTENING, [group]: { ...rest, [key]: 'x' } })).toBe(
      `GateModule: unknown option "${group}.${key}"; did you mean "${group}.${nearest}"?`,
    );
  });

  it('freezes the result', () => {
    const resolved = resolveGateOptions({ ws: {}, tcp: { port: 0 }, tls: { certFile: 'c', keyFile: 'k' } });
    for (const part of [resolved, resolved.ws, resolved.tcp, resolved.tls]) expect(Object.isFrozen(part)).toBe(true);
  });

  it('does not change with what it was made of', () => {
    const origins = ['example.com'];
    const trustedProxies = ['10.0.0.1'];
    const ws = { origins, path: '/one' };
    const options = { ws, maxGroups: 1, trustedProxies };
    const resolved = resolveGateOptions(options);
    options.maxGroups = 2;
    ws.path = '/two';
    origins.push('evil.example');
    trustedProxies.push('0.0.0.0/0');
    expect(resolved).toMatchObject({
      maxGroups: 1,
      trustedProxies: ['10.0.0.1'],
      ws: { path: '/one', origins: ['example.com'] },
    });
  });
});

describe('doubtsAbout', () => {
  const doubts = (options: GateOptions): readonly string[] => doubtsAbout(options, resolveGateOptions(options));

  it.each<[why: string, options: GateOptions]>([
    ['a link that is undefined', { link: undefined }],
    ['a key that is undefined', { encryptKey: undefined }],
    ['a mode without a key', { encryptMode: 'aes-256-gcm' }],
    ['a heartOverTimer below pingInterval', { heartOverTimer: 1_000 }],
    ['a heartOverTimer equal to pingInterval', { heartOverTimer: 5_000, pingInterval: 5_000 }],
    ['a host without a port', { ws: { host: '0.0.0.0' } }],
  ])('warns of %s', (_why, options) => {
    expect(doubts(options)).toHaveLength(1);
    expect(doubts(options)[0]).toMatch(/^Option (link|encryptKey|heartOverTimer|ws\.host)\b/);
  });

  it.each<GateOptions>([
    {},
    { link: 'memory:' },
    { link: 'memory:', secret: undefined, nodeId: undefined },
    { encryptKey: 'key', encryptMode: 'aes-256-gcm' },
    { heartOverTimer: 1_000, pingInterval: 300 },
    { ws: { host: '0.0.0.0', port: 0 } },
  ])('finds nothing in %j', options => {
    expect(doubts(options)).toEqual([]);
  });
});
