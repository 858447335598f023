# The peer in JavaScript on workerd, set up like the product.

using Workerd = import "/workerd/workerd.capnp";
using Bindings = import "../../selfhost/bindings.capnp";

const config :Workerd.Config = (
  services = [
    (name = "js-worker", worker = .worker),
    Bindings.state,
    Bindings.files,
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "js-worker")],
);

const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = Bindings.compatibilityDate,
  durableObjectNamespaces = [(className = "Rows", uniqueKey = "js-worker-rows", enableSql = true)],
  durableObjectStorage = (localDisk = "state"),
  bindings = [
    (name = "ROWS", durableObjectNamespace = "Rows"),
    (name = "SHARDS", fromEnvironment = "SHARDS"),
  ],
);
