import { describe, expect, it } from '@jest/globals';
import { parseNatsUrl } from './nats-url.js';

const refusalOf = (url: string): string => {
  try {
    parseNatsUrl(url);
  } catch (error) {
    expect(error).toMatchObject({ code: 'BAD_ARGUMENT' });
    return (error as Error).message;
  }
  throw new Error(`${url} was accepted`);
};

describe('parseNatsUrl', () => {
  it.each([
    ['nats://a', ['a:4222']],
    ['nats://a:1/', ['a:1']],
    ['nats://a:1,b:2,c', ['a:1', 'b:2', 'c:4222']],
    ['nats://a:1,nats://b:2', ['a:1', 'b:2']],
    ['nats://[::1]:7,[fe80::1]', ['[::1]:7', '[fe80::1]:4222']],
    ['nats://127.0.0.1:65535', ['127.0.0.1:65535']],
  ])('reads the servers of %s', (url, servers) => {
    expect(parseNatsUrl(url)).toMatchObject({ servers, secure: false, files: {} });
  });

  it('reads a user, whatever the password is made of', () => {
    expect(parseNatsUrl('nats://u:p@h')).toMatchObject({ user: 'u', pass: 'p', servers: ['h:4222'] });
    expect(parseNatsUrl('nats://u:123@h:7,i')).toMatchObject({ user: 'u', pass: '123', servers: ['h:7', 'i:4222'] });
    expect(parseNatsUrl('nats://u:@h')).toMatchObject({ user: 'u', pass: '' });
    expect(parseNatsUrl('nats://u:a:b@c@h')).toMatchObject({ pass: 'a:b@c' });
    const odd = '@:,/?#% é';
    expect(parseNatsUrl(`nats://u:${encodeURIComponent(odd)}@h`)).toMatchObject({ user: 'u', pass: odd });
    expect(parseNatsUrl('nats://u:p@h,u:p@i')).toMatchObject({ user: 'u', servers: ['h:4222', 'i:4222'] });
  });

  it('reads a token', () => {
    expect(parseNatsUrl('nats://t0k%40en@h:1')).toMatchObject({ token: 't0k@en', servers: ['h:1'] });
  });

  it('reads the query', () => {
    const url = 'tls://h?namespace=shop&creds=/run/my%20creds&ca=/ca.pem&cert=/c.pem&key=/k.pem';
    expect(parseNatsUrl(url)).toMatchObject({
      secure: true,
      namespace: 'shop',
      files: { creds: '/run/my creds', ca: '/ca.pem', cert: '/c.pem', key: '/k.pem' },
    });
  });

  it.each([
    ['nats://h', false],
    ['tls://h', true],
    ['nats://h?ca=x', true],
    ['nats://h?cert=x&key=y', true],
    ['nats://h?creds=x', false],
  ])('knows whether %s wants TLS', (url, secure) => {
    expect(parseNatsUrl(url).secure).toBe(secure);
  });

  it('knows which hosts are addresses', () => {
    expect(parseNatsUrl('tls://10.0.0.1,h:1,[::1]').addresses).toEqual(['10.0.0.1', '::1']);
  });

  it('names an unknown key, and those that are allowed', () => {
    const message = refusalOf('nats://h?name=x');
    expect(message).toContain('the key name');
    for (const key of ['namespace', 'creds', 'nkey', 'ca', 'cert', 'key']) expect(message).toContain(`${key}=`);
  });

  it.each([
    ['nats://h?creds=', 'creds needs one value'],
    ['nats://h?ca=a&ca=b', 'ca needs one value'],
    ['nats://h?cert=a', 'cert and key need each other'],
    ['nats://h?key=a', 'cert and key need each other'],
    ['nats://u:p@h?creds=a', 'credentials are one of'],
    ['nats://h?nkey=b&creds=a', 'credentials are one of'],
    ['nats://t@h?nkey=b', 'credentials are one of'],
    ['nats://u:p@h,v:p@i', 'the same credentials'],
  ])('refuses %s: %s', (url, why) => {
    expect(refusalOf(url)).toContain(why);
  });

  it.each([
    'nats:',
    'nats://',
    'nats:///path',
    'nats://h/path',
    'nats://h:',
    'nats://h:0',
    'nats://h:65536',
    'nats://h:x',
    'nats://h,',
    'nats://a b',
    'nats://::1',
    'http://h',
    'h:4222',
    'nats://h#x',
    '',
  ])('refuses %j', url => {
    expect(refusalOf(url)).toContain('allowed: nats://');
  });

  it.each([
    'nats://user:s3cret',
    'nats://user:s3cret@',
    'nats://user:s3cret@h:x',
    'nats://user:s3cret,more@h',
    'nats://user:s3cret/more@h',
    'nats://user:more?s3cret@h',
    'nats://user:12?s3cret=1@h',
    'nats://user:12#s3cret@h',
    'nats://user:s3cret%@h',
    'nats://s3cret@h:x',
    'nats://user:s3cret@h?name=x',
    'nats://user:s3cret@h,v:w@i',
    'nats://h?s3cret-of-mine',
  ])('keeps what may be a secret to itself: %s', url => {
    expect(refusalOf(url)).not.toContain('s3cret');
  });
});
