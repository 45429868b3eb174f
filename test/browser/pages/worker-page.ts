/** A page whose client runs in a web worker. What the worker posts becomes the title. */
const query = new URLSearchParams(location.search);
const worker = new Worker('/worker.js', { type: 'module' });
worker.addEventListener('message', ({ data }) => (document.title = String(data)));
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no origin to name
worker.postMessage(query.get('gate'));
