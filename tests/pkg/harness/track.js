// What every environment does with the client that it has installed; answers what the client had to report.

import { KimballClient } from 'kimball-edge';

export default async function track(url) {
  const troubles = [];
  const client = new KimballClient({ url, onError: (error) => troubles.push(String(error)) });
  client.identify('cleo');
  for (let time = 0; time < 3; time += 1) client.track('Login');
  await client.flush();
  await client.close();
  return troubles;
}
