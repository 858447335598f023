// kimball-edge healthcheck: asks a running server how it is, and ends with status 0 where it serves and 1 where it does
// not: what a container's health check runs. PORT and HOST are those of `kimball-edge start`.

export const command = 'healthcheck';
export const describe = 'Ask the server of this machine whether it serves: status 0 or 1 (PORT, HOST)';

const DEADLINE_MS = 5_000;
const ANYWHERE = { '0.0.0.0': '127.0.0.1', '::': '::1' };

export async function handler() {
  const host = (process.env.HOST || '127.0.0.1').replace(/^\[(.*)\]$/, '$1');
  const address = ANYWHERE[host] ?? host;
  const url = `http://${address.includes(':') ? `[${address}]` : address}:${process.env.PORT || 8787}/healthz`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(DEADLINE_MS) });
    console.log((await response.text()).trim());
    process.exitCode = response.ok ? 0 : 1;
  } catch (error) {
    console.log(`${url} does not answer: ${error.cause?.code ?? error.message}`);
    process.exitCode = 1;
  }
}
