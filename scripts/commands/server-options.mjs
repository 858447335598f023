// Which server a command asks, and by what right.

/** Adds `--url` and `--token`, which are the variables URL and TOKEN as well. */
export function serverOptions(yargs) {
  return yargs.options({
    url: {
      type: 'string', requiresArg: true, group: 'Server:', default: process.env.URL || 'http://127.0.0.1:8787', defaultDescription: 'URL, or http://127.0.0.1:8787',
      describe: 'where it is', coerce: checkUrl,
    },
    token: {
      type: 'string', requiresArg: true, group: 'Server:', default: process.env.TOKEN ?? '', defaultDescription: 'TOKEN', describe: 'one of its tokens',
    },
  });
}

function checkUrl(url) {
  const isHttp = typeof url === 'string' && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
  if (!isHttp) throw new Error(`--url: not a URL of http or https: "${url}"`);
  return url;
}
