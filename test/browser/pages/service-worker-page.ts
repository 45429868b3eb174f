/** A page whose client runs in a service worker. What the worker posts becomes the title. */
const query = new URLSearchParams(location.search);
const { serviceWorker } = navigator;
serviceWorker.addEventListener('message', ({ data }) => (document.title = String(data)));
serviceWorker.startMessages();
await serviceWorker.register('/service-worker.js', { type: 'module' });
const { active } = await serviceWorker.ready;
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no origin to name
active?.postMessage(query.get('gate'));
