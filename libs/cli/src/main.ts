#!/usr/bin/env node
import { run } from './program.js';

process.exitCode = await run(process.argv.slice(2));
// What a command has left open, such as an idle socket of `fetch`, does not keep the process.
process.stdout.write('', () => process.exit());
