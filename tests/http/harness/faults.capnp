# The fault-injection build of the Worker, for the tests only.

using Workerd = import "/workerd/workerd.capnp";
using Bindings = import "../../../selfhost/bindings.capnp";

const config :Workerd.Config = (
  services = [
    (name = "kimball-edge", worker = .worker),
    Bindings.state,
    Bindings.files,
    Bindings.assets,
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "kimball-edge")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "build/faults/guard.js", esModule = embed "../../../build/faults/guard.js"),
    (name = "build/faults/index.js", esModule = embed "../../../build/faults/index.js"),
    (name = "build/faults/index_bg.wasm", wasm = embed "../../../build/faults/index_bg.wasm"),
  ],
  compatibilityDate = Bindings.compatibilityDate,
  durableObjectNamespaces = Bindings.durableObjects,
  durableObjectStorage = (localDisk = "state"),
  bindings = Bindings.bindings,
);
