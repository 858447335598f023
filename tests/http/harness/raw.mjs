// Bytes as an attacker sends them: what no HTTP client would write.

import net from 'node:net';

const QUIET_MS = 400;
const DEADLINE_MS = 15_000;

/**
 * Writes these bytes on a connection of their own and reads until the server closes it, or has said something and then
 * nothing for a while: `{ statuses, text, closed }`. An answer that never comes is an answer without statuses.
 */
export function exchange(server, bytes, { quietMs = QUIET_MS } = {}) {
  return new Promise((resolve) => {
    const socket = net.connect(server.url.port, server.url.hostname);
    const chunks = [];
    let quiet;
    const end = (closed) => {
      clearTimeout(quiet);
      clearTimeout(deadline);
      socket.destroy();
      const text = Buffer.concat(chunks).toString('latin1');
      resolve({ text, closed, statuses: [...text.matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map(([, status]) => Number(status)) });
    };
    const deadline = setTimeout(() => end(false), DEADLINE_MS);
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      clearTimeout(quiet);
      quiet = setTimeout(() => end(false), quietMs);
    });
    // A refusal may come, and the connection go, while the rest is being written.
    socket.on('error', () => {});
    socket.on('close', () => end(true));
    socket.write(Buffer.from(bytes, 'latin1'));
  });
}
