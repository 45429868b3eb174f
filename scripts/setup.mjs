/** Installs what the tests need beside the npm packages: programs, with apt, and the version of Node that most people run. */
import { installTools } from './ensure-tools.mjs';
import { nodeOf, USUAL_NODE, versionOf } from './node-versions.mjs';

try {
  installTools();
  console.log(`The tests have all that they need; Node ${versionOf(nodeOf(USUAL_NODE))} is there too.`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
