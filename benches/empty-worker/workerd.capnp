# The empty peer on workerd, set up like the product.

using Workerd = import "/workerd/workerd.capnp";
using Bindings = import "../../selfhost/bindings.capnp";

const config :Workerd.Config = (
  services = [
    (name = "empty-worker", worker = .worker),
    Bindings.state,
    Bindings.files,
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "empty-worker")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "main.js", esModule = embed "main.js"),
    (name = "build/index.js", esModule = embed "build/index.js"),
    (name = "build/index_bg.wasm", wasm = embed "build/index_bg.wasm"),
  ],
  compatibilityDate = Bindings.compatibilityDate,
  durableObjectNamespaces = [(className = "Rows", uniqueKey = "empty-worker-rows", enableSql = true)],
  durableObjectStorage = (localDisk = "state"),
  bindings = [
    (name = "ROWS", durableObjectNamespace = "Rows"),
    (name = "SHARDS", fromEnvironment = "SHARDS"),
  ],
);
