# Kimball Edge on raw workerd, Durable Object storage on local disk.
#
#   workerd serve selfhost/workerd.capnp --socket-addr=http=HOST:PORT --directory-path=state=DIR \
#     --directory-path=files=build/assets
#
# `make start` runs exactly this. DIR must exist. Every variable of the Worker is read from the process
# environment; one that is not set reaches the Worker as null, which means its default.

using Workerd = import "/workerd/workerd.capnp";
using Bindings = import "bindings.capnp";

const config :Workerd.Config = (
  services = [
    (name = "kimball-edge", worker = .worker),
    Bindings.state,
    Bindings.files,
    Bindings.assets,
  ],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "kimball-edge")],
);

const worker :Workerd.Worker = (
  # Named by their paths, so that the guard's import of the build is the same here and for wrangler.
  modules = [
    (name = "src/edge/guard.js", esModule = embed "../src/edge/guard.js"),
    (name = "build/index.js", esModule = embed "../build/index.js"),
    (name = "build/index_bg.wasm", wasm = embed "../build/index_bg.wasm"),
  ],
  compatibilityDate = Bindings.compatibilityDate,
  durableObjectNamespaces = Bindings.durableObjects,
  durableObjectStorage = (localDisk = "state"),
  bindings = Bindings.bindings,
);
