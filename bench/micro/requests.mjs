/**
 * How a node of any version sends a request to a peer, and answers one: in older versions the node sends, now the peer does.
 * @param {any} node
 * @param {any} peer
 */
export function requestTo(node, peer) {
  return node.request ? node.request.bind(node, peer) : peer.request.bind(peer);
}

/**
 * @param {any} node
 * @param {any} call
 * @param {unknown} operation
 * @param {unknown} result
 */
export function replyTo(node, call, operation, result) {
  // The oldest `reply` takes the peer and the number instead of the call.
  if ('correlation' in call) node.reply(call.peer, call.correlation, operation, result);
  else if (node.reply) node.reply(call, operation, result);
  else call.peer.reply(call, operation, result);
}
