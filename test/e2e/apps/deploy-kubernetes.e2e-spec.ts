import { describe, expect, it } from '@jest/globals';
import { resolveGateOptions } from '@nestgate/gate';
import { environmentOf, type Labels, ManifestFolder, portOf } from './support/deploy-kubernetes-support.js';
import { appOf, constantOf, type Endpoint, linkEndMs, read, wire } from './support/deploy-support.js';

const API_VERSIONS: Readonly<Record<string, string>> = {
  Namespace: 'v1',
  Service: 'v1',
  Secret: 'v1',
  Deployment: 'apps/v1',
  StatefulSet: 'apps/v1',
  PodDisruptionBudget: 'policy/v1',
  NetworkPolicy: 'networking.k8s.io/v1',
};

const TCP_DIALER = 'libs/link/src/drivers/tcp/endpoint/tcp-dialer.ts';

describe.each(['nats', 'tcp'])('deploy/kubernetes/%s', variant => {
  const folder = new ManifestFolder(`deploy/kubernetes/${variant}`);
  const { manifests, templates, workloads, kustomization } = folder;
  const gate = folder.workload('gate');
  const worker = folder.workload('worker');
  const ours = [gate, worker].map(({ container, pod, manifest }) => {
    const app = appOf(container.command) ?? '';
    return { container, pod, manifest, app, wiring: wire(app, environmentOf(container)) };
  });
  const [gateWiring, workerWiring] = ours.map(({ wiring }) => wiring);
  const matchLabels = (selector: object | undefined) => (selector as { matchLabels?: Labels } | undefined)?.matchLabels;

  it('consists of named things of kinds that there are, each once', () => {
    const all = [...manifests, ...templates];
    for (const { apiVersion, kind, metadata } of all) {
      expect(apiVersion).toBe(API_VERSIONS[kind]);
      expect(metadata.name).toMatch(/^[a-z][a-z0-9-]*$/);
    }
    expect(new Set(all.map(({ kind, metadata }) => `${kind}/${metadata.name}`)).size).toBe(all.length);
  });

  it('has a kustomization that lists its files, but not what is to be made by hand', () => {
    const listed = folder.files.filter(file => file !== 'kustomization.yaml' && !file.endsWith('.template.yaml'));
    expect(kustomization.resources.toSorted()).toEqual(listed);
    expect(kustomization).toMatchObject({ apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization' });
    const namespaces = folder.ofKind('Namespace').map(({ metadata }) => metadata.name);
    expect(namespaces).toEqual([kustomization.namespace]);
    expect(templates.map(({ metadata }) => metadata.namespace)).toEqual(namespaces);
  });

  it('has selectors that mean just the pods they are written for', () => {
    for (const { manifest, name } of workloads) {
      expect(folder.theOne(matchLabels(manifest.spec?.selector)).name).toBe(name);
    }
    const budgets = folder.ofKind('PodDisruptionBudget');
    const guarded = budgets.map(({ spec }) => folder.theOne(matchLabels(spec?.selector)).name);
    expect(guarded.toSorted()).toEqual(['gate', 'worker']);
    // One that allows no disruption blocks the draining of nodes.
    for (const { spec } of budgets) expect(spec?.maxUnavailable).toBeGreaterThanOrEqual(1);
    for (const { manifest } of ours) expect(manifest.spec?.replicas).toBeGreaterThanOrEqual(2);
  });

  it('has Services that lead to ports of pods', () => {
    const services = folder.ofKind('Service');
    for (const { spec } of services) {
      const { container } = folder.theOne(spec?.selector as Labels);
      expect(spec?.ports?.filter(({ targetPort }) => portOf(container, targetPort) === undefined)).toEqual([]);
      expect(spec?.ports?.length).toBeGreaterThan(0);
    }
    const named = workloads.flatMap(({ manifest }) => manifest.spec?.serviceName ?? []);
    const names = new Set(services.map(({ metadata }) => metadata.name));
    expect(named.filter(name => !names.has(name))).toEqual([]);
    const entrance = services.find(({ metadata }) => metadata.name === 'gate');
    expect(portOf(gate.container, entrance?.spec?.ports?.[0]?.targetPort ?? '')).toBe(portOf(gate.container, 'http'));
  });

  it('lets apps dial only Services that are there', () => {
    const listens = ({ host, port }: Endpoint): boolean => {
      const [name, ...domain] = host.split('.');
      const service = folder.ofKind('Service').find(({ metadata }) => metadata.name === name);
      const isHere = domain.length === 0 || domain.join('.') === `${kustomization.namespace}.svc.cluster.local`;
      return isHere && service?.spec?.ports?.some(each => each.port === port) === true;
    };
    for (const { wiring } of ours) expect(wiring.dials.filter(endpoint => !listens(endpoint))).toEqual([]);
    expect(ours.map(({ app }) => app)).toEqual(['gate', 'worker']);
    expect(gateWiring?.dials.map(({ host }) => host)).toContain('redis');
  });

  it('probes ports that are there, and the health on NESTGATE_OPS_PORT', () => {
    for (const { container } of workloads) {
      for (const probe of [container.readinessProbe, container.livenessProbe]) {
        const port = probe?.httpGet?.port ?? probe?.tcpSocket?.port ?? '';
        expect(portOf(container, port)).toBeGreaterThan(0);
      }
    }
    for (const { container, pod } of ours) {
      const { NESTGATE_OPS_PORT } = environmentOf(container);
      const { readinessProbe, livenessProbe } = container;
      // An outage of the link is no reason to restart a gate with all its clients.
      expect([readinessProbe, livenessProbe].map(probe => probe?.httpGet?.path)).toEqual(['/health/ready', '/health']);
      for (const probe of [readinessProbe, livenessProbe]) {
        expect(String(portOf(container, probe?.httpGet?.port ?? ''))).toBe(NESTGATE_OPS_PORT);
      }
      // A draining app fails its health check, and must not be killed for it.
      const { periodSeconds = 10, failureThreshold = 3 } = livenessProbe ?? {};
      expect(periodSeconds * failureThreshold).toBeGreaterThan(pod.terminationGracePeriodSeconds ?? 30);
    }
  });

  it('tells Prometheus where the metrics are', () => {
    for (const { container, manifest } of ours) {
      const { NESTGATE_OPS_PORT = '' } = environmentOf(container);
      expect(manifest.spec?.template?.metadata.annotations).toEqual({
        'prometheus.io/scrape': 'true',
        'prometheus.io/port': NESTGATE_OPS_PORT,
        'prometheus.io/path': '/metrics',
      });
    }
  });

  it('refers to Secrets, ConfigMaps, claims and volumes that there are', () => {
    const keysOf = (kind: string, name: string): string[] => {
      const found = [...manifests, ...templates].find(each => each.kind === kind && each.metadata.name === name);
      return Object.keys({ ...found?.data, ...found?.stringData });
    };
    const used = new Set<string>();
    for (const { container, pod, manifest } of workloads) {
      for (const { valueFrom } of container.env ?? []) {
        const { secretKeyRef: secret, configMapKeyRef: map } = valueFrom ?? {};
        if (secret?.optional) continue;
        if (secret) expect(keysOf('Secret', secret.name)).toContain(secret.key);
        if (map) expect(keysOf('ConfigMap', map.name)).toContain(map.key);
        if (secret) used.add(secret.key);
      }
      for (const { secret, configMap, persistentVolumeClaim: claim } of pod.volumes ?? []) {
        if (secret) expect(keysOf('Secret', secret.secretName)).not.toEqual([]);
        if (configMap) expect(keysOf('ConfigMap', configMap.name)).not.toEqual([]);
        const claims = folder.ofKind('PersistentVolumeClaim').map(({ metadata }) => metadata.name);
        if (claim) expect(claims).toContain(claim.claimName);
      }
      const volumes = [
        ...(pod.volumes ?? []).map(({ name }) => name),
        ...(manifest.spec?.volumeClaimTemplates ?? []).map(({ metadata }) => metadata.name),
      ];
      expect((container.volumeMounts ?? []).map(({ name }) => name).toSorted()).toEqual(volumes.toSorted());
    }
    expect([...used].toSorted()).toEqual(
      templates.flatMap(({ stringData = {} }) => Object.keys(stringData)).toSorted(),
    );
  });

  it('has no secret in it', () => {
    for (const { data, stringData } of templates) {
      expect(data).toBeUndefined();
      expect(Object.values(stringData ?? {}).join('')).toBe('');
    }
    expect(folder.ofKind('Secret')).toEqual([]);
    for (const { container } of workloads) {
      for (const { name, value = '' } of container.env ?? []) {
        if (/SECRET|PASSWORD/.test(name)) expect(value).toBe('');
        const password = /^\w+:\/\/[^/]*?:(.*)@/.exec(value)?.[1];
        if (password !== undefined) expect(password).toMatch(/^\$\([A-Z_]+\)$/);
      }
    }
  });

  it('has images of a version and by their names alone; ours gets its version from the kustomization', () => {
    const [image, ...others] = kustomization.images;
    expect(others).toEqual([]);
    expect(image).toEqual({ name: 'nestgate', newName: 'nestgate', newTag: expect.stringMatching(/^\d+\.\d+\.\d+$/) });
    for (const { name, container } of workloads) {
      if (name === 'gate' || name === 'worker') expect(container.image).toBe(image?.name);
      else expect(container.image).toMatch(/^[a-z]+:\d[\w.]*-[a-z]+$/);
    }
  });

  it('keeps pods from everything that they do not need', () => {
    const [namespace] = folder.ofKind('Namespace');
    expect(namespace?.metadata.labels?.['pod-security.kubernetes.io/enforce']).toBe('restricted');
    for (const { pod, container } of workloads) {
      expect(pod).toMatchObject({
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      });
      expect(container).toMatchObject({
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        resources: {
          requests: { cpu: expect.any(String), memory: expect.any(String) },
          limits: { memory: expect.any(String) },
        },
      });
    }
    const user = /^USER (\d+):(\d+)$/m.exec(read('deploy/Dockerfile'))?.slice(1).map(Number);
    for (const { pod } of ours)
      expect(pod).toMatchObject({ securityContext: { runAsUser: user?.[0], runAsGroup: user?.[1] } });
  });

  it('gives apps the time that they need to end', () => {
    const { drainTimeout, closeTimeout } = resolveGateOptions();
    const [sleep, seconds] = gate.container.lifecycle?.preStop.exec.command ?? [];
    expect(sleep).toBe('sleep');
    const linkMs = linkEndMs();
    const gateMs = Number(seconds) * 1_000 + drainTimeout + closeTimeout + linkMs;
    expect((gate.pod.terminationGracePeriodSeconds ?? 0) * 1_000).toBeGreaterThan(gateMs);
    const workerMs = constantOf('libs/worker/src/topics/gate-transport.ts', 'DRAIN_MS') + linkMs;
    expect((worker.pod.terminationGracePeriodSeconds ?? 0) * 1_000).toBeGreaterThan(workerMs);
    for (const { manifest } of ours) {
      expect(manifest.spec?.strategy?.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 });
    }
  });

  it('lets nobody but its nodes reach the link, and nobody but gates the storage', () => {
    for (const { spec } of folder.ofKind('NetworkPolicy')) {
      const { container } = folder.theOne(matchLabels(spec?.podSelector));
      const ports = (spec?.ingress ?? []).flatMap(rule => rule.ports.map(({ port }) => port));
      expect(ports.filter(port => portOf(container, port) === undefined)).toEqual([]);
    }
    expect(folder.admitted('redis', 6379)).toEqual(['gate']);
    expect(folder.admitted('gate', 3000)).toBeUndefined();
    const services = folder.ofKind('Service').flatMap(({ spec }) => spec?.ports ?? []);
    expect(services.filter(({ targetPort }) => targetPort === 'operations')).toEqual([]);
    if (variant === 'tcp') {
      const rules = folder.ofKind('NetworkPolicy').flatMap(({ spec }) => spec?.ingress ?? []);
      const operations = rules.filter(({ ports }) => ports.some(({ port }) => port === 9464));
      expect(operations.map(({ from }) => from)).toEqual([[{ namespaceSelector: {} }]]);
    }
    if (variant === 'tcp') expect(folder.admitted('gate', 7400)).toEqual(['worker']);
    else expect(folder.admitted('nats', 4222)).toEqual(['gate', 'worker']);
  });

  if (variant === 'tcp') {
    it('lets workers find each gate before clients do', () => {
      expect(gateWiring?.listens).toEqual({ host: '0.0.0.0', port: portOf(gate.container, 'link') });
      const [dialled, ...others] = workerWiring?.dials ?? [];
      expect(others).toEqual([]);
      const service = folder.ofKind('Service').find(({ metadata }) => dialled?.host.startsWith(`${metadata.name}.`));
      expect(service?.spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
      expect(folder.theOne(service?.spec?.selector as Labels).name).toBe('gate');
      expect(service?.spec?.ports).toEqual([{ name: 'link', port: gateWiring?.listens?.port, targetPort: 'link' }]);
      // An address that is published now is found with the next lookup, and DNS keeps the old answer for some seconds.
      const lookupSeconds = constantOf(TCP_DIALER, '(?:LOOKUP_MS|lookupMs)') / 1_000;
      expect(gate.container.readinessProbe?.initialDelaySeconds).toBeGreaterThanOrEqual(lookupSeconds + 5);
    });
  } else {
    it('has one NATS at a time', () => {
      const { manifest, container } = folder.workload('nats');
      expect(manifest.spec).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } });
      const at = (container.command ?? []).indexOf('--port');
      expect(Number(container.command?.[at + 1])).toBe(portOf(container, 'nats'));
      expect(workerWiring?.dials).toEqual(gateWiring?.dials.filter(({ host }) => host !== 'redis'));
    });
  }
});

describe('deploy/kubernetes', () => {
  it.each(['namespace.yaml', 'redis.yaml'])('has the same %s in both folders', file => {
    expect(read(`deploy/kubernetes/tcp/${file}`)).toBe(read(`deploy/kubernetes/nats/${file}`));
  });
});
