// Compares the contract of the chat example with the document that is committed: breaking changes end it with 1.
//   npm run contract             what has changed for clients
//   npm run contract -- --write  writes the document, also after a breaking change
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { toJsonSchema } from '@valibot/to-json-schema';
import { chat } from '@nestgate-app/handlers/chat.contract';
import { compareContracts, toAsyncApi } from '@nestgate/contract/asyncapi';

const FILE = 'apps/handlers/chat.asyncapi.json';
const INFO = { title: 'nestgate chat', version: '1.0.0' };

const { values } = parseArgs({ options: { write: { type: 'boolean', default: false } } });
const document = toAsyncApi(chat, INFO, { toJsonSchema: schema => toJsonSchema(schema, { target: 'draft-07' }) });
const text = `${JSON.stringify(document, null, 2)}\n`;

if (values.write) {
  writeFileSync(FILE, text);
  console.log(`${FILE} is written`);
} else {
  const committed = readFileSync(FILE, 'utf8');
  const changes = compareContracts(JSON.parse(committed), document);
  for (const { topic, path, message } of changes) console.log(`breaking: ${topic}${path && ` ${path}`}: ${message}`);
  if (changes.length > 0) process.exitCode = 1;
  else if (committed !== text) console.log('No breaking change. Write the document: npm run contract -- --write');
  else console.log('No change');
}
