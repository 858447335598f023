// The load generator of `make bench`, in a process of its own: argv[2] is JSON, stdout is JSON.
//
// Every event is the first of a new user, which is what costs the server most.

import autocannon from 'autocannon';

const { url, connections, seconds, batchEvents, run } = JSON.parse(process.argv[2]);

let users = 0;
const headers = { 'content-type': 'application/json' };
const event = () => {
  users += 1;
  return `{"event_name":"Login","user_id":"${run}-${users}"}`;
};
const body = batchEvents === 1 ? event : () => `[${Array.from({ length: batchEvents }, event).join(',')}]`;

const result = await autocannon({
  url,
  connections,
  duration: seconds,
  requests: [{
    method: 'POST', path: '/v0/analytics', headers, setupRequest: (request) => ({ ...request, body: body() }),
  }],
});

const answered = result['2xx'];
const failed = result.non2xx + result.errors + result.timeouts;
console.log(JSON.stringify({ answered, failed, seconds: result.duration, p99Ms: result.latency.p99 }));
