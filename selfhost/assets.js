// Static files over a disk service: what the ASSETS binding is on Cloudflare. Content types, gzip, conditional requests, HEAD;
// no listings of directories and no page in the place of one that is missing.
const TYPES = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  png: "image/png",
  svg: "image/svg+xml",
  txt: "text/plain; charset=utf-8",
  wasm: "application/wasm",
};

// What is not compressed already.
const COMPRESSIBLE = ["css", "html", "js", "json", "svg", "txt", "wasm"];

const nothing = (status, headers) => new Response(null, { status, headers });

export default {
  async fetch(request, env) {
    if (request.method !== "GET" && request.method !== "HEAD") return nothing(405, { allow: "GET, HEAD" });
    const { pathname } = new URL(request.url);
    if (pathname.endsWith("/")) return nothing(404);
    const file = await env.DISK.fetch(`http://disk${pathname}`, { method: request.method });
    // The disk service lists directories as JSON, and has no types for files.
    if (!file.ok || file.headers.get("content-type") === "application/json") return nothing(404);

    const modified = file.headers.get("last-modified") ?? "";
    const bytes = file.headers.get("content-length") ?? "";
    // No hyphen: what follows one may be a proxy's.
    const tag = `"${Date.parse(modified).toString(36)}.${Number(bytes).toString(36)}"`;
    const extension = pathname.split(".").pop();
    const headers = {
      "cache-control": "public, max-age=0, must-revalidate",
      "content-type": TYPES[extension] ?? "application/octet-stream",
      etag: `W/${tag}`,
      "last-modified": modified,
      vary: "accept-encoding",
      "x-content-type-options": "nosniff",
    };
    const known = request.headers.get("if-none-match");
    const isKnown = known === null
      ? Date.parse(request.headers.get("if-modified-since")) >= Date.parse(modified)
      : known.trim() === "*" || known.split(",").some((given) => given.trim().replace(/^W\//, "") === tag);
    if (isKnown) return nothing(304, headers);
    if (request.method === "HEAD") return nothing(200, { ...headers, "content-length": bytes });
    // The runtime compresses what is declared so.
    const isCompressed = COMPRESSIBLE.includes(extension) && /\bgzip\b(?!;q=0)/.test(request.headers.get("accept-encoding") ?? "");
    return new Response(file.body, { headers: { ...headers, ...(isCompressed ? { "content-encoding": "gzip" } : { "content-length": bytes }) } });
  },
};
