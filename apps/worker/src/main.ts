import { assertOpenFiles } from '@nestgate-app/common/open-files';

// All modules are loaded at once, and with too few open files that fails without a word about them.
assertOpenFiles();
await import('./start.js');
