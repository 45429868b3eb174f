import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadYaml } from './deploy-support.js';

export type Labels = Readonly<Record<string, string>>;

export interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string | number };
  readonly tcpSocket?: { readonly port: string | number };
  readonly initialDelaySeconds?: number;
  readonly periodSeconds?: number;
  readonly failureThreshold?: number;
}

export interface EnvVariable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly secretKeyRef?: { readonly name: string; readonly key: string; readonly optional?: boolean };
    readonly configMapKeyRef?: { readonly name: string; readonly key: string };
    readonly fieldRef?: { readonly fieldPath: string };
  };
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly env?: readonly EnvVariable[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly lifecycle?: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}

export interface PodSpec {
  readonly containers: readonly Container[];
  readonly terminationGracePeriodSeconds?: number;
  readonly volumes?: readonly {
    readonly name: string;
    readonly secret?: { readonly secretName: string };
    readonly configMap?: { readonly name: string };
    readonly persistentVolumeClaim?: { readonly claimName: string };
  }[];
}

export interface NetworkRule {
  readonly from?: readonly {
    readonly podSelector?: { readonly matchLabels: Labels };
    readonly namespaceSelector?: object;
  }[];
  readonly ports: readonly { readonly port: number }[];
}

/** As much of the kinds that are used as the tests look at. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Labels };
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly selector?: Labels | { readonly matchLabels: Labels };
    readonly template?: {
      readonly metadata: { readonly labels: Labels; readonly annotations?: Labels };
      readonly spec: PodSpec;
    };
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
    readonly serviceName?: string;
    readonly replicas?: number;
    readonly clusterIP?: string;
    readonly publishNotReadyAddresses?: boolean;
    readonly ports?: readonly { readonly name: string; readonly port: number; readonly targetPort: string | number }[];
    readonly podSelector?: { readonly matchLabels: Labels };
    readonly ingress?: readonly NetworkRule[];
    readonly strategy?: { readonly type?: string; readonly rollingUpdate?: object };
    readonly maxUnavailable?: number;
  };
}

export interface Kustomization {
  readonly namespace: string;
  readonly resources: readonly string[];
  readonly images: readonly { readonly name: string; readonly newName: string; readonly newTag: string }[];
}

/** Something that makes pods. */
export interface Workload {
  readonly name: string;
  readonly manifest: Manifest;
  readonly labels: Labels;
  readonly pod: PodSpec;
  readonly container: Container;
}

/** A folder of manifests, taken apart. */
export class ManifestFolder {
  readonly files: string[];
  readonly manifests: Manifest[];
  /** What is to be made by hand; not applied with the rest. */
  readonly templates: Manifest[];
  readonly kustomization: Kustomization;
  readonly workloads: Workload[];

  constructor(readonly path: string) {
    this.files = readdirSync(join(process.cwd(), path)).toSorted();
    const isTemplate = (file: string): boolean => file.endsWith('.template.yaml');
    const load = (files: string[]): Manifest[] => files.flatMap(file => loadYaml<Manifest>(`${path}/${file}`));
    this.kustomization = loadYaml<Kustomization>(`${path}/kustomization.yaml`)[0] as Kustomization;
    this.manifests = load(this.files.filter(file => file !== 'kustomization.yaml' && !isTemplate(file)));
    this.templates = load(this.files.filter(isTemplate));
    this.workloads = this.manifests.flatMap(manifest => {
      const { template } = manifest.spec ?? {};
      if (!template) return [];
      const [container, ...others] = template.spec.containers;
      if (!container || others.length > 0) throw new Error(`${manifest.metadata.name} has not one container`);
      const { labels } = template.metadata;
      return [{ name: manifest.metadata.name, manifest, labels, pod: template.spec, container }];
    });
  }

  ofKind(kind: string): Manifest[] {
    return this.manifests.filter(manifest => manifest.kind === kind);
  }

  /** The workloads whose pods a selector means. One without labels would mean all of them, and is a mistake here. */
  selected(selector: Labels | undefined): Workload[] {
    const wanted = Object.entries(selector ?? {});
    if (wanted.length === 0) return [];
    return this.workloads.filter(({ labels }) => wanted.every(([name, value]) => labels[name] === value));
  }

  /** The one workload behind a selector. @throws {Error} when there is none, or more than one. */
  theOne(selector: Labels | undefined): Workload {
    const [one, ...others] = this.selected(selector);
    if (!one || others.length > 0) throw new Error(`${JSON.stringify(selector)} selects not one workload`);
    return one;
  }

  /** Who may come in to a port of a workload; undefined where no policy says it, or one lets in everybody. */
  admitted(name: string, port: number): string[] | undefined {
    const policies = this.ofKind('NetworkPolicy').filter(
      ({ spec }) => this.theOne(spec?.podSelector?.matchLabels).name === name,
    );
    const all = policies.flatMap(({ spec }) => spec?.ingress ?? []);
    const rules = all.filter(rule => rule.ports.some(each => each.port === port));
    if (policies.length === 0 || rules.some(({ from }) => from === undefined)) return undefined;
    const peers = rules.flatMap(({ from = [] }) => from);
    return peers.map(({ podSelector }) => this.theOne(podSelector?.matchLabels).name).toSorted();
  }

  workload(name: string): Workload {
    const found = this.workloads.find(workload => workload.name === name);
    if (!found) throw new Error(`${this.path} has no ${name}`);
    return found;
  }
}

/** The number of a port that a pod has; undefined for one that it has not. */
export function portOf({ ports = [] }: Container, port: string | number): number | undefined {
  return ports.find(({ name, containerPort }) => name === port || containerPort === port)?.containerPort;
}

/** The environment as the container sees it: references filled in, those to Secrets with `secret`. */
export function environmentOf({ env = [] }: Container): Record<string, string> {
  const seen: Record<string, string> = {};
  const used = new Set<string>();
  for (const { name, value, valueFrom } of env) {
    if (name in seen) throw new Error(`${name} is there twice`);
    if (value !== undefined && typeof (value as unknown) !== 'string') throw new Error(`${name} is no text`);
    if ((value === undefined) === (valueFrom === undefined)) throw new Error(`${name} has not one value`);
    seen[name] = (
      value ?? (valueFrom?.fieldRef ? 'gate-7d9c8b6c4f-x2x4z' : 'a-secret-of-32-bytes-or-some-more')
    ).replace(/\$\(([A-Z_]+)\)/g, (_whole, other: string) => {
      // Kubernetes leaves a reference as it is when the variable does not stand above it.
      if (!(other in seen)) throw new Error(`${name} refers to ${other}, which is not above it`);
      used.add(other);
      return seen[other] as string;
    });
  }
  // What is there only to be put into another one is none that the app has to read.
  return Object.fromEntries(Object.entries(seen).filter(([name]) => !used.has(name)));
}
