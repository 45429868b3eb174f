export { connectShared, type ShareOptions } from './share/connect-shared.js';
export type { AbortControllerLike, TabChannel, TabsHost } from './share/tabs-host.js';
