# What the Worker is bound to, shared by every workerd config of the project.

@0xc7d1f0a2b8e94d36;

using Workerd = import "/workerd/workerd.capnp";

const compatibilityDate :Text = "2026-04-01";

# The keys name the objects' identities on disk: changing one abandons all stored state.
const durableObjects :List(Workerd.Worker.DurableObjectNamespace) = [
  (className = "Registry", uniqueKey = "kimball-edge-registry", enableSql = true),
  (className = "Shard", uniqueKey = "kimball-edge-shard", enableSql = true),
];

const state :Workerd.Service = (name = "state", disk = (path = ".state", writable = true));

# Static files, the same for every build.
const files :Workerd.Service = (name = "files", disk = (path = "build/assets"));
const assets :Workerd.Service = (name = "assets", worker = .assetsWorker);
const assetsWorker :Workerd.Worker = (
  modules = [(name = "assets.js", esModule = embed "assets.js")],
  compatibilityDate = .compatibilityDate,
  bindings = [(name = "DISK", service = "files")],
);

# What stands behind a variable is what `kimball-edge start --help` says of it.
const bindings :List(Workerd.Worker.Binding) = [
  (name = "REGISTRY", durableObjectNamespace = "Registry"),
  (name = "SHARD", durableObjectNamespace = "Shard"),
  (name = "ASSETS", service = "assets"),
  (name = "API_AUTH", fromEnvironment = "API_AUTH"),  # disable: everyone may do everything, for tests on one machine
  (name = "API_TOKENS", fromEnvironment = "API_TOKENS"),  # tokens for everything, comma-separated
  (name = "READ_TOKENS", fromEnvironment = "READ_TOKENS"),  # tokens that read, comma-separated
  (name = "INGEST_TOKENS", fromEnvironment = "INGEST_TOKENS"),  # tokens that send events and ask for flags, comma-separated; a page may hold one
  (name = "INGEST_MAY_ADD_GOALS", fromEnvironment = "INGEST_MAY_ADD_GOALS"),  # true: ensure_goal is allowed to ingest tokens
  (name = "PAGE_EVENTS", fromEnvironment = "PAGE_EVENTS"),  # count: pages and screens that other SDKs tell of are events; ignore
  (name = "ALLOWED_ORIGINS", fromEnvironment = "ALLOWED_ORIGINS"),  # origins of pages that may call, comma-separated, or *
  (name = "ALLOWED_HOSTS", fromEnvironment = "ALLOWED_HOSTS"),  # host names that are answered without authentication, comma-separated, or *
  (name = "ACCEPT_OLDER_STATE", fromEnvironment = "ACCEPT_OLDER_STATE"),  # shards whose older storage is taken as it is, or true
  (name = "COUNTERS", fromEnvironment = "COUNTERS"),  # a JSON list of how events are counted, by their names
  (name = "SHARDS", fromEnvironment = "SHARDS"),  # shards of a new namespace
  (name = "HASH_KEY", fromEnvironment = "HASH_KEY"),  # 64 hexadecimal digits: what user ids are hashed with
  # A process has the memory that its operator gives it, not an isolate of 128 MB.
  (name = "PROFILE", text = "selfhost"),
  (name = "BODIES_BYTES_MAX", fromEnvironment = "BODIES_BYTES_MAX"),  # bytes of all bodies in flight
  (name = "BODY_BYTES_MAX", fromEnvironment = "BODY_BYTES_MAX"),  # bytes of a body
  (name = "BATCH_EVENTS_MAX", fromEnvironment = "BATCH_EVENTS_MAX"),  # events in a request
  (name = "NAMESPACES_PER_BATCH_MAX", fromEnvironment = "NAMESPACES_PER_BATCH_MAX"),  # namespaces in a request
  (name = "NAME_BYTES_MAX", fromEnvironment = "NAME_BYTES_MAX"),  # bytes of a name or user id
  (name = "NAMESPACES_MAX", fromEnvironment = "NAMESPACES_MAX"),  # namespaces
  (name = "EVENTS_PER_NAMESPACE_MAX", fromEnvironment = "EVENTS_PER_NAMESPACE_MAX"),  # event names in a namespace
  (name = "EVENT_NAMES", fromEnvironment = "EVENT_NAMES"),  # known: only admin tokens may register names of events
  (name = "NAMESPACES", fromEnvironment = "NAMESPACES"),  # known: only admin tokens may register namespaces
  (name = "NEW_NAMES_PER_DAY_MAX", fromEnvironment = "NEW_NAMES_PER_DAY_MAX"),  # new event names of a namespace in a day, by ingest tokens
  (name = "NEW_NAMESPACES_PER_DAY_MAX", fromEnvironment = "NEW_NAMESPACES_PER_DAY_MAX"),  # new namespaces in a day, by ingest tokens
  (name = "COMBINATIONS_PER_GOAL_MAX", fromEnvironment = "COMBINATIONS_PER_GOAL_MAX"),  # combinations listed per goal
  (name = "GROUP_USERS_MIN", fromEnvironment = "GROUP_USERS_MIN"),  # the least users of a group whose number is shown
  (name = "USERS_PER_EVENT_MAX", fromEnvironment = "USERS_PER_EVENT_MAX"),  # users of an event
  (name = "WEEKS_PER_EVENT_MAX", fromEnvironment = "WEEKS_PER_EVENT_MAX"),  # weekly cohorts of an event
  (name = "LATENESS_DAYS", fromEnvironment = "LATENESS_DAYS"),  # days for which a period that is over takes late events
  (name = "SERIES_EVENTS_MAX", fromEnvironment = "SERIES_EVENTS_MAX"),  # events of a namespace with series of their own
  (name = "DEFINITIONS_MAX", fromEnvironment = "DEFINITIONS_MAX"),  # definitions that a namespace can have had
  (name = "RETENTIONS_MAX", fromEnvironment = "RETENTIONS_MAX"),  # retention grids of a namespace
  (name = "TIME_FINGERPRINTS_MAX", fromEnvironment = "TIME_FINGERPRINTS_MAX"),  # fingerprints in the open periods of a shard
  (name = "METRICS_BYTES_MAX", fromEnvironment = "METRICS_BYTES_MAX"),  # bytes of an answer of metrics
  (name = "FLAGS_MAX", fromEnvironment = "FLAGS_MAX"),  # flags
  (name = "FLAG_CONDITIONS_MAX", fromEnvironment = "FLAG_CONDITIONS_MAX"),  # conditions of a flag
  (name = "FLAG_VALUES_MAX", fromEnvironment = "FLAG_VALUES_MAX"),  # values of a condition
  (name = "FLAGS_BYTES_MAX", fromEnvironment = "FLAGS_BYTES_MAX"),  # bytes of all flags
  (name = "SHARD_MEMORY_BYTES_MAX", fromEnvironment = "SHARD_MEMORY_BYTES_MAX"),  # bytes of memory of a shard
  (name = "ISOLATE_MEMORY_BYTES_MAX", fromEnvironment = "ISOLATE_MEMORY_BYTES_MAX"),  # bytes of memory of all loaded shards
  (name = "OPEN_SHARDS_MAX", fromEnvironment = "OPEN_SHARDS_MAX"),  # shards open at once
  (name = "JOURNAL_BYTES_MAX", fromEnvironment = "JOURNAL_BYTES_MAX"),  # bytes of a journal before compaction
  (name = "JOURNAL_ROWS_MAX", fromEnvironment = "JOURNAL_ROWS_MAX"),  # rows of a journal before compaction
  (name = "COMPACTION_DELAY_MS", fromEnvironment = "COMPACTION_DELAY_MS"),  # milliseconds from a change to its mark or compaction
];
