//! The least that a durable write costs on this stack: body → Worker → Durable Object → one row → 204.
//!
//! Requests go round as many objects as the product has shards, so that both spread their writes alike.

use std::cell::Cell;

use worker::{
    DurableObject, Env, Headers, Method, Request, RequestInit, Response, Result, SqlStorageValue, State,
    durable_object, event, wasm_bindgen,
};

thread_local! {
    static NEXT: Cell<u32> = const { Cell::new(0) };
}

#[event(fetch)]
async fn fetch(mut request: Request, env: Env, _context: worker::Context) -> Result<Response> {
    if request.method() != Method::Post {
        return Response::ok("ok");
    }
    let body = request.bytes().await?;
    let objects: u32 = env.var("SHARDS")?.to_string().parse().unwrap_or(1);
    let index = NEXT.with(|next| next.replace(next.get().wrapping_add(1)) % objects);

    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(Headers::new())
        .with_body(Some(worker::js_sys::Uint8Array::from(body.as_slice()).into()));
    let forwarded = Request::new_with_init("http://object/", &init)?;
    env.durable_object("ROWS")?.get_by_name(&index.to_string())?.fetch_with_request(forwarded).await
}

/// Stores every body as a row of its own.
#[durable_object]
pub struct Rows {
    state: State,
    ready: Cell<bool>,
}

impl DurableObject for Rows {
    fn new(state: State, _env: Env) -> Self {
        Self { state, ready: Cell::new(false) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let body = request.bytes().await?;
        let sql = self.state.storage().sql();
        if !self.ready.replace(true) {
            sql.exec("CREATE TABLE IF NOT EXISTS rows(seq INTEGER PRIMARY KEY, body BLOB NOT NULL)", None)?;
        }
        sql.exec("INSERT INTO rows(body) VALUES(?)", vec![SqlStorageValue::Blob(body)])?;
        Ok(Response::empty()?.with_status(204))
    }
}
