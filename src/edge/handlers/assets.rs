//! Files that lie beside the Worker: the dashboard, the page that shows the API with its document, and the scripts that
//! pages of any origin load.

use worker::{Request, RequestInit};

use crate::api::code::Code;
use crate::core::requests::without_suffixes;
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;

/// The page's own files only; its viewer sets styles of elements.
const API_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The dashboard's own files and the aggregator of its demo, which is WebAssembly.
const DASHBOARD_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Files whose names have a hash of their content in them never change; the text of the licences has none.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// GET: a file of the page that shows the API.
///
/// # Errors
/// Those of [`file()`].
pub async fn api(call: Call<'_>) -> Result<Reply, ApiError> {
    Ok(file(call).await?.header("content-security-policy", API_POLICY))
}

/// GET: the dashboard, which is asked for again every time, or one of its files.
///
/// # Errors
/// Those of [`file()`].
pub async fn dashboard(call: Call<'_>) -> Result<Reply, ApiError> {
    let path = call.request.path();
    if path != "/" {
        let is_text = path.rsplit_once('.').is_some_and(|(_, extension)| extension == "txt");
        let reply = file(call).await?;
        return Ok(if is_text { reply } else { reply.header("cache-control", FOR_EVER) });
    }
    let mut init = RequestInit::new();
    init.with_method(call.request.method()).with_headers(call.request.headers().clone());
    let request =
        Request::new_with_init("https://assets/index.html", &init).map_err(|error| ApiError::storage(&error))?;
    Ok(file(Call { request, ..call })
        .await?
        .header("cache-control", "no-cache")
        .header("content-security-policy", DASHBOARD_POLICY)
        .header("cross-origin-opener-policy", "same-origin")
        .header("referrer-policy", "no-referrer"))
}

/// GET: a file of the npm package. Pages of all origins may load it: module scripts are always loaded with CORS.
///
/// # Errors
/// Those of [`file()`].
pub async fn sdk(call: Call<'_>) -> Result<Reply, ApiError> {
    Ok(file(call)
        .await?
        .header("access-control-allow-origin", "*")
        .header("cross-origin-resource-policy", "cross-origin"))
}

/// The file of this path.
///
/// # Errors
/// [`Code::NotFound`] where there is none; [`Code::StorageUnavailable`] where files cannot be read.
async fn file(call: Call<'_>) -> Result<Reply, ApiError> {
    let assets = call.env.assets("ASSETS").map_err(|error| ApiError::storage(&error))?;
    let request = with_plain_tags(call.request).map_err(|error| ApiError::storage(&error))?;
    let response = assets.fetch_request(request).await.map_err(|error| ApiError::storage(&error))?;
    match response.status_code() {
        200 | 304 => Ok(Reply::forwarded(response).header("x-content-type-options", "nosniff")),
        _ => Err(ApiError::new(Code::NotFound, "there is nothing at this path")),
    }
}

/// The same request, its `If-None-Match` without what proxies have written behind tags: what serves the files compares
/// whole tags.
fn with_plain_tags(request: Request) -> worker::Result<Request> {
    let Some(known) = request.headers().get("if-none-match")? else {
        return Ok(request);
    };
    let mut init = RequestInit::new();
    init.with_method(request.method()).with_headers(request.headers().clone());
    let plain = Request::new_with_init(&request.inner().url(), &init)?;
    plain.headers().set("if-none-match", &without_suffixes(&known))?;
    Ok(plain)
}
