//! What the endpoints of retention grids do, take and answer.

use serde_json::json;

use super::operations::{Docs, deletion, json_ok, namespace, read as reading, write};
use crate::api::code::Code;
use crate::api::routes::Endpoint;

const PUT: &str = "A grid says how many of those who did `start` for the first time ever in a day, ISO week or month (UTC) did `return` in each of the \
    periods behind it. It counts from the next day on (`since`), in a replay that has not begun from its first. Events that do not exist yet are \
    registered. 200 where the same is there; another one of its name is 409. At most `RETENTIONS_MAX` of a namespace.";
const GET: &str = "Without `name` all grids; with it one with its numbers, a row for each cohort; with `lapsed` how many users of each cohort joined or \
    returned last at least so many periods ago. A row is `open` until the last period that it is looked at in ends, `late` as long as that takes late \
    events, then `closed`: numbers, of which no server knows any more who was in them.";
const DELETE: &str = "The grid with all that was counted for it. Its name may come back as a new one.";

/// The operation of one of their endpoints.
pub fn docs(endpoint: Endpoint) -> Docs {
    match endpoint {
        Endpoint::PutRetention => put(),
        Endpoint::DeleteRetention => deletion("deleteRetention", "Delete a retention grid", DELETE).taking(namespace()),
        _ => read(),
    }
}

fn put() -> Docs {
    let codes = [Code::Exists, Code::RetentionsFull, Code::DefinitionsFull, Code::NamespacesFull, Code::EventsFull];
    let mut docs = write("putRetention", "events", "Make a retention grid", PUT, "NewRetention", &codes);
    docs.responses.clear();
    docs.answering("200", &json_ok("RetentionDefinition", false))
        .answering("201", &json_ok("RetentionDefinition", false))
}

fn read() -> Docs {
    let name = json!({
        "name": "name", "in": "query", "schema": {"$ref": "#/components/schemas/Name"}, "description": "A grid; all of them where absent.",
    });
    let lapsed = json!({
        "name": "lapsed", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 31},
        "description": "Periods since users were seen last, at most those of the grid; with `name` only.",
    });
    reading("getRetention", "events", "Who comes back?", GET, "AnyRetention")
        .taking(name)
        .taking(lapsed)
        .taking(namespace())
        .refusing(&[Code::NoNamespace, Code::RetentionUnknown, Code::FieldMissing])
}
