const ECHO = '"topic":"echo/echo"';

/** A value that nests so deep, and one around which stands the frame. */
export const nest = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
export const nestObjects = (depth: number): string => `${'{"a":'.repeat(depth - 1)}{}${'}'.repeat(depth - 1)}`;

const BAD_SHAPES = [
  '',
  ' ',
  'hello',
  'null',
  'true',
  '7',
  '"echo/echo"',
  '[]',
  `[{${ECHO}}]`,
  '{}',
  '{"id":1}',
  '{"body":1,"id":1}',
  '{"topic":7,"id":1}',
  '{"topic":null,"id":1}',
  '{"topic":["echo/echo"],"id":1}',
  '{"topic":{"toString":"echo/echo"},"id":1}',
  '{"Topic":"echo/echo","id":1}',
  '{"__proto__":{"topic":"echo/echo"},"id":1}',
  '{"constructor":{"prototype":{"topic":"echo/echo"}},"id":1}',
];

const BAD_SYNTAX = [
  `{${ECHO},"id":1`,
  `{${ECHO},"id":1}}`,
  `{${ECHO},"id":1} x`,
  `{${ECHO},"id":1}{${ECHO},"id":2}`,
  `{${ECHO},"id":1}\0`,
  `\ufeff{${ECHO},"id":1}`,
  `{${ECHO},"id":1,}`,
  `{,${ECHO},"id":1}`,
  `{${ECHO} "id":1}`,
  `{${ECHO},"id":1 "body":2}`,
  `{'topic':'echo/echo','id':1}`,
  `{topic:"echo/echo","id":1}`,
  `{${ECHO},"id":1} // done`,
  `\u00a0{${ECHO},"id":1}`,
  '{"topic":"echo/echo,"id":1}',
  '{"topic":"echo/\\echo","id":1}',
  '{"topic":"echo\necho","id":1}',
];

const BAD_BODIES = [
  '',
  '{',
  '{x}',
  '{"a"}',
  '{"a":}',
  '{"a":1,}',
  '{"a":1 "b":2}',
  '[1,]',
  '[1 2]',
  '[}',
  '{]',
  '[[}]',
  'tru',
  'nul',
  'True',
  'undefined',
  'NaN',
  'Infinity',
  '-',
  '+1',
  '01',
  '1.',
  '.5',
  '1e',
  '0x10',
  '1 2',
  "'x'",
  '"\\x"',
  '"\\u12"',
  '"a\nb"',
  '"a\tb"',
  '"open',
  '[1]2',
  '"a""b"',
  '/**/1',
].flatMap(body => [`{${ECHO},"body":${body},"id":1}`, `{"id":1, "body":${body}, ${ECHO}}`]);

const BAD_IDS = [
  '0',
  '-0',
  '-1',
  '1.5',
  '0.9',
  '"7"',
  'null',
  'true',
  '[7]',
  '{}',
  '01',
  '+1',
  '9007199254740992',
  '9007199254740993',
  '99999999999999999999',
  '1e400',
  '-1e400',
  '1e-400',
  'NaN',
].flatMap(id => [`{${ECHO},"body":1,"id":${id}}`, `{"id":${id},${ECHO}}`]);

const TOO_DEEP = [nest(32), nestObjects(32), nest(10_000), nestObjects(5_000), '['.repeat(60_000)].flatMap(deep => [
  `{${ECHO},"body":${deep},"id":1}`,
  `{"id":1,"extra":${deep},${ECHO}}`,
]);

/** What is no frame of `gate.json`, by what is wrong with it. */
export const BAD_FRAMES: readonly (readonly [what: string, frames: readonly string[]])[] = [
  ['of another shape', BAD_SHAPES],
  ['that is not JSON', BAD_SYNTAX],
  ['with a broken body', BAD_BODIES],
  ['with a bad id', BAD_IDS],
  ['that nests too deep', TOO_DEEP],
];
