// Where the server is: in the folder of this page, whatever path a proxy has put in front of it.

const folder = new URL('.', document.baseURI);

/** The server's address as its clients take it, without a slash at the end. */
export const server = folder.href.replace(/\/$/, '').replaceAll("'", '%27');

/** The address of a path of the server, such as `/v0/analytics`. */
export const at = (path: string): string => `${server}${path}`;

/** A name for what this browser keeps: servers under other paths of the same host have their own. */
export const keyOf = (name: string): string => (folder.pathname === '/' ? name : `${name} ${folder.pathname}`);
