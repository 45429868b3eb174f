import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { compareContracts } from '@nestgate/contract/asyncapi';
import { Output } from '../output.js';

type Document = Parameters<typeof compareContracts>[0];

/** Adds `contract`, which looks at AsyncAPI documents of contracts. */
export function addContractCommand(program: Command): void {
  const contract = program.command('contract').description('looks at AsyncAPI documents of contracts').exitOverride();
  contract
    .command('topics')
    .description('lists the topics of a document')
    .argument('<file>', 'AsyncAPI document')
    .option('--json', 'writes JSON')
    .exitOverride()
    .action((file: string, { json }: { json?: boolean }) => {
      const rows = topicsOf(file).map(topic => ({ topic }));
      new Output(json === true).table(rows, { TOPIC: row => row.topic });
    });
  contract
    .command('diff')
    .description('lists the changes that break clients; exits with 1 when there are any')
    .argument('<old>', 'AsyncAPI document of before')
    .argument('<new>', 'AsyncAPI document of now')
    .option('--json', 'writes JSON')
    .exitOverride()
    .action((before: string, now: string, { json }: { json?: boolean }) => {
      const changes = compareContracts(documentIn(before), documentIn(now));
      const output = new Output(json === true);
      if (output.isJson || changes.length > 0) {
        output.table(changes, { TOPIC: row => row.topic, PATH: row => row.path, CHANGE: row => row.message });
      } else {
        output.line('No breaking change');
      }
      if (changes.length > 0) process.exitCode = 1;
    });
}

/** The topics of an AsyncAPI document. */
export function topicsOf(file: string): string[] {
  const { channels = {} } = documentIn(file) as { channels?: Record<string, { address?: string }> };
  return [...new Set(Object.entries(channels).map(([name, { address = name }]) => address))].sort();
}

function documentIn(file: string): Document {
  return JSON.parse(readFileSync(file, 'utf8')) as Document;
}
