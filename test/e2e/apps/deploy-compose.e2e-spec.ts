import { describe, expect, it } from '@jest/globals';
import { resolveGateOptions } from '@nestgate/gate';
import { appOf, constantOf, type Endpoint, exists, linkEndMs, loadYaml, read, wire } from './support/deploy-support.js';

type Environment = Readonly<Record<string, string | number>>;

interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly command?: readonly string[];
  readonly environment?: Environment;
  readonly ports?: readonly string[];
  readonly networks?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly stop_grace_period?: string;
  readonly deploy?: { readonly replicas: number };
  readonly ulimits?: { readonly nofile: { readonly soft: number; readonly hard: number } };
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
}

interface Compose {
  readonly name: string;
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean } | null>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

/** What Compose knows of a service, as far as it is used here; anything else it would refuse. */
const KEYS = new Set(
  (
    'image build command environment ports networks volumes depends_on healthcheck stop_grace_period deploy ulimits user ' +
    'read_only cap_drop security_opt restart'
  ).split(' '),
);
/** What the variables of the person who starts it are, as far as they must be set. */
const SECRETS: Readonly<Record<string, string>> = { REDIS_PASSWORD: 'a1b2', NESTGATE_SECRET: 'c3d4' };
/** Secrets of what is off without them. */
const OPTIONAL_SECRETS = new Set(['NESTGATE_JWT_SECRET']);
const VARIABLE = /\$\$|\$\{([A-Z_0-9]+)(?::([-?])([^}]*))?\}/g;

/** Puts variables in, as Compose does. */
function interpolate(text: string, env = SECRETS): string {
  return text.replace(VARIABLE, (whole, name: string | undefined, kind: string | undefined, rest = '') => {
    if (name === undefined) return '$';
    const value = env[name] ?? (kind === '-' ? (rest as string) : '');
    if (kind !== '-' && value === '') throw new Error(`${whole}: ${name} is not set`);
    return value;
  });
}

const interpolated = (env: Environment = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(env).map(([name, value]) => [name, interpolate(String(value))]));

const secondsOf = (text = ''): number => Number(/^(\d+)s$/.exec(text)?.[1]);

describe.each(['deploy/docker-compose.yml', 'deploy/docker-compose.tcp.yml'])('%s', path => {
  const [compose] = loadYaml<Compose>(path, true) as [Compose];
  const services = Object.entries(compose.services);
  const ours = services.flatMap(([name, service]) => {
    const app = appOf(service.command);
    return app === undefined ? [] : [{ name, app, service, wiring: wire(app, interpolated(service.environment)) }];
  });
  const gates = ours.filter(({ app }) => app === 'gate');
  const workers = ours.filter(({ app }) => app === 'worker');

  it('has two gates, workers, and nothing of this repository that it cannot start', () => {
    expect(gates).toHaveLength(2);
    expect(workers.map(({ service }) => service.deploy?.replicas)).toEqual([expect.any(Number)]);
    const built = services.filter(([, { build }]) => build).map(([name]) => name);
    expect(built.toSorted()).toEqual(ours.map(({ name }) => name).toSorted());
  });

  it('says nothing of a service that Compose does not know', () => {
    expect(services.flatMap(([, service]) => Object.keys(service)).filter(key => !KEYS.has(key))).toEqual([]);
  });

  it('has an image for each service, of a version and by its name alone, or builds it from what is there', () => {
    for (const [, { image, build }] of services) {
      if (build) {
        expect(build.context).toBe('..');
        expect(exists(build.dockerfile)).toBe(true);
        expect(image).toBe('nestgate');
      } else {
        expect(image).toMatch(/^[a-z]+:\d[\w.]*-[a-z]+$/);
      }
    }
  });

  it('waits for services that exist, and for health only where it is checked', () => {
    const isChecked = ({ build, healthcheck }: Service): boolean =>
      healthcheck !== undefined || (build !== undefined && /^HEALTHCHECK /m.test(read(build.dockerfile)));
    const waits = services.flatMap(([, { depends_on = {} }]) => Object.entries(depends_on));
    expect(waits.length).toBeGreaterThan(0);
    for (const [name, { condition }] of waits) {
      expect(['service_started', 'service_healthy']).toContain(condition);
      expect(compose.services).toHaveProperty(name);
      if (condition === 'service_healthy') expect(isChecked(compose.services[name] as Service)).toBe(true);
    }
    // An app is healthy when it can be used; the script asks the path that it is given.
    const apps = services.filter(([, { build }]) => build !== undefined);
    const checks = apps.map(([, { healthcheck }]) => healthcheck?.test);
    expect(checks).toEqual(apps.map(() => ['CMD', 'node', 'healthcheck.mjs', '/health/ready']));
    // NATS runs before the services that need it to start.
    const needsNats = ours.filter(({ wiring }) => wiring.dials.some(({ host }) => host === 'nats'));
    for (const { service } of needsNats) expect(service.depends_on?.['nats']?.condition).toBe('service_healthy');
    expect(services.filter(([, service]) => !isChecked(service))).toEqual([]);
  });

  it('declares the networks and volumes that are used, and no others', () => {
    const networks = new Set(services.flatMap(([, service]) => service.networks ?? ['default']));
    expect([...networks].toSorted()).toEqual(Object.keys(compose.networks).toSorted());
    const volumes = services.flatMap(([, service]) => (service.volumes ?? []).map(volume => volume.split(':')[0]));
    expect(volumes.toSorted()).toEqual(Object.keys(compose.volumes).toSorted());
    const open = services.filter(([, service]) => service.networks?.some(name => !compose.networks[name]?.internal));
    expect(open.map(([name]) => name).toSorted()).toEqual(gates.map(({ name }) => name).toSorted());
  });

  it('lets apps dial only what listens there, over one network', () => {
    const listens = ({ host, port }: Endpoint): boolean => {
      const gate = gates.find(({ name }) => name === host);
      if (gate) return gate.wiring.listens?.port === port && gate.wiring.listens.host === '0.0.0.0';
      const { command = [], image = '' } = compose.services[host] ?? {};
      const at = command.indexOf('--port');
      return at >= 0 ? command[at + 1] === String(port) : image.startsWith('redis:') && port === 6379;
    };
    for (const { service, wiring } of ours) {
      expect(wiring.dials.filter(endpoint => !listens(endpoint))).toEqual([]);
      for (const { host } of wiring.dials) {
        // With a second one the name would have two addresses, which stand for two gates.
        const shared = compose.services[host]?.networks?.filter(network => service.networks?.includes(network));
        expect(shared).toHaveLength(1);
      }
    }
  });

  it('joins gates and workers', () => {
    const all = gates.map(({ name }) => name);
    const brokers = new Set(gates.map(({ service }) => service.environment?.['NESTGATE_LINK']));
    expect(brokers.size).toBe(1);
    for (const { service, wiring } of workers) {
      if (gates[0]?.wiring.listens) {
        expect(wiring.dials.map(({ host }) => host)).toEqual(all);
        expect(service.environment?.['NESTGATE_SECRET']).toBe(gates[0].service.environment?.['NESTGATE_SECRET']);
      } else {
        expect(brokers).toContain(service.environment?.['NESTGATE_LINK']);
      }
    }
    for (const { service } of gates) expect(service.environment?.['NESTGATE_STORAGE']).toMatch(/^redis:/);
    const ids = gates.map(({ service }) => service.environment?.['NESTGATE_ID']);
    expect(new Set(ids).size).toBe(gates.length);
    // Replicas share their environment, and two nodes of one name do not get on.
    for (const { service } of workers) expect(service.environment).not.toHaveProperty('NESTGATE_ID');
  });

  it('publishes the gates on ports of their own, to this machine only', () => {
    const port = /^EXPOSE (\d+)/m.exec(read('deploy/Dockerfile'))?.[1];
    const published = services.flatMap(([name, service]) => (service.ports ?? []).map(text => ({ name, text })));
    expect(published.map(({ name }) => name)).toEqual(gates.map(({ name }) => name));
    const hosts = published.map(
      ({ text }) => new RegExp(`^127\\.0\\.0\\.1:(\\d+):${port}$`).exec(interpolate(text))?.[1],
    );
    expect(hosts).not.toContain(undefined);
    expect(new Set(hosts).size).toBe(hosts.length);
  });

  it('gives apps the time that they need to end, and gates room for clients', () => {
    const { drainTimeout, closeTimeout } = resolveGateOptions();
    const handlersMs = constantOf('libs/worker/src/topics/gate-transport.ts', 'DRAIN_MS');
    const linkMs = linkEndMs();
    for (const { service } of gates) {
      expect(secondsOf(service.stop_grace_period) * 1_000).toBeGreaterThan(drainTimeout + closeTimeout + linkMs);
      const { soft, hard } = service.ulimits?.nofile ?? { soft: 0, hard: 0 };
      expect(soft).toBe(hard);
      expect(hard).toBeGreaterThan(10_000);
    }
    for (const { service } of workers) {
      expect(secondsOf(service.stop_grace_period) * 1_000).toBeGreaterThan(handlersMs + linkMs);
    }
  });

  it('has no secret in it, and starts nothing without them', () => {
    const asked = new Set(Array.from(read(path).matchAll(VARIABLE), ([, name, kind]) => `${name}${kind}`));
    const secrets = [...asked].filter(name => /SECRET|PASSWORD/.test(name));
    expect(secrets.length).toBeGreaterThan(0);
    // Without a secret for them, nobody is asked for a token.
    expect(secrets.filter(name => !name.endsWith('?') && !OPTIONAL_SECRETS.has(name.slice(0, -1)))).toEqual([]);
    for (const [, { environment = {} }] of services) {
      for (const [name, value] of Object.entries(environment)) {
        if (OPTIONAL_SECRETS.has(name)) expect(value).toBe(`\${${name}:-}`);
        else if (/SECRET|PASSWORD|AUTH/.test(name)) expect(value).toMatch(/^\$\{\w+:\?[^}]+\}$/);
        const password = /^\w+:\/\/[^/]*?:(.*)@/.exec(String(value))?.[1];
        if (password !== undefined) expect(password).toMatch(/^\$\{\w+:\?[^}]+\}$/);
      }
    }
  });

  it('runs everything as nobody special', () => {
    const user = (service: Service): string => service.user ?? (service.build ? 'of the image' : 'root');
    for (const [, service] of services) {
      expect(user(service)).not.toMatch(/^(root|0)\b/);
      expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
    }
  });
});
