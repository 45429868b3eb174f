import { type JsonSchema, UNKNOWN_SCHEMA } from './json-schema.js';

/** Why a value of one schema may not fit another one. */
export interface Narrowing {
  readonly code:
    | 'field-required'
    | 'field-removed'
    | 'field-optional'
    | 'field-refused'
    | 'type-changed'
    | 'value-refused'
    | 'value-added'
    | 'limit-narrowed'
    | 'schema-changed';
  readonly path: string;
  readonly message: string;
}

type Schema = JsonSchema | boolean | undefined;

/** A type and what is said of its values: one of the alternatives of a schema. */
interface Alternative {
  /** `undefined`: of any type. */
  readonly type: string | undefined;
  readonly schema: JsonSchema;
}

const LOWER = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'];
const UPPER = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'];
/** Keywords that say nothing about values, and those that are compared one by one. */
const UNDERSTOOD: ReadonlySet<string> = new Set(
  '$schema $id $ref $defs definitions title description default examples deprecated readOnly writeOnly $comment'
    .split(' ')
    .concat('type enum const properties required additionalProperties items anyOf oneOf'.split(' '), LOWER, UPPER),
);
/** Keywords that narrow a type by what a value looks like. */
const CHECKS: ReadonlySet<string> = new Set(['format', 'pattern', 'multipleOf', 'uniqueItems']);
/** Choices within choices, in schemas that refer to themselves. */
const MAX_NESTED_CHOICES = 16;
const NONE: readonly Narrowing[] = Object.freeze([]);

/**
 * Compares JSON Schemas of two documents. For what clients send, each value of the old schema must fit the new one; for what they
 * receive, each value of the new schema must fit the old one.
 */
export class SchemaComparison {
  /** What was found for two schemas. While they are being compared that is nothing: a schema may refer to itself. */
  private readonly known = new Map<JsonSchema, Map<JsonSchema, readonly Narrowing[]>>();
  private readonly isSent: boolean;
  private readonly source: SchemaReader;
  private readonly target: SchemaReader;

  constructor(before: object, after: object, side: 'sent' | 'received') {
    this.isSent = side === 'sent';
    this.source = new SchemaReader(this.isSent ? before : after);
    this.target = new SchemaReader(this.isSent ? after : before);
  }

  /** What breaks for clients; nothing where one of the schemas is not known. */
  compare(was: Schema, is: Schema, path: string): readonly Narrowing[] {
    return below(path, this.isSent ? this.fits(was, is) : this.fits(is, was));
  }

  /** Why values of `source` may not fit `target`. */
  private fits(source: Schema, target: Schema): readonly Narrowing[] {
    const from = this.source.resolve(source);
    const to = this.target.resolve(target);
    if (from[UNKNOWN_SCHEMA] === true || to[UNKNOWN_SCHEMA] === true) return NONE;
    const others = this.known.get(from) ?? new Map<JsonSchema, readonly Narrowing[]>();
    const before = others.get(to);
    if (before) return before;
    this.known.set(from, others.set(to, NONE));
    const targets = this.target.alternatives(to);
    const found = this.source.alternatives(from).flatMap(each => this.fitsAny(each, targets));
    others.set(to, found);
    return found;
  }

  private fitsAny(source: Alternative, targets: readonly Alternative[]): readonly Narrowing[] {
    const likely = targets.filter(target => typeFits(source.type, target.type));
    // Where one may fit, what does not fit in it is named.
    if (likely.length === 1) return this.fitsOne(source.schema, (likely[0] as Alternative).schema);
    if (likely.some(target => this.fitsOne(source.schema, target.schema).length === 0)) return NONE;
    return [{ code: 'type-changed', path: '', message: this.typeMessage(source, targets) }];
  }

  private fitsOne(source: JsonSchema, target: JsonSchema): readonly Narrowing[] {
    const items = target['items'] as Schema | readonly Schema[];
    return [
      ...this.valuesFit(source, target),
      ...this.fieldsFit(source, target),
      ...(isOneSchema(items) ? below('[]', this.fits(source['items'] as Schema, items)) : NONE),
      ...(this.isSent ? limitsFit(source, target) : NONE),
      ...this.othersFit(source, target),
    ];
  }

  private valuesFit(source: JsonSchema, target: JsonSchema): readonly Narrowing[] {
    const allowed = valuesOf(target);
    if (!allowed) return NONE;
    const known = new Set(allowed.map(value => JSON.stringify(value)));
    const rest = valuesOf(source)?.filter(value => !known.has(JSON.stringify(value)));
    if (rest?.length === 0) return NONE;
    const what = rest ? rest.map(value => JSON.stringify(value)).join(', ') : 'a value that is not listed';
    if (this.isSent) return [{ code: 'value-refused', path: '', message: `${what} is no longer accepted` }];
    return [{ code: 'value-added', path: '', message: `${what} is new` }];
  }

  private fieldsFit(source: JsonSchema, target: JsonSchema): readonly Narrowing[] {
    const given = fieldsOf(source);
    const wanted = fieldsOf(target);
    const found = Object.entries(wanted.properties).flatMap(([name, schema]) => {
      const isThere = Object.hasOwn(given.properties, name);
      const inside = isThere ? this.fits(given.properties[name], schema) : NONE;
      const isRequired = wanted.required.has(name) && !given.required.has(name);
      return below(`.${name}`, [...inside, ...this.presence(isThere, isRequired)]);
    });
    // What clients do not know in what they get, they do not look at.
    return this.isSent ? [...found, ...this.extrasFit(given, wanted)] : found;
  }

  private presence(isThere: boolean, isRequired: boolean): readonly Narrowing[] {
    if (!this.isSent && !isThere) return [{ code: 'field-removed', path: '', message: 'the field is gone' }];
    if (!isRequired) return NONE;
    if (!this.isSent) return [{ code: 'field-optional', path: '', message: 'the field may be missing now' }];
    const message = isThere ? 'the field is required now' : 'the field is new and required';
    return [{ code: 'field-required', path: '', message }];
  }

  /** Fields that the target does not name. */
  private extrasFit(given: Fields, { properties, additional }: Fields): readonly Narrowing[] {
    if (additional === undefined || additional === true) return NONE;
    const extras = Object.entries(given.properties).filter(([name]) => !Object.hasOwn(properties, name));
    if (additional !== false) {
      const free =
        given.additional === false || given.additional === undefined ? NONE : this.fits(given.additional, additional);
      return [
        ...extras.flatMap(([name, schema]) => below(`.${name}`, this.fits(schema, additional))),
        ...below('.*', free),
      ];
    }
    const names =
      typeof given.additional === 'object' ? [...extras.map(([name]) => name), '*'] : extras.map(([name]) => name);
    return names.map(name => ({ code: 'field-refused', path: `.${name}`, message: 'the field is no longer accepted' }));
  }

  /** Keywords that are not understood here: what is new or different in them may refuse something. */
  private othersFit(source: JsonSchema, target: JsonSchema): readonly Narrowing[] {
    return Object.entries(target).flatMap(([keyword, value]): readonly Narrowing[] => {
      const isTuple = keyword === 'items' && !isOneSchema(value);
      if (!isTuple && (UNDERSTOOD.has(keyword) || keyword.startsWith('x-'))) return NONE;
      // Formats and patterns of what clients receive are no types of theirs.
      if (!this.isSent && CHECKS.has(keyword)) return NONE;
      if (JSON.stringify(source[keyword]) === JSON.stringify(value)) return NONE;
      const message = `${keyword} is ${source[keyword] === undefined ? 'new' : 'different'}`;
      return [{ code: 'schema-changed', path: '', message }];
    });
  }

  private typeMessage(source: Alternative, targets: readonly Alternative[]): string {
    const one = source.type ?? 'any type';
    const other = [...new Set(targets.map(({ type }) => type ?? 'any type'))].join(' or ');
    return this.isSent ? `it was ${one}, and is ${other}` : `it was ${other}, and may be ${one}`;
  }
}

function limitsFit(source: JsonSchema, target: JsonSchema): readonly Narrowing[] {
  // The values of a list are compared one by one.
  if (valuesOf(source)) return NONE;
  return [...LOWER, ...UPPER].flatMap((keyword): readonly Narrowing[] => {
    const is = target[keyword];
    const was = source[keyword];
    if (typeof is !== 'number') return NONE;
    if (typeof was === 'number' && (UPPER.includes(keyword) ? is >= was : is <= was)) return NONE;
    const message = typeof was === 'number' ? `${keyword} was ${was}, and is ${is}` : `${keyword} is ${is} now`;
    return [{ code: 'limit-narrowed', path: '', message }];
  });
}

function below(path: string, found: readonly Narrowing[]): readonly Narrowing[] {
  return found.map(each => ({ ...each, path: path + each.path }));
}

function isOneSchema(items: unknown): items is JsonSchema | boolean {
  return items !== undefined && !Array.isArray(items);
}

/** Reads the schemas of a document. */
class SchemaReader {
  private readonly resolved = new Map<JsonSchema, JsonSchema>();

  constructor(private readonly document: object) {}

  /** Follows references, and merges what must hold together (`allOf`). The same object for the same schema. */
  resolve(schema: Schema): JsonSchema {
    if (schema === undefined || schema === true) return ANYTHING;
    if (schema === false) return NOTHING;
    const before = this.resolved.get(schema);
    if (before) return before;
    // What leads back to itself allows anything.
    this.resolved.set(schema, ANYTHING);
    const { $ref: reference, allOf, ...rest } = schema;
    let found = schema;
    if (typeof reference === 'string') found = this.resolve(this.lookUp(reference));
    else if (Array.isArray(allOf)) found = (allOf as Schema[]).map(part => this.resolve(part)).reduce(merged, rest);
    this.resolved.set(schema, found);
    return found;
  }

  /** The schemas of which a value must fit one, each for one type. Single values of one type are one of them. */
  alternatives(schema: JsonSchema): readonly Alternative[] {
    const values = new Map<string | undefined, unknown[]>();
    const rest = this.choices(schema).filter(({ type, schema: choice }) => {
      const listed = valuesOf(choice);
      if (listed) values.set(type, [...(values.get(type) ?? []), ...listed]);
      return !listed;
    });
    return [...rest, ...Array.from(values, ([type, listed]) => ({ type, schema: { enum: listed } }))];
  }

  private choices(schema: JsonSchema, depth = 0): readonly Alternative[] {
    const { anyOf, oneOf, ...rest } = schema;
    const choices = Array.isArray(anyOf) ? anyOf : oneOf;
    if (Array.isArray(choices) && depth < MAX_NESTED_CHOICES) {
      return (choices as Schema[]).flatMap(choice => this.choices(merged(rest, this.resolve(choice)), depth + 1));
    }
    const { type } = schema;
    if (Array.isArray(type))
      return (type as string[]).map(each => ({ type: each, schema: valuesOfType(schema, each) }));
    return [{ type: typeof type === 'string' ? type : typeOfValues(schema), schema }];
  }

  private lookUp(reference: string): Schema {
    let found: unknown = this.document;
    for (const part of reference.replace(/^#\/?/, '').split('/')) {
      const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
      const isThere = typeof found === 'object' && found !== null && Object.hasOwn(found, key);
      found = isThere ? (found as JsonSchema)[key] : undefined;
    }
    return found as Schema;
  }
}

const ANYTHING: JsonSchema = Object.freeze({});
const NOTHING: JsonSchema = Object.freeze({ enum: [] });

function merged(one: JsonSchema, other: JsonSchema): JsonSchema {
  const properties = { ...(one['properties'] as object | undefined), ...(other['properties'] as object | undefined) };
  const required = [...listOf(one['required']), ...listOf(other['required'])];
  return {
    ...one,
    ...other,
    ...(Object.keys(properties).length > 0 && { properties }),
    ...(required.length > 0 && { required: [...new Set(required)] }),
  };
}

/** The values of a list that are of a type: `{ type: ['string', 'null'], enum: ['a', null] }`. */
function valuesOfType(schema: JsonSchema, type: string): JsonSchema {
  const values = valuesOf(schema);
  return values ? { ...schema, enum: values.filter(value => typeFits(typeName(value), type)) } : schema;
}

/** The type of `enum` and `const`, where it is one. */
function typeOfValues(schema: JsonSchema): string | undefined {
  const types = new Set(valuesOf(schema)?.map(typeName));
  return types.size === 1 ? [...types][0] : undefined;
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Number.isInteger(value)) return 'integer';
  return Array.isArray(value) ? 'array' : typeof value;
}

function typeFits(source: string | undefined, target: string | undefined): boolean {
  if (target === undefined || source === target) return true;
  return source === 'integer' && target === 'number';
}

function valuesOf(schema: JsonSchema): readonly unknown[] | undefined {
  if ('const' in schema) return [schema['const']];
  return Array.isArray(schema['enum']) ? (schema['enum'] as unknown[]) : undefined;
}

interface Fields {
  readonly properties: Readonly<Record<string, Schema>>;
  readonly required: ReadonlySet<string>;
  readonly additional: Schema;
}

function fieldsOf(schema: JsonSchema): Fields {
  return {
    properties: (schema['properties'] ?? {}) as Fields['properties'],
    required: new Set(listOf(schema['required'])),
    additional: schema['additionalProperties'] as Schema,
  };
}

function listOf(value: unknown): string[] {
  return Array.isArray(value) ? (value as string[]) : [];
}
