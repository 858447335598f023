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

const bindings :List(Workerd.Worker.Binding) = [
  (name = "REGISTRY", durableObjectNamespace = "Registry"),
  (name = "SHARD", durableObjectNamespace = "Shard"),
  (name = "ASSETS", service = "assets"),
  (name = "API_AUTH", fromEnvironment = "API_AUTH"),
  (name = "API_TOKENS", fromEnvironment = "API_TOKENS"),
  (name = "READ_TOKENS", fromEnvironment = "READ_TOKENS"),
  (name = "INGEST_TOKENS", fromEnvironment = "INGEST_TOKENS"),
  (name = "INGEST_MAY_ADD_GOALS", fromEnvironment = "INGEST_MAY_ADD_GOALS"),
  (name = "ALLOWED_ORIGINS", fromEnvironment = "ALLOWED_ORIGINS"),
  (name = "ALLOWED_HOSTS", fromEnvironment = "ALLOWED_HOSTS"),
  (name = "ACCEPT_OLDER_STATE", fromEnvironment = "ACCEPT_OLDER_STATE"),
  (name = "COUNTERS", fromEnvironment = "COUNTERS"),
  (name = "SHARDS", fromEnvironment = "SHARDS"),
  (name = "HASH_KEY", fromEnvironment = "HASH_KEY"),
  # A process has the memory that its operator gives it, not an isolate of 128 MB.
  (name = "PROFILE", text = "selfhost"),
  (name = "BODIES_BYTES_MAX", fromEnvironment = "BODIES_BYTES_MAX"),
  (name = "BODY_BYTES_MAX", fromEnvironment = "BODY_BYTES_MAX"),
  (name = "BATCH_EVENTS_MAX", fromEnvironment = "BATCH_EVENTS_MAX"),
  (name = "NAMESPACES_PER_BATCH_MAX", fromEnvironment = "NAMESPACES_PER_BATCH_MAX"),
  (name = "NAME_BYTES_MAX", fromEnvironment = "NAME_BYTES_MAX"),
  (name = "NAMESPACES_MAX", fromEnvironment = "NAMESPACES_MAX"),
  (name = "EVENTS_PER_NAMESPACE_MAX", fromEnvironment = "EVENTS_PER_NAMESPACE_MAX"),
  (name = "EVENT_NAMES", fromEnvironment = "EVENT_NAMES"),
  (name = "NAMESPACES", fromEnvironment = "NAMESPACES"),
  (name = "NEW_NAMES_PER_DAY_MAX", fromEnvironment = "NEW_NAMES_PER_DAY_MAX"),
  (name = "NEW_NAMESPACES_PER_DAY_MAX", fromEnvironment = "NEW_NAMESPACES_PER_DAY_MAX"),
  (name = "COMBINATIONS_PER_GOAL_MAX", fromEnvironment = "COMBINATIONS_PER_GOAL_MAX"),
  (name = "GROUP_USERS_MIN", fromEnvironment = "GROUP_USERS_MIN"),
  (name = "USERS_PER_EVENT_MAX", fromEnvironment = "USERS_PER_EVENT_MAX"),
  (name = "WEEKS_PER_EVENT_MAX", fromEnvironment = "WEEKS_PER_EVENT_MAX"),
  (name = "LATENESS_DAYS", fromEnvironment = "LATENESS_DAYS"),
  (name = "SERIES_EVENTS_MAX", fromEnvironment = "SERIES_EVENTS_MAX"),
  (name = "DEFINITIONS_MAX", fromEnvironment = "DEFINITIONS_MAX"),
  (name = "RETENTIONS_MAX", fromEnvironment = "RETENTIONS_MAX"),
  (name = "TIME_FINGERPRINTS_MAX", fromEnvironment = "TIME_FINGERPRINTS_MAX"),
  (name = "METRICS_BYTES_MAX", fromEnvironment = "METRICS_BYTES_MAX"),
  (name = "FLAGS_MAX", fromEnvironment = "FLAGS_MAX"),
  (name = "FLAG_CONDITIONS_MAX", fromEnvironment = "FLAG_CONDITIONS_MAX"),
  (name = "FLAG_VALUES_MAX", fromEnvironment = "FLAG_VALUES_MAX"),
  (name = "FLAGS_BYTES_MAX", fromEnvironment = "FLAGS_BYTES_MAX"),
  (name = "SHARD_MEMORY_BYTES_MAX", fromEnvironment = "SHARD_MEMORY_BYTES_MAX"),
  (name = "ISOLATE_MEMORY_BYTES_MAX", fromEnvironment = "ISOLATE_MEMORY_BYTES_MAX"),
  (name = "OPEN_SHARDS_MAX", fromEnvironment = "OPEN_SHARDS_MAX"),
  (name = "JOURNAL_BYTES_MAX", fromEnvironment = "JOURNAL_BYTES_MAX"),
  (name = "JOURNAL_ROWS_MAX", fromEnvironment = "JOURNAL_ROWS_MAX"),
  (name = "COMPACTION_DELAY_MS", fromEnvironment = "COMPACTION_DELAY_MS"),
];
