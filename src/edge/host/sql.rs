//! SQL of a Durable Object's storage, without the calls of the binding that can trap (workers-rs: `one`, `to_array`).

use std::cell::Cell;

use worker::js_sys;
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{Error, Result, SqlStorage, SqlStorageValue, Storage};

/// All rows of a query.
pub fn rows(sql: &SqlStorage, query: &str, bindings: Vec<SqlStorageValue>) -> Result<Vec<Vec<SqlStorageValue>>> {
    sql.exec(query, bindings)?.raw().collect()
}

/// The first column of the first row of a query.
pub fn value(sql: &SqlStorage, query: &str, bindings: Vec<SqlStorageValue>) -> Result<Option<SqlStorageValue>> {
    let first = sql.exec(query, bindings)?.raw().next().transpose()?;
    Ok(first.and_then(|row| row.into_iter().next()))
}

/// An integer column.
pub fn integer(value: &SqlStorageValue) -> u64 {
    match value {
        SqlStorageValue::Integer(integer) => u64::try_from(*integer).unwrap_or(0),
        _ => 0,
    }
}

#[wasm_bindgen]
extern "C" {
    type SyncStorage;

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &SyncStorage,
        work: &mut dyn FnMut() -> std::result::Result<JsValue, JsValue>,
    ) -> std::result::Result<JsValue, JsValue>;
}

/// Runs `work` in a transaction that is rolled back when it fails.
pub fn transaction<T>(storage: &Storage, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let work = Cell::new(Some(work));
    let outcome = Cell::new(None);
    let committed = storage.as_raw().unchecked_ref::<SyncStorage>().transaction_sync(&mut || {
        let Some(work) = work.take() else {
            return Err(JsValue::NULL);
        };
        let result = work();
        // An exception is what makes the runtime roll back.
        let thrown = result.as_ref().err().map(|error| JsValue::from(js_sys::Error::new(&error.to_string())));
        outcome.set(Some(result));
        thrown.map_or(Ok(JsValue::UNDEFINED), Err)
    });
    match (outcome.into_inner(), committed) {
        (Some(Ok(value)), Ok(_)) => Ok(value),
        (Some(Err(error)), _) => Err(error),
        (_, Err(thrown)) => Err(Error::from(thrown)),
        (None, Ok(_)) => Err(Error::from("the transaction did not run")),
    }
}
