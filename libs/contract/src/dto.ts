import type { SchemaIssue, SchemaResult, StandardSchema } from '@nestgate/protocol';

/** What is used of `class-validator`. */
interface Validator {
  validate(value: object, options: object): Promise<readonly Fault[]>;
}

/** What is used of `class-transformer`. */
interface Transformer {
  plainToInstance(Class: Constructor<object>, value: unknown, options: object): unknown;
}

/** A `ValidationError` of `class-validator`. */
interface Fault {
  readonly property: string;
  readonly constraints?: Readonly<Record<string, string>>;
  readonly children?: readonly Fault[];
}

type Constructor<T> = abstract new (...args: never[]) => T;

/** Options of {@link dto}: those of `class-validator`, and those of `class-transformer` under `transform`. */
export interface DtoOptions {
  /** Properties without a decorator are removed. */
  readonly whitelist?: boolean;
  /** Properties without a decorator are issues; needs `whitelist`. */
  readonly forbidNonWhitelisted?: boolean;
  /** The groups of decorators that apply. */
  readonly groups?: string[];
  /** Options of `plainToInstance`, such as `{ enableImplicitConversion: true }`. */
  readonly transform?: Readonly<Record<string, unknown>>;
}

/**
 * A schema made of a class with the decorators of `class-validator`. The body is an instance of the class then. Needs `class-validator`
 * and `class-transformer`, which are loaded with the first body.
 *
 * ```ts
 * say: request({ body: dto(SayDto, { whitelist: true }) })
 * ```
 */
export function dto<T extends object>(Class: Constructor<T>, options: DtoOptions = {}): StandardSchema<T, T> {
  const { transform = {}, ...rest } = options;
  // As with Nest's ValidationPipe.
  const rules = { forbidUnknownValues: false, ...rest };
  let packages: readonly [Validator, Transformer] | undefined;
  const validate = async (value: unknown): Promise<SchemaResult<T>> => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return NO_OBJECT;
    const [validator, transformer] = (packages ??= await load());
    const instance = transformer.plainToInstance(Class, value, transform) as T;
    const faults = await validator.validate(instance, rules);
    return faults.length === 0 ? { value: instance } : { issues: faults.flatMap(fault => issuesOf(fault, [])) };
  };
  return { '~standard': { version: 1, vendor: 'class-validator', validate } };
}

const NO_OBJECT = Object.freeze({ issues: [{ message: 'must be an object' }] });

async function load(): Promise<readonly [Validator, Transformer]> {
  try {
    return [await import('class-validator'), await import('class-transformer')];
  } catch (error) {
    throw new Error('dto() needs the packages class-validator and class-transformer: npm install them', {
      cause: error,
    });
  }
}

/** The messages of a property, and of those below it. */
function issuesOf({ property, constraints = {}, children = [] }: Fault, above: readonly string[]): SchemaIssue[] {
  const path = [...above, property];
  const own = Object.values(constraints).map(message => ({ message, path }));
  return [...own, ...children.flatMap(child => issuesOf(child, path))];
}
