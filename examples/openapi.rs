//! Prints the OpenAPI document; `make openapi` keeps it in www/api-docs/openapi.json.

fn main() {
    println!("{:#}", kimball_edge::openapi::document());
}
